"""What is logged of a run, as plain names and values that keep to MLflow's limits; knows nothing of mlflow itself."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

LONGEST_NAME: Final = 250
LONGEST_PARAM: Final = 6000
LONGEST_TAG: Final = 5000
FILES: Final = ("results.csv", "conflicts.csv", "results.json", "provenance.json", "report.html")


class Metric(NamedTuple):
    """A number under a name; the step is the seed it belongs to."""

    name: str
    value: float
    step: int


def row_names(labels: Iterable[str]) -> dict[str, str]:
    """Return how each row is called in names, where MLflow allows words, spaces, dots and dashes only.

    Labels that would be called the same keep apart by a piece of their hash.
    """
    plain = {label: _plain(label) for label in labels}
    times = Counter(name.casefold() for name in plain.values())
    return {label: _marked(name, label) if times[name.casefold()] > 1 else name for label, name in plain.items()}


def labels_of(run: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels of all rows of a resolved configuration."""
    return ("none", "placebo", *(row["label"] for row in run["defenses"]))


def params(run: Mapping[str, Any]) -> dict[str, str]:
    """Return a resolved configuration as flat texts: ``training.epochs``, ``defenses.0.chain.0.name`` and so on."""
    return {_name(key): _cut(text, LONGEST_PARAM) for key, text in _flat("", run)}


def cell_metrics(cell: Mapping[str, Any], rows: Mapping[str, str]) -> list[Metric]:
    """Return the values of a cell, as ``risk/attack/metric/value/row``; withheld ones have none."""
    played = (cell["risk"], _bare(cell["attack"])) if cell["attack"] else (cell["risk"],)
    return [
        Metric(
            _name("/".join((*played, _bare(measured["metric"]), value["name"], rows[cell["row"]]))),
            value["estimate"],
            cell["seed"],
        )
        for measured in cell["measured"]
        for value in measured["scores"]["values"]
        if "estimate" in value
    ]


def entry_metrics(results: Mapping[str, Any], rows: Mapping[str, str]) -> list[Metric]:
    """Return the mean primary value of each entry and its effect with interval, as ``effect/risk/difference/row``."""
    return [
        Metric(_name(f"effect/{entry['risk']}/{name}/{rows[entry['row']]}"), value, 0)
        for entry in results["entries"]
        for name, value in _numbers(entry)
        if value is not None
    ]


def tags(results: Mapping[str, Any], rows: Mapping[str, str], *, version: str) -> dict[str, str]:
    """Return what is to be known of a run that has ended, and a verdict for each risk and row."""
    counts = Counter(cell["status"] for cell in results["cells"])
    told = {
        "amulet.version": version,
        "amulet.complete": json.dumps(results["provenance"]["complete"]),
        "amulet.cells": ", ".join(f"{counts[status]} {status}" for status in ("ok", "failed", "skipped")),
    }
    verdicts = {
        _name(f"verdict/{entry['risk']}/{rows[entry['row']]}"): _verdict(entry["effect"])
        for entry in results["entries"]
        if entry["effect"] is not None
    }
    return {name: _cut(text, LONGEST_TAG) for name, text in (told | verdicts).items()}


def status(results: Mapping[str, Any]) -> str:
    """Return MLflow's word for how a run ended: KILLED if it was interrupted, FAILED if a cell failed."""
    if not results["provenance"]["complete"]:
        return "KILLED"
    return "FAILED" if any(cell["status"] == "failed" for cell in results["cells"]) else "FINISHED"


def _numbers(entry: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    yield "mean", entry["mean"]
    if entry["effect"] is not None:
        for name in ("difference", "low", "high"):
            yield name, entry["effect"][name]


def _verdict(effect: Mapping[str, Any]) -> str:
    reason = effect["verdict_reason"]
    return f"{effect['verdict']}: {reason}" if reason else str(effect["verdict"])


def _flat(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _flat(f"{key}.{name}" if key else name, part)
    elif isinstance(value, list) and any(isinstance(part, Mapping | list) for part in value):
        for index, part in enumerate(value):
            yield from _flat(f"{key}.{index}", part)
    else:
        yield key, value if isinstance(value, str) else json.dumps(value)


def _bare(identifier: str) -> str:
    return identifier.removeprefix("builtin/")


def _plain(text: str) -> str:
    return re.sub(r"[^\w.\- ]", "_", text).strip(" .") or "_"


def _name(text: str) -> str:
    """Keep to what MLflow accepts as a name: its characters, no empty part or ``..`` between slashes, its length."""
    name = "/".join(_plain(part) for part in text.split("/"))
    return name if len(name) <= LONGEST_NAME else _marked(name[: LONGEST_NAME - 7], text)


def _marked(name: str, of: str) -> str:
    return f"{name}-{hashlib.sha256(of.encode()).hexdigest()[:6]}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
