"""What is said of a request before anything is trained: verdicts that cannot be, budgets without bound, order of chains."""

from typing import Any

import pytest

from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import Registry
from amulet_core.planning.remarks import notes_of, warnings_of
from amulet_core.schema import DataSchema, Feasible


@pytest.mark.parametrize(
    ("seeds", "notes"),
    [
        (1, ("1 seed gives estimates without verdicts: a verdict needs 5 or more (seeds: 5)",)),
        (4, ("4 seeds give estimates without verdicts: a verdict needs 5 or more (seeds: 5)",)),
        (5, ()),
    ],
)
def test_too_few_seeds_for_a_verdict_are_noted(
    registry: Registry, config: Any, seeds: int, notes: tuple[str, ...]
) -> None:
    assert notes_of(resolve(config(seeds=seeds), registry)) == notes


SORTED = (
    "defenses act in the order of their stages, whatever order they are written in: here flip, keep, halve (written: "
)


@pytest.mark.parametrize(
    ("chain", "notes"),
    [
        (["flip", "keep", "halve"], ()),
        (["keep"], ()),
        (["keep", "giver"], ()),  # both act in training: as written
        (["halve", "keep", "flip"], (f"defenses.0: {SORTED}halve, keep, flip)",)),
        ({"label": "mine", "chain": ["flip", "halve", "keep"]}, (f"defenses.0: {SORTED}flip, halve, keep)",)),
    ],
)
def test_a_chain_written_in_another_order_than_it_acts_in_is_noted_once(
    registry: Registry, config: Any, chain: Any, notes: tuple[str, ...]
) -> None:
    request = resolve(config(defenses=[chain], seeds=5), registry)
    assert notes_of(request) == notes
    assert notes_of(resolve(request.canonical(), registry)) == ()


@pytest.mark.parametrize(
    ("norm", "epsilon", "boundless"), [("linf", 0.99, False), ("linf", 1.0, True), ("l2", 1.99, False), ("l2", 2, True)]
)
def test_a_budget_within_which_every_input_can_be_every_other_is_warned_of(
    registry: Registry, config: Any, norm: str, epsilon: float, boundless: bool
) -> None:
    threat = {"norm": norm, "epsilon": epsilon}
    request = resolve(config(risks={"evasion": {"threat": threat, "attacks": ["nudge"]}}), registry)
    schema = DataSchema(modality="tabular", shape=(4,), classes=("a", "b"), feasible=Feasible(low=-4.0, high=4.0))
    warning = (
        f"risks.evasion.threat.epsilon: within a budget of {epsilon:g} ({norm}, in which each feature's range is 1) every "
        "input can become every other, but for what it may not change: no model that tells them apart is robust"
    )
    assert warnings_of(request, schema) == ((warning,) if boundless else ())
