"""``amulet conjecture``: what is published of a defense and a risk, or what its factors let one conjecture. Light."""

from textwrap import fill
from typing import Any, Final

from pydantic import JsonValue

from amulet_core.discovery.registry import Registry
from amulet_core.errors import RequestError, did_you_mean
from amulet_core.published.conjecture import Agreement, Conjecture, SharedFactor, agreement, conjecture
from amulet_core.published.tables import expected, factors, published
from amulet_core.vocabulary import RISKS

SOURCE: Final = (
    "Duddu, Szyller, Asokan: SoK: Unintended Interactions among Machine Learning Defenses and Risks (2024), "
    "arXiv:2312.04542"
)
EVIDENCE: Final = {"T": "theoretical", "E": "empirical", "C": "conjectured"}

Record = dict[str, JsonValue]


def conjectured(defense: str, risk: str, registry: Registry) -> Record:
    """Return what is published of a defense (a component, or a row of the tables) and a risk, as JSON values.

    Raises:
        RequestError: if there is no such defense or risk, or the tables have no row for it.
    """
    problems: list[str] = []
    row, column = _row(defense, registry, problems), _column(risk, problems)
    if problems:
        raise RequestError(*problems)
    known, guess = expected(row, column), conjecture(row, column)
    assert known is not None  # every row of the tables meets every column
    return {
        "id": f"{defense} on {risk}",
        "row": known.defense,
        "column": known.risk,
        "source": SOURCE,
        "effect": known.effect,
        "evidence": {factors()[factor].name: _spelt(letters) for factor, letters in known.factors},
        "note": known.note,
        "measured_since": list(known.measured_since),
        "conjecture": guess.answer,
        "factors": [_factor(one, guess) for one in guess.factors],
        "rule": agreement().model_dump(),
    }


def conjecture_text(record: dict[str, Any], *, width: int) -> str:
    """Return a record for a terminal: the known effect with its evidence, or else the conjecture with its factors."""
    known = record["effect"] != "unexplored"
    parts = [
        f"{record['id']}: " + (f"published: {record['effect']}" if known else f"conjecture: {record['conjecture']}"),
        f"In the tables: {record['row']} and {record['column']}.",
        *(_known(record) if known else _guessed(record)),
        *([f"Note: {record['note']}."] if record["note"] else []),
        *([f"Measured since by {', '.join(record['measured_since'])}."] if record["measured_since"] else []),
        f"Source: {record['source']}.",
    ]
    return "\n".join(fill(part, width, subsequent_indent="      " if part[0] == " " else "  ") for part in parts)


def _known(record: dict[str, Any]) -> list[str]:
    evidence = [f"  {name}: {kind}" for name, kind in record["evidence"].items()]
    what = "Factors, with the kind of evidence:" if evidence else "No factor is given for it."
    return [
        f"An effective defense goes with {_more(record['effect'])} risk. That is what papers found; it may not hold "
        "for your data, and a correlation is no cause.",
        what,
        *evidence,
    ]


def _guessed(record: dict[str, Any]) -> list[str]:
    found = [
        f"  {one['role']}: {one['name']}: goes {one['with_defense']} with the defense, and the risk goes "
        f"{one['with_risk']} with it: {one['speaks_for']}"
        for one in record["factors"]
    ]
    agreed = Agreement.model_validate(record["rule"])
    return [
        f"Unexplored in 2024. {_MEANING[record['conjecture']]}",
        *(["Factors in common, those that count first:", *found] if found else []),
        f"This is a conjecture, not a finding: of the {agreed.same + agreed.opposite + agreed.undecided} effects that "
        f"are known, the same rule gives {agreed.same} as published and {agreed.opposite} the other way round, and "
        f"leaves {agreed.undecided} open. Measure it: amulet run.",
    ]


_MEANING: Final = {
    "increase": "The factors that count speak for a larger risk.",
    "decrease": "The factors that count speak for a smaller risk.",
    "tie": "The factors that count contradict each other.",
    "no common factor": "The tables name no factor that defense and risk have in common: nothing is conjectured.",
}


def _more(effect: str) -> str:
    return "a larger" if effect == "increase" else "a smaller"


def _factor(one: SharedFactor, guess: Conjecture) -> Record:
    return {
        "id": one.id,
        "name": one.factor.name,
        "role": one.factor.role,
        "counts": one in guess.deciding,
        "with_defense": _way(one.defense),
        "with_risk": _way(one.risk),
        "speaks_for": one.speaks_for,
    }


def _way(arrow: str) -> str:
    return "up" if arrow == "+" else "down"


def _spelt(letters: str) -> str:
    return " and ".join(EVIDENCE[letter] for letter in letters)


def _row(name: str, registry: Registry, problems: list[str]) -> str:
    """Return the id of the tables' row that a component belongs to, or that is called so."""
    rows = {row.name: key for key, row in published().defenses.items()}
    there = f"Their rows: {', '.join(rows)}."
    try:
        entry = registry.find("defense", name)
    except RequestError as error:
        plain = name.lower().replace("-", " ")
        if plain in rows:
            return rows[plain]
        problems += error.problems
        if "/" not in name:
            problems.append(f'The published tables have no row "{name}" either{did_you_mean(plain, rows)} {there}')
        return ""
    sok = getattr(entry.component, "sok", None)
    if sok not in published().defenses:
        problems.append(f"{entry.id} belongs to no row of the published tables. {there}")
        return ""
    return str(sok)


def _column(name: str, problems: list[str]) -> str:
    columns = {risk.name.replace(" ", "-"): key for key, risk in published().risks.items()}
    found = columns.get(name.lower().replace(" ", "-"))
    if found is None:
        problems.append(f'unknown risk "{name}"{did_you_mean(name, RISKS)} There are: {", ".join(RISKS)}.')
    return found or ""
