"""The words, signs and number formats that the report and the terminal share, so that both say the same."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from amulet_core.results import Column, Conflict, Effect, Entry, Results
from amulet_core.vocabulary import UTILITY, UTILITY_WORDS


@dataclass(frozen=True)
class Look:
    """How a verdict is shown: a sign, a word, the name of its colour, and what it means."""

    sign: str
    word: str
    colour: str
    meaning: str


LOOKS: Final[Mapping[str, Look]] = {
    "risk up": Look("▲", "risk up", "up", "the defense makes the risk larger; mere chance is unlikely"),
    "risk down": Look("▼", "risk down", "down", "the defense makes the risk smaller; mere chance is unlikely"),
    "no change": Look("=", "no change", "same", "no change larger than the column's margin (two one-sided tests)"),
    "inconclusive": Look("?", "inconclusive", "open", "the seeds decide neither for a change nor against one"),
    "degenerate": Look("~", "degenerate", "weak", "the model is near a constant one: its risks say nothing"),
    "too few seeds": Look("·", "too few seeds", "open", "estimates only: a verdict needs more seeds"),
    "blocked": Look("!", "blocked", "weak", "a warning stands against the verdict, so none is given"),
}
UTILITY_LOOKS: Final[Mapping[str, Look]] = {
    "risk up": Look("▼", UTILITY_WORDS["risk up"], "up", "the defense costs utility; mere chance is unlikely"),
    "risk down": Look("▲", UTILITY_WORDS["risk down"], "down", "the defense adds utility; mere chance is unlikely"),
}
CONFLICT_LOOKS: Final[Mapping[str, Look]] = {
    "conflict": Look("✗", "conflict", "up", "together the member's protection is smaller; mere chance is unlikely"),
    "kept": Look("✓", "kept", "down", "together no more than the column's margin is lost of the member's protection"),
    "inconclusive": Look("?", "inconclusive", "open", "the seeds decide neither for a loss nor against one"),
    "degenerate": Look("~", "degenerate", "weak", "a model is near a constant one: its risks say nothing"),
    "too few seeds": Look("·", "too few seeds", "open", "estimates only: a verdict needs more seeds"),
    "blocked": Look("!", "blocked", "weak", "a warning stands against the verdict, so none is given"),
    "missing": Look("–", "not measured", "open", "the chain, or the member alone, has no value"),
}
"""How it is shown whether a chain keeps what a member does alone."""
DESIGNS: Final[Mapping[str, str]] = {
    "crossed": "crossed: all seeds share one block of rows, and each victim trains on a balanced half of it",
    "disjoint": "disjoint: each seed has a block of rows of its own",
}
"""How the seeds' rows relate, by the name of the design."""
DECIDED: Final = (
    "“No change” is decided by a test of its own, not by the interval shown: two one-sided t tests, which is to say "
    "that the 90 % interval (before adjustment) lies inside the margin. The interval shown belongs to the test for a "
    "change and is wider, so it may reach beyond the margin where the verdict is “no change”. Both p values are "
    "adjusted by Holm's procedure; a verdict needs one of at most 0.05, and a change is looked for first."
)
"""Which of two intervals and p values decides for no change, and which are shown."""
BOUNDS: Final = "lower bounds, and a small one is no evidence of privacy"
"""What a column of bounds shows, within a sentence."""


def look(verdict: str, risk: str) -> Look:
    """Return how a verdict is shown in a risk's column; utility is a virtue, so its words turn round."""
    return UTILITY_LOOKS[verdict] if risk == UTILITY and verdict in UTILITY_LOOKS else LOOKS[verdict]


def conflict_look(conflict: Conflict) -> Look:
    """Return how the verdict on a chain and one of its members is shown."""
    found = CONFLICT_LOOKS[conflict.verdict]
    return replace(found, word="conflict in part") if conflict.partial else found


def judged(column: Column, results: Results) -> str:
    """Return what a column's verdicts are about, with the part of the threat model that the value depends on."""
    label = column.primary_label
    match column.risk, column.threat:
        case "evasion", {"epsilon": float() | int() as epsilon, "norm": str(norm)}:
            return f"{label} at ε {epsilon:g}, {norm}"
        case "membership-inference", {"shadow": str(shadow)} if _has_shadow_models(results):
            return f"{label}, {shadow} shadow models"
        case "attribute-inference", threat:
            attribute = threat.get("attribute") or _first_attribute(results)
            without = threat.get("without")
            names = [str(name) for name in without] if isinstance(without, list) else []
            names = ["the row"] if threat.get("knows") == "class" else names
            return f"{label} by {attribute}" + (f", {listing(names)} withheld" if names else "")
        case "discriminatory-behavior", threat if attribute := threat.get("attribute") or _first_attribute(results):
            return f"{label} by {attribute}"
    return label


def _has_shadow_models(results: Results) -> bool:
    """Say whether an attack on membership asked for shadow models: only then its adversary is told by them."""
    told = {cell.adversary for cell in results.cells if cell.risk == "membership-inference"}
    return any(adversary == "adaptive" or "shadow models" in adversary for adversary in told)


def _first_attribute(results: Results) -> str:
    """Return the sensitive attribute that a threat model means by naming none: the data set's first, or nothing."""
    sensitive = results.data.get("sensitive")
    return next(iter(sensitive), "") if isinstance(sensitive, dict) else ""


def reasons(entry: Entry) -> tuple[str, ...]:
    """Return why a square has no value or no verdict, and its warnings; each once."""
    verdict_reason = entry.effect.verdict_reason if entry.effect else ""
    found = (entry.missing, verdict_reason, entry.degenerate, *entry.warnings)
    return tuple(dict.fromkeys(reason for reason in found if reason))


def number(value: float) -> str:
    """Return a value to three decimals; very large and very small ones in scientific notation."""
    if value and not 0.0005 <= abs(value) < 1e5:
        return _minus(f"{value:.1e}")
    return _minus(f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}")


def in_column(values: Iterable[float]) -> Callable[[float], str]:
    """Return how all numbers of a column are written: as ``number``, or if one of them is small with two more decimals.

    What is too small even for these reads ``<0.00001``, and exactly zero as zero.
    """
    return _long if any(value and abs(value) < 0.0005 for value in values) else number


def _long(value: float) -> str:
    if value and abs(value) < 0.000005:
        return "<0.00001" if value > 0 else ">−0.00001"
    return _minus(f"{value:.5f}") if abs(value) < 100 else number(value)


def probability(value: float | None) -> str:
    """Return a p value to three decimals, one that would read as zero as ``<0.001``; nothing of none."""
    if value is None:
        return ""
    return "<0.001" if value < 0.0005 else number(value)


def signed(value: float) -> str:
    """Return a change with its sign; a change that rounds to nothing has the plus."""
    if abs(value) >= 1e5:
        return _minus(f"{value:+.1e}")
    digits = 3 if abs(value) < 100 else 1
    return _minus(f"{round(value, digits) + 0.0:+.{digits}f}")


def interval(low: float | None, high: float | None) -> str:
    """Return ``[low, high]`` of a change, or nothing where there is no interval."""
    return "" if low is None or high is None else f"[{signed(low)}, {signed(high)}]"


def span(low: float | None, high: float | None, *, text: Callable[[float], str] = number) -> str:
    """Return ``[low, high]`` of a value, or nothing where there is no interval."""
    return "" if low is None or high is None else f"[{text(low)}, {text(high)}]"


def effect_interval(effect: Effect) -> str:
    """Return the interval of an effect, or nothing where there is none."""
    return interval(effect.low, effect.high)


def listing(items: Sequence[str]) -> str:
    """Return ``a``, ``a and b``, or ``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def in_sentence(column: Column) -> str:
    """Return a column's title as it stands within a sentence; an abbreviation keeps its capitals."""
    title = column.risk if column.risk == UTILITY else column.title
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def count(number_of: int, one: str, many: str = "") -> str:
    """Return ``1 seed`` or ``3 seeds``."""
    return f"{number_of} {one if number_of == 1 else many or one + 's'}"


def printable(text: str) -> str:
    """Return a text of others without the control characters that could drive a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))


def _minus(text: str) -> str:
    """Return a number with a true minus: screen readers skip a hyphen."""
    return text.replace("-", "−")
