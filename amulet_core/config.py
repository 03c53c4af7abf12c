"""Reading a configuration: YAML or TOML to a resolved request, with every mistake reported at once. Light."""

import copy
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from amulet_core.chains import chain_problems, in_stage_order, model_problems
from amulet_core.checked import checked, shown
from amulet_core.components import Params
from amulet_core.controls import like_its_attack, settings_problems
from amulet_core.errors import RequestError, did_you_mean
from amulet_core.games.table import GAMES, Game
from amulet_core.registry import Registry
from amulet_core.request import DataSettings, Request, RiskPlan, RowPlan, Use
from amulet_core.rows import beside_members
from amulet_core.settings import TrainingSettings
from amulet_core.vocabulary import OWN_ROWS, UTILITY


class Shell(Params):
    """The outermost level of a configuration."""

    name: str = Field("amulet", min_length=1, max_length=80, description="the run's name, shown in the report")
    dataset: Any = Field(description="the data set: a name, or {name, params}")
    model: Any = Field("mlp", description="the architecture: a name, or {name, params}")
    training: Any = Field(default_factory=dict, description="how models are trained")
    data: Any = Field(default_factory=dict, description="how many rows play which part")
    defenses: list[Any] = Field(
        default_factory=list,
        description="the rows: each a defense (a name, or {name, params, label}), a chain of them (a list), or "
        "{label, chain}",
    )
    members_alone: bool = Field(
        True, description="whether each defense of a chain is also measured alone, in a row before the chain's"
    )
    risks: Any = Field(description="the columns: a list of risks, or a mapping from risk to {threat, attacks, metrics}")
    seeds: int = Field(
        5, ge=1, le=1000, description="how many victims are trained for each row (5 or more for verdicts)"
    )
    root_seed: int = Field(0, ge=0, description="the seed that all draws are derived from")
    threads_per_job: int = Field(1, ge=1, description="threads a job may use; another number gives other last bits")
    stack: int = Field(16, ge=1, description="how many models are trained at once, where the architecture allows it")
    executor: Any = Field("inline", description="what runs the jobs: a name, or {name, params}")
    reporters: list[Any] = Field(
        default_factory=list, description="what else writes the results: each a name, or {name, params}"
    )


class UseForm(Params):
    """A component as a mapping."""

    name: str = Field(description="the component's name, or plugin/name")
    params: dict[str, Any] = Field(default_factory=dict, description="its parameters")


class AloneForm(UseForm):
    """A row of one defense as a mapping."""

    label: str = Field("", max_length=200, description="how the report calls the row")


class RowForm(Params):
    """A row of several defenses as a mapping."""

    label: str = Field("", max_length=200, description="how the report calls the row")
    chain: Any = Field(description="the defenses of the row, applied together")


class RiskForm(Params):
    """A column as a mapping."""

    threat: Any = Field(default_factory=dict, description="the threat model")
    attacks: list[Any] | None = Field(None, description="the attacks (absent: the risk's built-in ones)")
    metrics: list[Any] | None = Field(None, description="the metrics (absent: the risk's built-in ones)")


def read(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a YAML, TOML or JSON file and apply ``path=value`` overrides.

    Raises:
        RequestError: if the file is missing, is not valid YAML or TOML, says a key twice, or an override does not fit.
    """
    from amulet_core.yaml_text import parse_yaml

    path = Path(path)
    toml = path.suffix == ".toml"
    try:
        text = path.read_text(encoding="utf-8")
        raw: Any
        if path.suffix == ".json":
            raw = json.loads(text)
        else:
            raw = tomllib.loads(text) if toml else parse_yaml(text, whose=f"the configuration {path}")
    except OSError as error:
        raise RequestError(f"the configuration {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        kind = "TOML" if toml else "JSON" if path.suffix == ".json" else "YAML"
        raise RequestError(f"the configuration {path} is not valid {kind}: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise RequestError(f"the configuration {path} must be a mapping with the keys {', '.join(Shell.model_fields)}")
    config: dict[str, Any] = raw
    for override in overrides:
        config = overridden(config, override)
    return config


def overridden(raw: Mapping[str, Any], override: str) -> dict[str, Any]:
    """Return a configuration with one value replaced: ``training.epochs=10``, ``defenses.0.params.epsilon=4``."""
    from amulet_core.yaml_text import parse_yaml

    path, equals, text = override.partition("=")
    if not equals or not path:
        raise RequestError(f'--set {override}: write path=value, for example "training.epochs=10"')
    result: dict[str, Any] = copy.deepcopy(dict(raw))
    place: Any = result
    *parents, last = path.split(".")
    value = parse_yaml(text, whose=f"--set {override}")
    try:
        for key in parents:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise RequestError(f"--set {override}: there is no such place in the configuration") from error
    return result


def resolve(raw: Mapping[str, Any], registry: Registry) -> Request:
    """Find every component a configuration names and check every parameter and chain.

    Raises:
        RequestError: with *all* problems, each with its dotted path.
    """
    problems: list[str] = []
    shell = checked(Shell, raw, "", problems)
    at = _Reader(registry, problems)
    # The parts are read even where the outermost level is wrong, so that their mistakes are reported with its own.
    part = {name: field.get_default(call_default_factory=True) for name, field in Shell.model_fields.items()} | dict(
        raw
    )
    training = checked(TrainingSettings, part["training"], "training", problems)
    data = checked(DataSettings, part["data"], "data", problems)
    dataset = at.use("dataset", part["dataset"], "dataset") if "dataset" in raw else None
    model = at.use("model", part["model"], "model")
    executor = at.use("executor", part["executor"], "executor")
    reporters = at.all("reporter", part["reporters"], "reporters")
    rows = at.rows(part["defenses"] if isinstance(part["defenses"], list) else [])
    risks = at.risks(part["risks"]) if "risks" in raw else ()
    if training is not None and model is not None:
        for row in rows:
            problems += [f"{row.path} ({row.label}): {text}" for text in chain_problems(row.chain, training, model)]
    if model is not None:
        for row in rows:
            problems += [f"{row.path} ({row.label}): {text}" for text in model_problems(model, row.chain)]
    if problems or not (shell and training and data and dataset and model and executor):
        raise RequestError(*problems)
    beside = beside_members(rows, model) if shell.members_alone else rows
    return Request(
        name=shell.name,
        dataset=dataset,
        model=model,
        training=training,
        data=data,
        rows=(RowPlan("none", "none"), RowPlan("placebo", "placebo"), *beside),
        members_alone=shell.members_alone,
        risks=risks,
        seeds=shell.seeds,
        root_seed=shell.root_seed,
        threads_per_job=shell.threads_per_job,
        stack=shell.stack,
        executor=executor,
        reporters=reporters,
    )


class _Reader:
    """Turns parts of a configuration into uses, rows and columns, and notes every problem on the way."""

    def __init__(self, registry: Registry, problems: list[str]) -> None:
        self._registry, self._problems = registry, problems

    def use(self, kind: str, given: Any, path: str, shape: type[UseForm] = UseForm) -> Use | None:
        form = checked(shape, {"name": given} if isinstance(given, str) else given, path, self._problems)
        if form is None:
            return None
        try:
            entry = self._registry.find(kind, form.name)
        except RequestError as error:
            self._problems += [f"{path}: {text}" for text in error.problems]
            return None
        params = checked(entry.component.params, form.params, f"{path}.params", self._problems)
        return None if params is None else Use(entry, params)

    def rows(self, given: Sequence[Any]) -> tuple[RowPlan, ...]:
        rows = [self._row(row, f"defenses.{index}") for index, row in enumerate(given)]
        found = [row for row in rows if row is not None]
        taken = dict(OWN_ROWS)
        for row in found:
            if row.label in taken:
                self._problems.append(
                    f'{row.path}: the label "{row.label}" is taken by {taken[row.label]}: give each row one of its own'
                )
            taken.setdefault(row.label, row.path)
        return tuple(found)

    def _row(self, given: Any, path: str) -> RowPlan | None:
        label, row, shape = "", path, UseForm
        if isinstance(given, dict) and "chain" in given:
            form = checked(RowForm, given, path, self._problems)
            label = form.label if form else ""
            given, path = given["chain"], f"{path}.chain"
        elif isinstance(given, dict):
            label, shape = given.get("label", ""), AloneForm
        members = given if isinstance(given, list) else [given]
        if not members:
            self._problems.append(f"{path}: a chain needs at least one defense")
        paths = [f"{path}.{i}" if isinstance(given, list) else path for i in range(len(members))]
        uses = [self.use("defense", member, own, shape) for member, own in zip(members, paths, strict=True)]
        chain = in_stage_order([use for use in uses if use is not None])
        if len(chain) < len(members) or not chain:
            return None
        return RowPlan(label or " + ".join(use.entry.component.name for use in chain), "defense", chain, row)

    def risks(self, given: Any) -> tuple[RiskPlan, ...]:
        if not given or not isinstance(given, dict | list) or not all(isinstance(risk, str) for risk in given):
            self._problems.append(
                f"risks: expected a list of risks or a mapping from risk to settings, got {shown(given)}"
            )
            return ()
        given = given if isinstance(given, dict) else dict.fromkeys(given)
        columns = [self._risk(risk, form, f"risks.{risk}") for risk, form in given.items()]
        if UTILITY not in given:
            columns.append(self._risk(UTILITY, {}, f"risks.{UTILITY}"))
        return tuple(column for column in columns if column is not None)

    def _risk(self, risk: str, given: Any, path: str) -> RiskPlan | None:
        game = GAMES.get(risk)
        if game is None:
            hint = did_you_mean(risk, list(GAMES)) or "."
            self._problems.append(f'{path}: unknown risk "{risk}"{hint} There are: {", ".join(GAMES)}.')
            return None
        form = checked(RiskForm, given or {}, path, self._problems)
        if form is None:
            return None
        threat = checked(game.threat, form.threat, f"{path}.threat", self._problems)
        attacks = self._players("attack", game, form.attacks)
        metrics = self._players("metric", game, form.metrics)
        self._problems += [f"{path}.attacks: {text}" for text in settings_problems(attacks)]
        return None if threat is None else RiskPlan(game, threat, attacks, metrics)

    def _players(self, kind: Literal["attack", "metric"], game: Game, given: list[Any] | None) -> tuple[Use, ...]:
        path = f"risks.{game.risk}.{kind}s"
        default, always = (game.attacks, game.controls) if kind == "attack" else (game.metrics, (game.primary.metric,))
        risk = (game.attacks_of or game.risk) if kind == "attack" else game.risk
        found = {use.id: use for use in self.all(kind, default if given is None else given, path, risk)}
        for name in always:
            if f"builtin/{name}" not in found and (use := self.use(kind, f"builtin/{name}", path)) is not None:
                found[use.id] = like_its_attack(use, found.values())
        return tuple(found.values())

    def all(self, kind: str, given: Any, path: str, risk: str | None = None) -> tuple[Use, ...]:
        """Return the components of a list, each for the risk (if one is given); none may stand there twice."""
        found: dict[str, tuple[str, Use]] = {}
        for index, one in enumerate(given if isinstance(given, list | tuple) else []):
            at = f"{path}.{index}"
            use = self.use(kind, one, at)
            if use is None:
                continue
            if use.id in found:
                self._problems.append(f"{at}: {use.id} stands there twice, first as {found[use.id][0]}: leave one out")
            elif risk not in (None, use.entry.risk):
                self._problems.append(f"{at}: {use.id} is for {use.entry.risk}, not for {risk}")
            found.setdefault(use.id, (at, use))
        return tuple(use for _, use in found.values())
