"""What is planned: each play needs its victim's models, and the answers of exactly its shadow models."""

from typing import Any

import pytest

from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import Registry
from amulet_core.performing.ground import load_data
from amulet_core.planning.facts import facts_of
from amulet_core.planning.jobs import AttackWork, BankWork, FitWork
from amulet_core.planning.plan import Plan, plan


@pytest.fixture
def planned(registry: Registry, config: Any) -> Any:
    """Return a function that plans a configuration."""

    def make(**changes: Any) -> Plan:
        request = resolve(config(**changes), registry)
        return plan(request, facts_of(load_data(request)))

    return make


@pytest.mark.parametrize("design", ["crossed", "disjoint"])
@pytest.mark.parametrize("stack", [1, 3, 16])
def test_a_play_needs_the_stacks_of_its_victim_and_of_its_shadow_models_and_no_other(
    planned: Any, design: str, stack: int
) -> None:
    found = planned(
        defenses=["flip", "halve"],
        risks={"evasion": {"attacks": ["nudge"]}, "membership-inference": {"attacks": ["curious"]}},
        data={"train": 50, "val": 20, "test": 200, "aux": 50, "design": design},
        stack=stack,
        seeds=3,
    )
    plays = [job for job in found.jobs.values() if isinstance(job.work, AttackWork)]
    assert plays
    for job in plays:
        fit, *banks = [found.jobs[need] for need in job.needs]
        assert isinstance(fit.work, FitWork)
        assert job.work.victim in fit.work.places
        asked = [set(found.jobs[bank.needs[0]].work.places) for bank in banks]
        assert all(isinstance(bank.work, BankWork) for bank in banks)
        assert set(job.work.shadows) <= set().union(*asked)
        assert all(places & set(job.work.shadows) for places in asked)
        assert len(set(job.needs)) == len(job.needs)


def test_every_model_is_planned_once_in_stacks_of_at_most_the_size_asked_for(planned: Any) -> None:
    found = planned(defenses=["flip"], risks={"membership-inference": {"attacks": ["curious"]}}, stack=4)
    by_row: dict[str, list[Any]] = {}
    for job in found.jobs.values():
        if isinstance(job.work, FitWork):
            assert 1 <= len(job.work.places) <= 4
            by_row.setdefault(job.label.split(" (")[0], []).extend(job.work.places)
    assert set(by_row) == {"train none", "train placebo", "train flip"}
    assert all(len(places) == len(set(places)) == 6 for places in by_row.values())


def test_jobs_come_after_what_they_need(planned: Any) -> None:
    found = planned(defenses=["flip"], risks=["evasion", "membership-inference"])
    seen: set[str] = set()
    for key, job in found.jobs.items():
        assert key == job.key
        assert set(job.needs) <= seen
        seen.add(key)


def test_a_row_that_changes_predictions_alone_trains_nothing_of_its_own(planned: Any) -> None:
    plain, wrapped = (planned(defenses=rows) for rows in (["flip"], ["flip", ["flip", "halve"], "halve"]))
    trained = [{key for key, job in one.jobs.items() if isinstance(job.work, FitWork)} for one in (plain, wrapped)]
    assert trained[0] == trained[1]
    plays = [{key for key, job in one.jobs.items() if isinstance(job.work, AttackWork)} for one in (plain, wrapped)]
    assert len(plays[1]) == 5 / 3 * len(plays[0])
