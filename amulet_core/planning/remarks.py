"""What is said of a request that can be run, before anything is trained: what it will not show, and what was changed.

A warning also stands in the report; a note is said once. Light.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from amulet_core.configuration.controls import unmatched
from amulet_core.configuration.request import Request, RiskPlan
from amulet_core.games.threats import EvasionThreat
from amulet_core.planning.facts import DataFacts
from amulet_core.planning.layout import layout_of
from amulet_core.planning.sizes import size_problems, sizes_of
from amulet_core.schema import DataSchema
from amulet_core.statistics.overlap import widening
from amulet_core.vocabulary import MINIMUM_SEEDS


def warnings_of(request: Request, schema: DataSchema) -> tuple[str, ...]:
    """Return what spoils some of a run's results, though it can be run on data of this schema."""
    boundless = [text for risk in request.risks for text in _boundless(risk, schema)]
    return (*(text for risk in request.risks for text in unmatched(risk)), *boundless)


def notes_of(request: Request, facts: DataFacts) -> tuple[str, ...]:
    """Return what a reader would otherwise learn only from the results."""
    return (*_few_seeds(request.seeds), *_shared_rows(request, facts), *_reordered(request))


def _few_seeds(seeds: int) -> Iterator[str]:
    if seeds < MINIMUM_SEEDS:
        given = "1 seed gives" if seeds == 1 else f"{seeds} seeds give"
        yield f"{given} estimates without verdicts: a verdict needs {MINIMUM_SEEDS} or more (seeds: {MINIMUM_SEEDS})"


def _shared_rows(request: Request, facts: DataFacts) -> Iterator[str]:
    """Tell of the narrower intervals that the data have rows enough for."""
    crossed, sizes = layout_of(request, facts.data_schema), sizes_of(request.data)
    classes = facts.data_schema.classes
    lacking = size_problems(sizes, blocks=request.seeds, classes=classes, class_rows=facts.class_rows)
    if not crossed.overlap or request.seeds < MINIMUM_SEEDS or lacking:
        return
    own, shared = len(replace(crossed, design="disjoint").places()), len(crossed.places())
    models = "as many models" if own == shared else f"{own} models instead of {shared}"
    times = widening(request.seeds, overlap=crossed.overlap)
    needed, rows = request.seeds * sizes.block, sum(facts.class_rows)
    yield (
        f"seeds share rows, which makes intervals {times:.1f} times as wide; with `design: disjoint` under data each "
        f"seed has rows of its own ({needed:,} of {rows:,}), and each chain {models} to train"
    )


def _reordered(request: Request) -> Iterator[str]:
    for row in request.rows:
        if row.written:
            acting = ", ".join(use.entry.component.name for use in row.chain)
            yield (
                f"{row.path}: defenses act in the order of their stages, whatever order they are written in: here "
                f"{acting} (written: {', '.join(row.written)})"
            )


def _boundless(risk: RiskPlan, schema: DataSchema) -> Iterator[str]:
    """Warn of a budget within which an input can be anything: the largest distance there is in its norm, or more."""
    if not isinstance(risk.threat, EvasionThreat):
        return
    epsilon, norm = risk.threat.epsilon, risk.threat.norm
    if epsilon >= (1.0 if norm == "linf" else math.sqrt(schema.width)):
        yield (
            f"risks.{risk.game.risk}.threat.epsilon: within a budget of {epsilon:g} ({norm}, in which each feature's "
            "range is 1) every input can become every other, but for what it may not change: no model that tells them "
            "apart is robust"
        )
