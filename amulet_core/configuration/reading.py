"""Reading a configuration: YAML or TOML to a resolved request, with every mistake reported at once. Light."""

import copy
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from amulet_core.configuration.chains import chain_problems, condition_problems, in_stage_order, model_problems
from amulet_core.configuration.checked import checked, shown
from amulet_core.configuration.controls import like_its_attack, settings_problems
from amulet_core.configuration.forms import AloneForm, Places, RiskForm, RowForm, Shell, UseForm, places_of
from amulet_core.configuration.request import DataSettings, Request, RiskPlan, RowPlan, Use
from amulet_core.configuration.rows import beside_members
from amulet_core.discovery.registry import Registry
from amulet_core.errors import RequestError, did_you_mean
from amulet_core.games.table import GAMES, Game
from amulet_core.settings import TrainingSettings
from amulet_core.vocabulary import OWN_ROWS, UTILITY


def read(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a YAML, TOML or JSON file and apply ``path=value`` overrides.

    Raises:
        RequestError: if the file is missing, is not valid YAML or TOML, says a key twice, or an override does not fit.
    """
    from amulet_core.configuration.yaml_text import parse_yaml

    if not isinstance(path, str | os.PathLike):
        raise RequestError(f"a configuration is a mapping, or the path of a YAML, TOML or JSON file, not {shown(path)}")
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
    return replaced(raw, overrides)


def replaced(config: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a configuration after each of the overrides, in their order.

    Raises:
        RequestError: if an override does not fit.
    """
    if isinstance(overrides, str):
        raise RequestError(f"overrides are a list of texts: write overrides=[{overrides!r}]")
    result = dict(config)
    for override in overrides:
        result = overridden(result, override)
    return result


def overridden(raw: Mapping[str, Any], override: str) -> dict[str, Any]:
    """Return a configuration with one value replaced: ``training.epochs=10``, ``defenses.0.params.epsilon=4``."""
    from amulet_core.configuration.yaml_text import parse_yaml

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
    places = places_of(raw)
    shell = checked(Shell, raw, "", problems, places=places)
    at = _Reader(registry, problems, places)
    # The parts are read even where the outermost level is wrong, so that their mistakes are reported with its own.
    part = {name: field.get_default(call_default_factory=True) for name, field in Shell.model_fields.items()} | dict(
        raw
    )
    training = checked(TrainingSettings, part["training"], "training", problems, places=places)
    data = checked(DataSettings, part["data"], "data", problems, places=places)
    dataset = at.use("dataset", part["dataset"], "dataset") if "dataset" in raw else None
    model = at.use("model", part["model"], "model")
    executor = at.use("executor", part["executor"], "executor")
    reporters = at.all("reporter", part["reporters"], "reporters")
    rows = at.rows(part["defenses"] if isinstance(part["defenses"], list) else [])
    risks = at.risks(part["risks"]) if "risks" in raw else ()
    if training is not None and model is not None:
        chains = [row.chain for row in rows]
        for row in rows:
            against = (*chain_problems(row.chain, training, model), *condition_problems(row.chain, chains, training))
            problems += [f"{row.path} ({row.label}): {text}" for text in against]
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

    def __init__(self, registry: Registry, problems: list[str], places: Places) -> None:
        self._registry, self._problems, self._places = registry, problems, places

    def use(self, kind: str, given: Any, path: str, shape: type[UseForm] = UseForm) -> Use | None:
        whole = {"name": given} if isinstance(given, str) else given
        form = checked(shape, whole, path, self._problems, places=self._with_params(kind, given, path))
        if form is None:
            return None
        try:
            entry = self._registry.find(kind, form.name)
        except RequestError as error:
            self._problems += [f"{path}: {text}" for text in error.problems]
            return None
        params = checked(entry.component.params, form.params, f"{path}.params", self._problems, places=self._places)
        return None if params is None else Use(entry, params)

    def _with_params(self, kind: str, given: Any, path: str) -> Places:
        """Return the sections of the configuration, and the parameters of a component written as a mapping."""
        name = given.get("name") if isinstance(given, dict) else None
        try:
            params = self._registry.find(kind, name).component.params if isinstance(name, str) else None
        except RequestError:  # said where the component is looked for
            params = None
        return {f"{path}.params": params, **self._places} if params else self._places

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
            label, shape = str(given.get("label", "")).strip(), AloneForm
        members = given if isinstance(given, list) else [given]
        if not members:
            self._problems.append(f"{path}: a chain needs at least one defense")
        paths = [f"{path}.{i}" if isinstance(given, list) else path for i in range(len(members))]
        uses = [self.use("defense", member, own, shape) for member, own in zip(members, paths, strict=True)]
        found = [use for use in uses if use is not None]
        chain = in_stage_order(found)
        if len(chain) < len(members) or not chain:
            return None
        names, written = (tuple(use.entry.component.name for use in some) for some in (chain, found))
        return RowPlan(label or " + ".join(names), "defense", chain, row, written if written != names else ())

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
            hint = did_you_mean(risk, list(GAMES))
            self._problems.append(f'{path}: unknown risk "{risk}"{hint} There are: {", ".join(GAMES)}.')
            return None
        form = checked(RiskForm, given or {}, path, self._problems, places=self._places)
        if form is None:
            return None
        threat = checked(game.threat, form.threat, f"{path}.threat", self._problems, places=self._places)
        attacks = self._players("attack", game, form.attacks)
        metrics = self._players("metric", game, form.metrics)
        self._problems += [f"{path}.attacks: {text}" for text in settings_problems(attacks)]
        if form.attacks == [] and game.attacks and not attacks:
            self._problems.append(
                f"{path}.attacks: without an attack nothing can be measured: name one, or leave the key out for those "
                f"of the game: {', '.join(game.attacks)}"
            )
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
