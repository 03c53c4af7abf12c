"""The metric of ownership verification: which suspects are claimed, judged against a pool of independent models."""

import math

import torch
from pydantic import JsonValue
from torch import Tensor

from amulet_core.components import NoParams
from amulet_core.games.verification import VerificationResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_core.statistics.proportions import wilson


def measure(result: VerificationResult, params: NoParams) -> Scores:  # noqa: ARG001 - there is nothing to set
    """Return how many derived suspects are claimed at the false positive rate, and who is claimed by mistake.

    A suspect is claimed if its empirical p-value, ``(1 + #{null >= score}) / (1 + N)`` over the N independent models
    of the pool (Phipson and Smyth 2010, arXiv:1603.05766, equation 2), is at most ``fpr``. One p-value of the method's
    own is no evidence: how often it condemns independent models is a value beside (arXiv:2210.13631).
    """
    p = empirical_p(result.score, result.null)
    claimed = p <= result.fpr
    return Scores(
        values=(
            _claimed("true_positive_rate", claimed, result.derived, result, who="derived from the victim"),
            _claimed("retrained_claimed", claimed, ~result.derived, result, who="retrained without the defense"),
            _own_false_claims(result),
            _mean_accuracy(result),
            _median_accuracy(result),
        ),
        details={
            "fpr": result.fpr,
            "smallest_p": _floor(result),
            "independent_models": len(result.null),
            "suspects": _suspects(result, p),
            "independent": [
                _pool(result, "with a defense of their own", result.defended),
                _pool(result, "without any", ~result.defended),
            ],
        },
    )


def empirical_p(score: Tensor, null: Tensor) -> Tensor:
    """Return the p-value ``[k]`` of each score: the share of ``null [pool]`` and the suspect itself that reach it."""
    return (1 + (null[None] >= score[:, None]).sum(1)).double() / (1 + len(null))


def _floor(result: VerificationResult) -> float:
    return 1 / (1 + len(result.null))


def _claimed(name: str, claimed: Tensor, whose: Tensor, result: VerificationResult, *, who: str) -> Value | Withheld:
    if result.fpr < _floor(result):
        text = (
            f"{len(result.null)} independent models give no p-value below {_floor(result):.3g}: nothing can be claimed "
            f"at a false positive rate of {result.fpr:g}; {_needed(result.fpr)} are needed"
        )
        return Withheld(name=name, reason=text)
    if not whose.any():
        return Withheld(name=name, reason=f"no suspect is {who}")
    return _share(name, claimed[whose])


def _needed(fpr: float) -> int:
    """Return how many independent models it takes for a p-value of ``fpr``."""
    return math.ceil(1 / fpr - 1e-9) - 1


def _own_false_claims(result: VerificationResult) -> Value | Withheld:
    name = "own_p_false_claims"
    if result.null_p is None:
        return Withheld(name=name, reason="the method has no p-value of its own")
    if not len(result.null_p):
        return Withheld(name=name, reason="the pool has no independent model")
    return _share(name, result.null_p <= result.fpr)


def _mean_accuracy(result: VerificationResult) -> Value | Withheld:
    name, found = "accuracy_of_derived", result.accuracy[result.derived]
    if not len(found):
        return Withheld(name=name, reason="no suspect is derived from the victim")
    method = "mean over the derived suspects, which the game chooses: no interval"
    return Value(name=name, estimate=float(found.mean()), method=method, n=len(found))


def _median_accuracy(result: VerificationResult) -> Value | Withheld:
    name, found = "accuracy_of_independent", result.null_accuracy
    if found is None:
        return Withheld(name=name, reason="how accurate the independent models are was not measured")
    if not len(found):
        return Withheld(name=name, reason="the pool has no independent model")
    method = "median over the independent models, which share rows: no interval"
    return Value(name=name, estimate=_median(found), method=method, n=len(found))


def _median(values: Tensor) -> float:
    """Return the median, midway between the two in the middle of evenly many (where ``Tensor.median`` takes one)."""
    return float(values.quantile(0.5))


def _suspects(result: VerificationResult, p: Tensor) -> list[JsonValue]:
    own = [None] * len(p) if result.p is None else result.p.tolist()
    return [
        {
            "suspect": name,
            "derived": bool(result.derived[at]),
            "score": float(result.score[at]),
            "p": float(p[at]),
            "own_p": own[at],
            "accuracy": float(result.accuracy[at]),
        }
        for at, name in enumerate(result.names)
    ]


def _pool(result: VerificationResult, kind: str, chosen: Tensor) -> dict[str, JsonValue]:
    """Return the scores and accuracies of the pool's models of one kind, and how many the method's own p condemns."""
    own = None if result.null_p is None else int((result.null_p[chosen] <= result.fpr).sum())
    return {
        "kind": kind,
        "models": int(chosen.sum()),
        **_spread("score", result.null[chosen]),
        **_spread("accuracy", None if result.null_accuracy is None else result.null_accuracy[chosen]),
        "own_p_claims": own,
    }


def _spread(what: str, values: Tensor | None) -> dict[str, float | None]:
    """Return the lowest, the median and the highest of some values (nothing of none)."""
    if values is None or not len(values):
        return {f"{how}_{what}": None for how in ("lowest", "median", "highest")}
    found = {"lowest": float(values.min()), "median": _median(values), "highest": float(values.max())}
    return {f"{how}_{what}": value for how, value in found.items()}


def _share(name: str, holds: Tensor) -> Value:
    return Value.of(name, wilson(int(torch.count_nonzero(holds)), len(holds)), n=len(holds))
