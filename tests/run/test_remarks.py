"""What is said of a request before anything is trained: verdicts that cannot be, budgets without bound, order of chains."""

from typing import Any

import pytest

from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import Registry
from amulet_core.planning.facts import DataFacts
from amulet_core.planning.remarks import notes_of, warnings_of
from amulet_core.schema import DataSchema, Feasible

SCHEMA = DataSchema(modality="tabular", shape=(4,), classes=("a", "b"), feasible=Feasible(low=-4.0, high=4.0))
FEW = DataFacts(data_schema=SCHEMA, rows=420, content="", class_rows=(210, 210))


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
    assert notes_of(resolve(config(seeds=seeds), registry), FEW) == notes


@pytest.mark.parametrize(
    ("rows", "seeds", "design", "attack", "told"),
    [
        (1850, 5, "crossed", "nudge", ("2.4", "1,850 of 1,850", "as many models")),
        (2590, 7, "crossed", "nudge", ("2.8", "2,590 of 2,590", "as many models")),
        (9000, 5, "crossed", "curious", ("2.4", "1,850 of 9,000", "25 models instead of 10")),
        (1849, 5, "crossed", "nudge", None),  # a row too few for five blocks
        (9000, 4, "crossed", "nudge", None),  # no verdicts anyway
        (9000, 5, "disjoint", "nudge", None),
    ],
)
def test_narrower_intervals_that_the_data_have_rows_for_are_noted(
    registry: Registry, config: Any, rows: int, seeds: int, design: str, attack: str, told: tuple[str, ...] | None
) -> None:
    sizes = {"train": 50, "val": 20, "test": 200, "aux": 50, "design": design}
    risk = "evasion" if attack == "nudge" else "membership-inference"
    request = resolve(config(seeds=seeds, data=sizes, risks={risk: {"attacks": [attack]}}), registry)
    facts = FEW.model_copy(update={"rows": rows, "class_rows": (rows - 100, 100)})
    notes = [note for note in notes_of(request, facts) if "design" in note]
    if told is None:
        assert notes == []
        return
    times, enough, models = told
    assert notes == [
        f"seeds share rows, which makes intervals {times} times as wide; with `design: disjoint` under data each seed "
        f"has rows of its own ({enough}), and each chain {models} to train"
    ]


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
    assert notes_of(request, FEW) == notes
    assert notes_of(resolve(request.canonical(), registry), FEW) == ()


@pytest.mark.parametrize(
    ("norm", "epsilon", "boundless"), [("linf", 0.99, False), ("linf", 1.0, True), ("l2", 1.99, False), ("l2", 2, True)]
)
def test_a_budget_within_which_every_input_can_be_every_other_is_warned_of(
    registry: Registry, config: Any, norm: str, epsilon: float, boundless: bool
) -> None:
    threat = {"norm": norm, "epsilon": epsilon}
    request = resolve(config(risks={"evasion": {"threat": threat, "attacks": ["nudge"]}}), registry)
    warning = (
        f"risks.evasion.threat.epsilon: within a budget of {epsilon:g} ({norm}, in which each feature's range is 1) every "
        "input can become every other, but for what it may not change: no model that tells them apart is robust"
    )
    assert warnings_of(request, SCHEMA) == ((warning,) if boundless else ())
