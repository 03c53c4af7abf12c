"""From entries to conflicts: what a chain keeps of the protection that each of its members gives alone.

A member whose own row shows no protection has nothing to lose, and is not listed; its pair counts in the correction for
many tests all the same, since the seeds that show protection are those that are tested.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from amulet_core.results import NONE, Column, Conflict, Entry, Member, Row
from amulet_core.statistics.keeping import Keeping, alike, keeping
from amulet_core.statistics.paired import paired_interval
from amulet_core.statistics.verdicts import too_few
from amulet_core.vocabulary import UTILITY

Entries = Mapping[tuple[str, str], Entry]
NOT_ASKED_FOR = "not measured alone: the configuration says members_alone: false"
CANNOT_STAND_ALONE = "not measured alone: it cannot stand without the others of its chain"


class _Open(NamedTuple):
    """Why a pair is not tested."""

    verdict: Literal["degenerate", "too few seeds", "blocked", "missing"]
    reason: str


@dataclass(frozen=True)
class _Pair:
    """A chain, a member of it, and their differences by seed; ``known`` is what of a ``Conflict`` is settled before.

    ``counted``: its test is one of those that are corrected for, whether a verdict is given or not. ``listed``: the
    member protects alone, or that is not settled. ``trials``: how many shares rest on over all seeds.
    """

    known: Mapping[str, Any]
    differences: tuple[float, ...]
    untested: _Open | None
    warning: str = ""
    protects: bool = False
    counted: bool = False
    listed: bool = True
    trials: int | None = None


def conflicts(
    rows: Sequence[Row], columns: Sequence[Column], entries: Sequence[Entry], *, overlap: float, members_alone: bool
) -> tuple[Conflict, ...]:
    """Return, risk by risk, a verdict for each chain and each of its members that protects alone.

    A member protects where its own row got "risk down", or, in a column with a floor, where the interval of its value
    lies wholly on the better side of the floor. Utility is no risk, and a bound no protection. Where it could not be
    settled whether the member protects, or what the chain leaves of it, the verdict is the reason. Tests are adjusted
    over all pairs of a column that could be tested: which member protects is seen on the same seeds, so that choosing
    pairs by it would break the 5 %. ``overlap`` is Nadeau and Bengio's correction term; ``members_alone`` says whether
    members were to be measured alone.
    """
    found = {(entry.row, entry.risk): entry for entry in entries}
    lacking = CANNOT_STAND_ALONE if members_alone else NOT_ASKED_FOR
    return tuple(
        conflict
        for column in columns
        if column.risk != UTILITY and not column.bound
        for conflict in _judged(tuple(_pairs(rows, column, found, lacking)), column, overlap)
    )


def _judged(pairs: Sequence[_Pair], column: Column, overlap: float) -> Iterator[Conflict]:
    counted = [pair for pair in pairs if pair.counted]
    findings = iter(
        keeping(
            [pair.differences for pair in counted],
            margin=column.margin,
            better=column.better,
            trials=[pair.trials for pair in counted],
            overlap=overlap,
        )
    )
    for pair in pairs:
        finding = next(findings) if pair.counted else None
        if not pair.listed:
            continue
        if pair.untested is not None:
            yield _untested(pair, pair.untested, overlap)
        else:
            assert finding is not None  # nothing is open: the pair was counted
            yield _tested(pair, finding, column)


def _tested(pair: _Pair, finding: Keeping, column: Column) -> Conflict:
    few = f"all seeds are alike, but {pair.trials} trials in all are too few to settle a loss of {column.margin:g}"
    unseen = finding.verdict == "inconclusive" and pair.trials is not None and alike(pair.differences)
    # As with "risk down": what a warning stands against may be worse than it looks, never better.
    blocked = finding.verdict == "kept" and bool(pair.warning)
    return Conflict(
        **pair.known,
        low=finding.interval.low,
        high=finding.interval.high,
        level=finding.interval.level,
        p=finding.p,
        p_adjusted=finding.p_adjusted,
        p_kept=finding.p_kept,
        verdict="blocked" if blocked else finding.verdict,
        verdict_reason=f"together: a warning stands against it: {pair.warning}" if blocked else few if unseen else "",
        partial=finding.verdict == "conflict" and pair.protects,
    )


def _untested(pair: _Pair, why: _Open, overlap: float) -> Conflict:
    limits = {}
    if len(pair.differences) > 1:
        interval = paired_interval(pair.differences, overlap=overlap)
        limits = {"low": interval.low, "high": interval.high, "level": interval.level}
    return Conflict(**pair.known, **limits, verdict=why.verdict, verdict_reason=why.reason)


def _pairs(rows: Sequence[Row], column: Column, entries: Entries, lacking: str) -> Iterator[_Pair]:
    alone = {_spelled(row.chain[0]): row.label for row in reversed(rows) if len(row.chain) == 1}
    for row in rows:
        for member in row.chain if len(row.chain) > 1 else ():
            label = alone.get(_spelled(member), "")
            named = {"chain": row.label, "member": member.id, "alone": label, "risk": column.risk}
            if not label:
                yield _Pair(named, (), _Open("missing", lacking))
            else:
                yield _pair(named, column, entries)


def _pair(named: Mapping[str, str], column: Column, entries: Entries) -> _Pair:
    """Return a chain and a member that has a row of its own."""
    none, member, chain = (
        entries.get((label, column.risk), Entry(row=label, risk=column.risk, missing="not measured"))
        for label in (NONE, named["alone"], named["chain"])
    )
    standing = _standing(member, column, none)
    own, together, base = dict(member.values), dict(chain.values), dict(none.values)
    seeds = [seed for seed in own if seed in together]
    differences = tuple(together[seed] - own[seed] for seed in seeds)
    bases = [base[seed] for seed in seeds if seed in base] if column.floor is None else [column.floor]
    known: dict[str, Any] = {
        **named,
        "without": _mean(bases),
        "with_member": _mean([own[seed] for seed in seeds]) if seeds else member.mean,
        "together": _mean([together[seed] for seed in seeds]),
        "difference": _mean(differences),
        "seeds": len(seeds),
    }
    unsettled = _unsettled(chain, len(seeds))
    return _Pair(
        known,
        differences,
        untested=standing if isinstance(standing, _Open) else unsettled,
        warning=next(iter(chain.warnings), ""),
        protects=_standing(chain, column, none) == "protects",
        trials=min(chain.n, member.n) * len(seeds) if column.share and chain.n and member.n else None,
        counted=unsettled is None and (standing == "protects" or not member.degenerate),
        listed=standing != "no protection",
    )


def _standing(entry: Entry, column: Column, none: Entry) -> _Open | Literal["protects", "no protection"]:
    """Say whether a row protects from a column's risk, or why that is not settled.

    A warning of ``none`` says that the risk without a defense may be larger: any row compared with it may protect.
    """
    if entry.effect is None and (column.floor is None or not entry.values):
        return "no protection" if entry.inapplicable else _Open("missing", f"alone: {entry.missing}")
    if column.floor is not None:
        return _above_floor(entry, column, column.floor)
    effect = entry.effect
    assert effect is not None
    match effect.verdict:
        case "risk down":
            return "protects"
        case "blocked" if none.warnings:
            return _Open("blocked", f"alone: {effect.verdict_reason}")
        case "blocked" | "degenerate" | "too few seeds" if _gain(effect.difference, column) > 0:
            return _Open(effect.verdict, f"alone: {effect.verdict_reason}")
    return "no protection"


def _above_floor(entry: Entry, column: Column, floor: float) -> _Open | Literal["protects", "no protection"]:
    assert entry.mean is not None
    few = too_few(len(entry.values))
    worst = entry.low if column.better == "higher" else entry.high
    if _gain(entry.mean - floor, column) <= 0 or (not few and (worst is None or _gain(worst - floor, column) <= 0)):
        return "no protection"
    if entry.degenerate:
        return _Open("degenerate", f"alone: {entry.degenerate}")
    if few:
        return _Open("too few seeds", f"alone: {few}")
    if entry.warnings:
        return _Open("blocked", f"alone: a warning stands against it: {entry.warnings[0]}")
    return "protects"


def _unsettled(chain: Entry, seeds: int) -> _Open | None:
    """Say why a chain cannot be compared with its member, or nothing."""
    if not seeds:
        return _Open("missing", f"together: {chain.missing or 'no seed in common with the member alone'}")
    if chain.degenerate:
        return _Open("degenerate", f"together: {chain.degenerate}")
    few = too_few(seeds)
    return _Open("too few seeds", f"together: {few}") if few else None


def _gain(difference: float, column: Column) -> float:
    return difference if column.better == "higher" else -difference


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _spelled(member: Member) -> str:
    """Return a component with its parameters as a text."""
    return f"{member.id} {member.params}"
