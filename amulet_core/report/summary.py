"""The summary in plain language: what each defense did to which risk, and no more than the verdicts support."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from amulet_core.report.words import count, in_sentence, listing, number, signed, span
from amulet_core.results import PLACEBO, Column, Effect, Entry, Results
from amulet_core.scores import ALARM
from amulet_core.statistics.overlap import widening
from amulet_core.vocabulary import UTILITY

Found = tuple[str, str, Effect]
"""A column's title within a sentence, its primary value's label, and the effect on it."""


@dataclass(frozen=True)
class Summary:
    """Alarms by row, an opening of a few sentences, one sentence a defense, and what the placebo row did."""

    opening: str
    defenses: tuple[tuple[str, str], ...]
    placebo: str
    alarms: tuple[tuple[str, str], ...] = ()


def summary(results: Results) -> Summary:
    """Return the summary of a run."""
    defenses = [row.label for row in results.rows if row.kind == "defense"]
    return Summary(
        opening=_opening(results, defenses),
        defenses=tuple((label, _sentence(results, label)) for label in defenses),
        placebo=_placebo(results),
        alarms=alarms(results),
    )


def alarms(results: Results) -> tuple[tuple[str, str], ...]:
    """Return the alarms of a run: each row's label, and what was found of it."""
    found = [(entry.row, text) for entry in results.entries for text in entry.warnings if text.startswith(ALARM)]
    return tuple((label, text.removeprefix(ALARM)) for label, text in found)


def effects(results: Results, label: str) -> tuple[Found, ...]:
    """Return a row's effects in the order of the columns, utility among them."""
    found = {entry.risk: entry.effect for entry in results.entries if entry.row == label}
    return tuple(
        (in_sentence(column), column.primary_label, effect)
        for column in results.columns
        if (effect := found.get(column.risk)) is not None
    )


def _opening(results: Results, defenses: Sequence[str]) -> str:
    verdicts = [
        effect.verdict for label in defenses for title, _, effect in effects(results, label) if title != UTILITY
    ]
    counts = Counter[str](verdicts)
    said = [
        f"{counts['risk up']} {'shows' if counts['risk up'] == 1 else 'show'} risk up",
        f"{counts['risk down']} risk down",
        f"{counts['no change']} no change beyond the margin",
        f"{counts['inconclusive']} inconclusive",
    ]
    without = len(verdicts) - sum(counts[verdict] for verdict in ("risk up", "risk down", "no change", "inconclusive"))
    said += [f"{without} without a verdict"] if without else []
    risks = [in_sentence(column) for column in results.columns if column.risk != UTILITY]
    data = results.data.get("id", "the data")
    compared = (
        f"Of {count(len(verdicts), 'comparison')}, {listing(said)}." if verdicts else "Nothing could be compared."
    )
    wide = _wide(results) if counts["inconclusive"] > len(verdicts) / 2 else ""
    return (
        f"{count(len(defenses), 'defense row')} compared with the undefended model on {data}, "
        f"over {count(len(results.seeds), 'seed')}, for {listing(risks) if risks else 'no risk'}. {compared}{wide}"
    )


def _wide(results: Results) -> str:
    if not results.overlap or not _enough(results):
        return ""
    times = widening(len(results.seeds), overlap=results.overlap)
    return (
        f" The seeds share rows, which makes intervals {times:.1f} times as wide; with “design: disjoint” under data "
        "each seed has rows of its own, for which the data have enough."
    )


def _enough(results: Results) -> bool:
    """Say whether the data have rows for a block of each seed's own; not where their sizes were not kept."""
    sizes, rows = results.data.get("sizes"), results.data.get("rows")
    if not isinstance(sizes, dict) or not isinstance(rows, int):
        return False
    parts = {part: n for part, n in sizes.items() if isinstance(n, int)}
    return len(results.seeds) * (sum(parts.values()) + parts.get("train", 0)) <= rows


def _sentence(results: Results, label: str) -> str:
    found = effects(results, label)
    named = {title for title, _, _ in found}
    alone = {entry.risk: entry for entry in results.entries if entry.row == label and entry.effect is None}
    values = [_own_value(column, alone[column.risk]) for column in results.columns if _has_own(column, alone)]
    missing = [
        in_sentence(column)
        for column in results.columns
        if in_sentence(column) not in named
        and not _has_own(column, alone)
        and not (column.risk in alone and alone[column.risk].inapplicable)
    ]
    parts = [*_clauses(found)]
    said = f"{listing(parts)}." if parts else "got no verdict of a change."
    rest = [
        *_others(found, "inconclusive", "Inconclusive for"),
        *_others(found, "degenerate", "Degenerate, hence no verdict, for"),
        *_others(found, "blocked", "Verdict blocked for"),
        *_others(found, "too few seeds", "Too few seeds for a verdict on"),
        *([f"Without a change to judge: {listing(values)}."] if values else []),
        *([f"Not measured: {listing(missing)}."] if missing else []),
    ]
    return " ".join([said, *rest])


def _has_own(column: Column, alone: Mapping[str, Entry]) -> bool:
    """Say whether a column shows a row's value itself, for which there is no value without the defense."""
    return column.alone and column.risk in alone and alone[column.risk].mean is not None


def _own_value(column: Column, entry: Entry) -> str:
    assert entry.mean is not None
    shown = f"{number(entry.mean)} {span(entry.low, entry.high)}".strip()
    return f"{in_sentence(column)} ({column.primary_label} {shown})"


def _clauses(found: Sequence[Found]) -> Iterator[str]:
    for verdict, verb in (("risk up", "raised"), ("risk down", "lowered")):
        named = [_changed(each) for each in found if each[2].verdict == verdict and each[0] != UTILITY]
        if named:
            yield f"{verb} the {'risk' if len(named) == 1 else 'risks'} of {listing(named)}"
    same = [title for title, _, effect in found if effect.verdict == "no change"]
    if same:
        yield f"left {listing(same)} within the margin"
    for verdict, verb in (("risk up", "cost"), ("risk down", "added")):
        yield from (f"{verb} {_changed(each)}" for each in found if each[2].verdict == verdict and each[0] == UTILITY)


def _others(found: Sequence[Found], verdict: str, words: str) -> Iterator[str]:
    named = [title for title, _, effect in found if effect.verdict == verdict]
    if named:
        yield f"{words} {listing(named)}."


def _placebo(results: Results) -> str:
    labels = [row.label for row in results.rows if row.kind == PLACEBO]
    found = [each for label in labels for each in effects(results, label)]
    if not found:
        return "No placebo row was measured, so the noise floor is unknown."
    judged = [each for each in found if each[2].verdict in ("risk up", "risk down")]
    if judged:
        return (
            f"The placebo row, which differs from none by nothing but the training seed, got a verdict for "
            f"{listing([_changed(each) for each in judged])}: read the verdicts of these columns with caution."
        )
    return "The placebo row, which differs from none by nothing but the training seed, got no verdict of a change."


def _changed(found: Found) -> str:
    title, label, effect = found
    return f"{title} ({label} {signed(effect.difference)})"
