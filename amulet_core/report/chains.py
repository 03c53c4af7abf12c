"""What the report and the terminal say of chains: whether they keep what each of their members does alone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from amulet_core.report.words import (
    Look,
    conflict_look,
    count,
    in_sentence,
    interval,
    listing,
    number,
    probability,
    signed,
)
from amulet_core.results import Column, Conflict, Results
from amulet_core.vocabulary import UTILITY


@dataclass(frozen=True)
class ChainLine:
    """One chain, one of its members and one risk: values without, alone and together, and what follows.

    ``left`` says how much of the member's effect there is together: ``0.25 of 0.92``.
    """

    chain: str
    member: str
    risk: str
    value: str
    without: str
    alone: str
    together: str
    left: str
    difference: str
    interval: str
    level: str
    p: str
    look: Look
    reason: str


@dataclass(frozen=True)
class Chains:
    """What is said of all chains: a sentence that counts, the conflicts in words, a table, and what has no values."""

    opening: str
    lost: tuple[str, ...]
    lines: tuple[ChainLine, ...]
    gaps: tuple[str, ...]


def chains(results: Results) -> Chains | None:
    """Return what is to be said of the chains; nothing where there is none."""
    sizes = [len(row.chain) for row in results.rows if len(row.chain) > 1]
    if not sizes:
        return None
    columns = {column.risk: column for column in results.columns}
    found = [conflict for conflict in results.conflicts if conflict.risk in columns]
    pairs = sum(sizes) * sum(column.risk != UTILITY and not column.bound for column in columns.values())
    return Chains(
        opening=_opening(found, pairs),
        lost=tuple(_lost(each, columns[each.risk]) for each in found if each.verdict == "conflict"),
        lines=tuple(_line(each, columns[each.risk]) for each in found if each.verdict != "missing"),
        gaps=tuple(_gaps(found, columns)),
    )


def text_lines(results: Results) -> Iterator[str]:
    """Yield what stands of chains below the matrix of the terminal: the conflicts, and a count of the rest."""
    said = chains(results)
    if said is not None:
        yield f"Chains: {said.opening}"
        yield from (f"✗ {lost}" for lost in said.lost)


def _opening(found: Sequence[Conflict], pairs: int) -> str:
    counts = Counter[str](conflict.verdict for conflict in found)
    without = len(found) - sum(counts[verdict] for verdict in ("conflict", "kept", "inconclusive"))
    parts = [
        count(counts["conflict"], "conflict"),
        f"{counts['kept']} kept",
        f"{counts['inconclusive']} inconclusive",
        *([f"{without} without a verdict"] if without else []),
        *([f"{pairs - len(found)} in which the member alone shows no protection"] if pairs > len(found) else []),
    ]
    return f"of {count(pairs, 'pair')} of a chain's member and a risk, {listing(parts)}."


def _lost(conflict: Conflict, column: Column) -> str:
    part = "part of what" if conflict.partial else "what"
    said = f"{conflict.chain} loses {part} {_name(conflict)} does alone for {in_sentence(column)}"
    values = [
        f"{number(value)} {where}"
        for value, where in (
            (conflict.with_member, "alone"),
            (conflict.together, "together"),
            (conflict.without, "without"),
        )
        if value is not None
    ]
    left = _left(conflict, column)
    return f"{said}: {column.primary_label} {', '.join(values)}{f'; {left} left' if left else ''}"


def _line(conflict: Conflict, column: Column) -> ChainLine:
    return ChainLine(
        chain=conflict.chain,
        member=_name(conflict),
        risk=column.title,
        value=column.primary_label,
        without=_number(conflict.without),
        alone=_number(conflict.with_member),
        together=_number(conflict.together),
        left=_left(conflict, column),
        difference="" if conflict.difference is None else signed(conflict.difference),
        interval=interval(conflict.low, conflict.high),
        level="" if conflict.level is None else f"{conflict.level:.2%}",
        p=probability(conflict.p_adjusted),
        look=conflict_look(conflict),
        reason=conflict.verdict_reason,
    )


def _left(conflict: Conflict, column: Column) -> str:
    """Return how much of the member's effect there is together, counted towards the better side."""
    without, alone, together = conflict.without, conflict.with_member, conflict.together
    if without is None or alone is None or together is None:
        return ""
    sign = 1 if column.better == "higher" else -1
    return f"{number(sign * (together - without))} of {number(sign * (alone - without))}"


def _gaps(found: Sequence[Conflict], columns: dict[str, Column]) -> Iterator[str]:
    """Say where no comparison was possible; equal reasons are one sentence."""
    whose: dict[tuple[str, str, str], list[str]] = {}
    for each in found:
        if each.verdict == "missing":
            key = (each.chain, _name(each), each.verdict_reason)
            whose.setdefault(key, []).append(in_sentence(columns[each.risk]))
    for (chain, member, reason), titles in whose.items():
        yield f"{member} in {chain} ({', '.join(titles)}): {reason}"


def _name(conflict: Conflict) -> str:
    """Return the label of the member's own row, which may say more than its name; else its id."""
    return conflict.alone or conflict.member


def _number(value: float | None) -> str:
    return "" if value is None else number(value)
