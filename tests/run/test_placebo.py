"""The placebo row is the noise floor: over many runs it hardly ever gets a verdict."""

from typing import Any

import pytest

from amulet_core.api import run
from amulet_core.discovery.registry import Registry

RUNS = 40


@pytest.mark.parametrize("design", ["crossed", "disjoint"])
def test_at_most_one_placebo_column_in_twenty_gets_a_verdict(registry: Registry, config: Any, design: str) -> None:
    """With 40 runs of 3 columns, 5 % are 6 verdicts; 12 or more would come by chance in under 2 % of such tests.

    The runs are fast fakes of the real thing: real plan, training, games and statistics on two clouds of points.
    """
    found = []
    for root_seed in range(RUNS):
        raw = config(
            dataset={"name": "blobs", "params": {"rows": 1500}},
            training={"epochs": 3, "batch_size": 10, "learning_rate": 0.1},
            data={"train": 20, "val": 10, "test": 150, "aux": 10, "design": design},
            risks={
                "evasion": {"threat": {"epsilon": 0.05, "curve": []}, "attacks": ["nudge"]},
                "discriminatory-behavior": {},
            },
            seeds=5,
            root_seed=root_seed,
        )
        results = run(raw, registry=registry)
        found += [entry.effect.verdict for entry in results.entries if entry.row == "placebo" and entry.effect]
    assert len(found) == 3 * RUNS
    assert "degenerate" not in found
    assert sum(verdict in ("risk up", "risk down") for verdict in found) < 12
