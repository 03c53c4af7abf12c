"""Plans of every game on made-up facts, and which of their jobs have other keys after a change."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest

from amulet_core.configuration.reading import replaced, resolve
from amulet_core.configuration.request import Request
from amulet_core.discovery.registry import Registry, discover
from amulet_core.games.table import GAMES
from amulet_core.planning import job_specs
from amulet_core.planning.facts import DataFacts
from amulet_core.planning.jobs import FitWork, Job
from amulet_core.planning.plan import plan
from amulet_core.schema import DataSchema, Feasible, Sensitive

SCHEMA = DataSchema(
    modality="tabular",
    shape=(3,),
    classes=("no", "yes"),
    features=("a", "b", "c"),
    sensitive=(Sensitive(name="sex", categories=("f", "m")), Sensitive(name="age", categories=("old", "young"))),
    feasible=Feasible(low=0.0, high=1.0),
)
FACTS = DataFacts(
    data_schema=SCHEMA, rows=8000, content="these", class_rows=(4000, 4000), cells=(((2000, 2000), (2000, 2000)),) * 2
)


def use(name: str, **params: Any) -> dict[str, Any]:
    """Return a component as a configuration names it."""
    return {"name": name, "params": params}


RISKS: dict[str, Any] = {
    "evasion": {"attacks": [use("pgd"), use("fgsm")]},
    "poisoning": {"attacks": [use("badnets"), use("label-flip")]},
    "unauthorized-model-ownership": {"attacks": [use("model-extraction"), use("model-copy")]},
    "ownership-verification": {
        "attacks": [use("model-extraction"), use("model-copy")],
        "threat": {"budget": 300},  # not the other risk's 100 and 500
    },
    "membership-inference": {"attacks": [use("lira", shadow_models=4), use("loss-threshold")]},
    "attribute-inference": {"attacks": [use("attribute-mlp")]},
    "distribution-inference": {
        "attacks": [use("pim"), use("kl-test")],
        "threat": {"victims": 2, "models": 2, "rows": 100, "queries": 100},
    },
    "data-reconstruction": {"attacks": [use("mi-face"), use("output-decoder")]},
    "discriminatory-behavior": {},
    "privacy-audit": {"attacks": [use("loss-threshold")]},
    "utility": {},
}
DEFENSES = [
    use("watermark"),
    use("dp-sgd"),
    use("output-rounding"),
    use("randomized-smoothing"),
    use("dataset-inference"),
]
CONFIG: Mapping[str, Any] = {
    "dataset": use("compas"),
    "model": use("mlp"),
    "data": {"train": 400, "val": 100, "test": 400, "aux": 800},
    "defenses": DEFENSES,
    "risks": {risk: {"metrics": [use(one) for one in GAMES[risk].metrics]} | given for risk, given in RISKS.items()},
    "seeds": 1,
}

Keys = Mapping[str, set[str]]


@cache
def registry() -> Registry:
    """Return the built-in components."""
    return discover(select="")


def changed_registry(name: str, **changes: Any) -> Registry:
    """Return the built-in components as if those of this name were others: ``version`` or ``module`` say how."""

    def other(entry: Any) -> Any:
        module = changes.get("module", entry.module)
        return replace(entry, module=module, component=entry.component.model_copy(update=changes))

    found = registry()
    entries = tuple(other(one) if one.component.name == name else one for one in found.entries)
    return replace(found, entries=entries)


def asked(*overrides: str, config: Mapping[str, Any] = CONFIG, known: Registry | None = None) -> Request:
    """Return the request that a configuration is after overrides."""
    return resolve(replaced(config, overrides), known or registry())


def keys(request: Request, facts: DataFacts = FACTS) -> Keys:
    """Return the keys of a plan by the names of their jobs."""
    found = defaultdict(set)
    for key, job in plan(request, facts).jobs.items():
        found[_name(job)].add(key)
    return found


def _name(job: Job) -> str:
    """Return what a job is, in words that do not depend on its settings: ``Attack/evasion/pgd on ibp, seed 0``."""
    risk = getattr(job.work, "risk", None)
    of = job.work.places[0].source.split(" ")[0] if isinstance(job.work, FitWork) else risk.game.risk if risk else ""
    return f"{type(job.work).__name__.removesuffix('Work')}/{of}/{job.label.split(' (')[0].split(' asks ')[0]}"


def known_code(patched: pytest.MonkeyPatch) -> None:
    """Spare each plan the reading of all code, whose hashes have tests of their own."""
    patched.setattr(job_specs, "code_of", lambda package: package)
    patched.setattr(job_specs, "environment", lambda: {"processor": "this"})


def anew(before: Keys, after: Keys) -> set[str]:
    """Return the names of the jobs with other keys than before; all others must have theirs still, or be gone."""
    there = before.keys() & after.keys()
    found = {name for name in there if before[name].isdisjoint(after[name])}
    assert all(before[name] <= after[name] for name in there - found)
    return found


def among(names: Iterable[str], patterns: Iterable[str]) -> set[str]:
    """Return the names that fit one of the patterns, and none of those behind a dash."""
    names, chosen = list(names), set[str]()
    for pattern in patterns:
        fits = {name for name in names if fnmatchcase(name, pattern.removeprefix("-"))}
        assert fits, f"no job is like {pattern}"
        chosen = chosen - fits if pattern.startswith("-") else chosen | fits
    return chosen
