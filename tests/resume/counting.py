"""What a run did, told from its provenance."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from amulet_core.results import Results


class Cost(NamedTuple):
    """The rows that a run trained for, those whose shadow models it asked, and what it played."""

    trained: AbstractSet[str] = frozenset()
    asked: AbstractSet[str] = frozenset()
    played: AbstractSet[str] = frozenset()


def trained(results: Results) -> set[str]:
    """Return which rows a run trained models for."""
    return {label.split()[1] for label in results.provenance.timings if label.startswith("train ")}


def asked(results: Results) -> set[str]:
    """Return whose shadow models a run asked."""
    return {label.split()[1].removesuffix("'s") for label in results.provenance.timings if label.startswith("ask ")}


def played(results: Results) -> set[str]:
    """Return the attacks, and games without one, that a run played: a name and a row each."""
    return {
        label.partition(",")[0]
        for label in results.provenance.timings
        if not label.startswith(("train ", "ask ", "worst case "))
    }


def cost(results: Results) -> "Cost":
    """Return what a run cost."""
    return Cost(trained(results), asked(results), played(results))


def outcome(results: Results) -> Mapping[str, Any]:
    """Return all of the results that must be equal bit for bit, whatever was known before."""
    found = results.model_dump(mode="json", exclude={"provenance"})
    del found["config"]["executor"]
    return found | {"evidence": results.provenance.evidence}
