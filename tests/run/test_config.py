"""Reading a configuration: every mistake is reported, all at once, with its path."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import importlib_metadata
import pytest

from amulet_core.api import run
from amulet_core.configuration.chains import chain_problems
from amulet_core.configuration.forms import Shell
from amulet_core.configuration.json_schema import json_schema
from amulet_core.configuration.reading import overridden, read, resolve
from amulet_core.configuration.request import Use
from amulet_core.discovery.registry import Registry, discover
from amulet_core.errors import RequestError
from amulet_core.games.table import GAMES
from amulet_core.settings import TrainingSettings


def problems(raw: dict[str, Any], registry: Registry) -> tuple[str, ...]:
    with pytest.raises(RequestError) as error:
        resolve(raw, registry)
    return error.value.problems


_ALL = ", ".join(GAMES) + "."


def _on_condition(*names: str, **params: Any) -> dict[str, Any]:
    return {"name": "dp-sgd", "params": {"conditional_on": [*names], **params}}


_OUTERMOST = ", ".join(Shell.model_fields) + "."

MISTAKES = {
    "an unknown key": (
        {"trainng": {}},
        'trainng: there is no such key, got {}; did you mean "training"? There are: name, dataset, model, training, data, '
        "defenses, members_alone, risks, seeds, root_seed, threads_per_job, stack, executor, reporters.",
    ),
    "an unknown key of a section": (
        {"training": {"epoch": 3}},
        'training.epoch: there is no such key, got 3; did you mean "epochs"? There are: epochs, batch_size, optimizer, '
        "learning_rate, momentum, weight_decay, schedule, patience.",
    ),
    "a value out of its limits": (
        {"training": {"epochs": 0}},
        "training.epochs: input should be greater than or equal to 1, got 0",
    ),
    "a value of another type": (
        {"seeds": "many"},
        "seeds: input should be a valid integer, unable to parse string as an integer, got 'many'",
    ),
    "one name where a list is meant": (
        {"defenses": "keep"},
        "defenses: expected a list, such as [keep], got 'keep'",
    ),
    "an unknown component": (
        {"model": "mlpp"},
        'model: unknown model "mlpp"; did you mean "mlp"? To see all: amulet list model',
    ),
    "two letters changed for each other": (
        {"risks": {"evasion": {"attacks": ["pdg"]}}},
        'risks.evasion.attacks.0: unknown attack "pdg"; did you mean "pgd"? To see all: amulet list attack',
    ),
    "a name in capitals": (
        {"defenses": ["DP_SGD"]},
        'defenses.0: unknown defense "DP_SGD"; did you mean "dp-sgd"? To see all: amulet list defense',
    ),
    "a threat model at the outermost level": (
        {"threat": {"epsilon": 0.1}},
        "threat: there is no such key, got {'epsilon': 0.1}; write it as risks.evasion.threat. There are: "
        + _OUTERMOST,
    ),
    "settings of training and of the data at the outermost level": (
        {"epochs": 3},
        "epochs: there is no such key, got 3; write it as training.epochs. There are: " + _OUTERMOST,
    ),
    "a key of several risks at the outermost level": (
        {"attribute": "sex", "risks": {"attribute-inference": {}, "discriminatory-behavior": {}}},
        "attribute: there is no such key, got 'sex'; write it as risks.attribute-inference.threat.attribute or "
        "risks.discriminatory-behavior.threat.attribute. There are: " + _OUTERMOST,
    ),
    "a risk with no attack and no control to play": (
        {"risks": {"poisoning": {"attacks": []}}},
        "risks.poisoning.attacks: without an attack nothing can be measured: name one, or leave the key out for those of "
        "the game: badnets",
    ),
    "a risk with no thief": (
        {"risks": {"ownership-verification": {"attacks": []}}},
        "risks.ownership-verification.attacks: without an attack nothing can be measured: name one, or leave the key out "
        "for those of the game: model-copy, model-extraction",
    ),
    "a budget under the risk": (
        {"risks": {"evasion": {"epsilon": 0.1}}},
        "risks.evasion.epsilon: there is no such key, got 0.1; write it as risks.evasion.threat.epsilon. There are: "
        "threat, attacks, metrics.",
    ),
    "rows under a risk, where another risk has rows too": (
        {"risks": {"poisoning": {}, "evasion": {"rows": 50}}},
        "risks.evasion.rows: there is no such key, got 50; write it as risks.evasion.threat.rows. There are: threat, "
        "attacks, metrics.",
    ),
    "a budget among the parameters of an attack": (
        {"risks": {"evasion": {"attacks": [{"name": "pgd", "params": {"epsilon": 0.1}}]}}},
        "risks.evasion.attacks.0.params.epsilon: there is no such key, got 0.1; write it as "
        "risks.evasion.threat.epsilon. There are: steps, relative_step, restarts, loss, early_stop, masked_share.",
    ),
    "a parameter beside the name": (
        {"defenses": [{"name": "dp-sgd", "epsilon": 8}]},
        "defenses.0.epsilon: there is no such key, got 8; write it as defenses.0.params.epsilon. There are: name, params, "
        "label.",
    ),
    "the number of seeds under training": (
        {"training": {"seeds": 3}},
        "training.seeds: there is no such key, got 3; write it as seeds. There are: epochs, batch_size, optimizer, "
        "learning_rate, momentum, weight_decay, schedule, patience.",
    ),
    "an unknown parameter": (
        {"defenses": [{"name": "dp-sgd", "params": {"epsilonn": 1}}]},
        'defenses.0.params.epsilonn: there is no such key, got 1; did you mean "epsilon"? There are: epsilon, '
        "noise_multiplier, delta, max_grad_norm, accountant, learning_rate, batch_size, conditional_on.",
    ),
    "a parameter out of its limits": (
        {"defenses": ["keep", {"name": "dp-sgd", "params": {"delta": 2}}]},
        "defenses.1.params.delta: input should be less than 1, got 2",
    ),
    "an unknown risk": (
        {"risks": ["evasoin"]},
        'risks.evasoin: unknown risk "evasoin"; did you mean "evasion"? There are: ' + _ALL,
    ),
    "no risk": ({"risks": []}, "risks: expected a list of risks or a mapping from risk to settings, got []"),
    "an attack on another risk": (
        {"risks": {"evasion": {"attacks": ["lira"]}}},
        "risks.evasion.attacks.0: builtin/lira is for membership-inference, not for evasion",
    ),
    "an attack twice": (
        {"risks": {"evasion": {"attacks": ["pgd", "builtin/pgd"]}}},
        "risks.evasion.attacks.1: builtin/pgd stands there twice, first as risks.evasion.attacks.0: leave one out",
    ),
    "a metric of another risk": (
        {"risks": {"evasion": {"metrics": ["robustness", "accuracy"]}}},
        "risks.evasion.metrics.1: builtin/accuracy is for utility, not for evasion",
    ),
    "a reporter twice": (
        {"reporters": ["note", {"name": "toy/note"}]},
        "reporters.1: toy/note stands there twice, first as reporters.0: leave one out",
    ),
    "two rows of one label": (
        {"defenses": ["keep", "keep"]},
        'defenses.1: the label "keep" is taken by defenses.0: give each row one of its own',
    ),
    "a row called none": (
        {"defenses": [{"label": "none", "chain": "keep"}]},
        'defenses.0: the label "none" is taken by the undefended row: give each row one of its own',
    ),
    "a row of one defense called none": (
        {"defenses": [{"label": "none", "name": "keep"}]},
        'defenses.0: the label "none" is taken by the undefended row: give each row one of its own',
    ),
    "a label that is no text": (
        {"defenses": [{"label": ["a"], "name": "keep"}]},
        "defenses.0.label: input should be a valid string, got ['a']",
    ),
    "a label of a member of a chain": (
        {"defenses": [[{"label": "mine", "name": "keep"}]]},
        "defenses.0.0.label: there is no such key, got 'mine'. There are: name, params.",
    ),
    "a label of the chain's one member": (
        {"defenses": [{"label": "mine", "chain": {"label": "yours", "name": "keep"}}]},
        "defenses.0.chain.label: there is no such key, got 'yours'. There are: name, params.",
    ),
    "a misspelt key of a row": (
        {"defenses": [{"labell": "mine", "name": "keep"}]},
        "defenses.0.labell: there is no such key, got 'mine'; did you mean \"label\"? There are: name, params, label.",
    ),
    "a label alone": (
        {"defenses": [{"label": "mine"}]},
        "defenses.0.name: this key is missing: the component's name, or plugin/name",
    ),
    "a label of a model": (
        {"model": {"name": "mlp", "label": "mine"}},
        "model.label: there is no such key, got 'mine'. There are: name, params.",
    ),
    "an empty chain": ({"defenses": [[]]}, "defenses.0: a chain needs at least one defense"),
    "a defense twice in a chain": (
        {"defenses": [["keep", "keep"]]},
        "defenses.0 (keep + keep): toy/keep stands in the chain twice",
    ),
    "a chain whose needs nobody meets": (
        {"defenses": [["keep", "needy"]]},
        "defenses.0 (keep + needy): toy/needy needs trigger-set, which neither toy/linear nor a defense before it in the chain makes (made so far: nothing)",
    ),
    "rows read outside the privacy account": (
        {"defenses": ["keep", ["reweighing", "dp-sgd"]]},
        "defenses.1 (reweighing + dp-sgd): builtin/dp-sgd accounts for privacy, but reweighing sees private rows outside its "
        "account: leave them out, or declare that epsilon holds only on condition of them: "
        "params.conditional_on: [reweighing]",
    ),
    "rows read outside the privacy account by two": (
        {"defenses": [["reweighing", "outlier-removal", "dp-sgd"]]},
        "defenses.0 (reweighing + outlier-removal + dp-sgd): builtin/dp-sgd accounts for privacy, but reweighing and "
        "outlier-removal see private rows outside its account: leave them out, or declare that epsilon holds only on "
        "condition of them: params.conditional_on: [reweighing, outlier-removal]",
    ),
    "an account on condition of what is not in the chain": (
        {"defenses": [["reweighing", _on_condition("reweighing", "outlier-removal", "nonsense")]]},
        "defenses.0 (reweighing + dp-sgd): builtin/dp-sgd: params.conditional_on names outlier-removal and nonsense, and in "
        "this chain reweighing sees private rows outside its account: leave out outlier-removal and nonsense",
    ),
    "an account on condition of what looks at no private row": (
        {"defenses": [["keep", _on_condition("keep")]]},
        "defenses.0 (keep + dp-sgd): builtin/dp-sgd: params.conditional_on names keep, and in this chain nothing sees "
        "private rows outside its account: leave out keep",
    ),
    "an account on condition of early stopping where nothing stops early": (
        {"defenses": [_on_condition("early-stopping"), ["early-stopping", "keep"]]},
        "defenses.0 (dp-sgd): builtin/dp-sgd: params.conditional_on names early-stopping, and in this chain nothing sees "
        "private rows outside its account: leave out early-stopping",
    ),
    "an account on condition of what looks in the chain of another account": (
        {"defenses": [_on_condition("reweighing", epsilon=3), ["reweighing", _on_condition("reweighing")]]},
        "defenses.0 (dp-sgd): builtin/dp-sgd: params.conditional_on names reweighing, and in this chain nothing sees "
        "private rows outside its account: leave out reweighing",
    ),
    "a component as a number": (
        {"model": 3},
        "model: expected a mapping with the keys name, params, got 3",
    ),
    "no name of a component": (
        {"model": {"params": {}}},
        "model.name: this key is missing: the component's name, or plugin/name",
    ),
}


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_path_and_what_to_do(
    registry: Registry, config: Any, changes: dict[str, Any], message: str
) -> None:
    assert message in problems(config(**changes), registry)


def test_all_mistakes_come_in_one_message(registry: Registry, config: Any) -> None:
    raw = config(
        trainng={},
        training={"epochs": 0},
        model="mlpp",
        defenses=["keep", "kep"],
        risks={"evasion": {"threat": {"rows": 1}}},
    )
    assert [problem.split(":")[0] for problem in problems(raw, registry)] == [
        "trainng",
        "training.epochs",
        "model",
        "defenses.1",
        "risks.evasion.threat.rows",
    ]


def test_a_configuration_without_a_data_set_says_so(registry: Registry, config: Any) -> None:
    raw = config()
    del raw["dataset"], raw["risks"]
    assert problems(raw, registry) == (
        "dataset: this key is missing: the data set: a name, or {name, params}",
        "risks: this key is missing: the columns: a list of risks, or a mapping from risk to {threat, attacks, metrics}",
    )


def test_early_stopping_spoils_a_privacy_account_unless_it_is_declared(registry: Registry, config: Any) -> None:
    training = {"patience": 3}
    (problem,) = problems(config(training=training, defenses=["dp-sgd"]), registry)
    assert "early-stopping sees private rows" in problem
    declared = {"name": "dp-sgd", "params": {"conditional_on": ["early-stopping"]}}
    assert len(resolve(config(training=training, defenses=[declared]), registry).rows) == 3


@pytest.mark.parametrize("training", [{}, {"patience": 3}])
def test_early_stopping_as_a_defense_spoils_it_too_and_is_named_once(
    registry: Registry, config: Any, training: Any
) -> None:
    chain = ["dp-sgd", "early-stopping"]
    (problem,) = problems(config(training=training, defenses=[chain]), registry)[-1:]
    assert problem.endswith(
        "builtin/dp-sgd accounts for privacy, but early-stopping sees private rows outside its account: leave them out, "
        "or declare that epsilon holds only on condition of them: params.conditional_on: [early-stopping]"
    )
    declared = {"name": "dp-sgd", "params": {"conditional_on": ["early-stopping"]}}
    rows = resolve(config(training=training, defenses=[[declared, chain[1]]], members_alone=False), registry).rows
    assert len(rows) == 3


def test_a_model_whose_rows_cannot_be_clipped_is_refused_under_a_privacy_account(registry: Registry) -> None:
    entries = [registry.find(kind, name) for kind, name in (("model", "mlp"), ("defense", "dp-sgd"))]
    mlp, private = (Use(entry, entry.component.params()) for entry in entries)
    component = mlp.entry.component.model_copy(update={"clippable": False})
    unclippable = Use(replace(mlp.entry, component=component), mlp.params)
    assert chain_problems([private], TrainingSettings(), mlp) == []
    assert chain_problems([], TrainingSettings(), unclippable) == []
    assert chain_problems([private], TrainingSettings(), unclippable) == [
        "builtin/dp-sgd clips the gradient of each row, which the model builtin/mlp does not allow: choose another model, or "
        "leave the defense out"
    ]


def test_a_member_of_a_chain_declares_alone_what_it_declares_there(registry: Registry, config: Any) -> None:
    """So do the resolved rows, which spell the member's row out."""
    first = resolve(config(defenses=[["reweighing", _on_condition("reweighing")]]), registry)
    assert [row.label for row in first.rows[2:]] == ["reweighing", "dp-sgd", "reweighing + dp-sgd"]
    assert resolve(first.canonical(), registry).canonical() == first.canonical()


def test_none_placebo_utility_and_the_control_are_always_measured(registry: Registry, config: Any) -> None:
    request = resolve(config(), registry)
    assert [row.label for row in request.rows] == ["none", "placebo"]
    assert [risk.game.risk for risk in request.risks] == ["evasion", "utility"]
    assert [use.id for use in request.risks[0].attacks] == ["toy/nudge", "builtin/random-noise"]


def test_a_whole_risk_means_the_built_in_attacks_and_metrics(registry: Registry, config: Any) -> None:
    (risk, _) = resolve(config(risks=["membership-inference"]), registry).risks
    assert [use.id for use in risk.attacks] == [
        "builtin/lira",
        "builtin/rmia",
        "builtin/loss-threshold",
        "builtin/random-score",
    ]


def test_a_chain_is_put_in_stage_order(registry: Registry, config: Any) -> None:
    row = resolve(config(defenses=[["halve", "keep", "flip"]]), registry).rows[-1]
    assert row.label == "flip + keep + halve"


@pytest.mark.parametrize(("written", "label"), [("  ", "keep"), (" mine ", "mine"), ("", "keep")])
def test_blanks_are_no_part_of_a_label(registry: Registry, config: Any, written: str, label: str) -> None:
    request = resolve(config(defenses=[{"label": written, "name": "keep"}]), registry)
    assert request.rows[2].label == label


def test_a_row_of_one_defense_may_have_a_label_beside_its_name(registry: Registry, config: Any) -> None:
    mild, strong = ({"name": "dp-sgd", "params": {"epsilon": epsilon}} for epsilon in (8, 2))
    request = resolve(config(defenses=[{"label": "mild", **mild}, {"label": "strong", **strong}]), registry)
    assert [row.label for row in request.rows[2:]] == ["mild", "strong"]
    chains = [{"label": "mild", "chain": mild}, {"label": "strong", "chain": [strong]}]
    assert request.canonical() == resolve(config(defenses=chains), registry).canonical()


def test_the_resolved_configuration_is_a_configuration_that_resolves_to_itself(registry: Registry, config: Any) -> None:
    raw = config(defenses=["keep", {"label": "two", "chain": ["flip", "keep"]}], risks=["evasion", "utility"])
    first = resolve(raw, registry).canonical()
    assert resolve(json.loads(json.dumps(first)), registry).canonical() == first


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("training.epochs=7", ("training", "epochs"), 7),
        ("defenses.0.params.epsilon=0.5", ("defenses", 0, "params", "epsilon"), 0.5),
        ("risks.evasion.threat.norm=l2", ("risks", "evasion", "threat", "norm"), "l2"),
        ("seeds=3", ("seeds",), 3),
    ],
)
def test_set_replaces_one_value_and_leaves_the_original(override: str, path: tuple[Any, ...], value: Any) -> None:
    raw: dict[str, Any] = {"defenses": [{"name": "dp-sgd"}], "seeds": 1}
    place: Any = overridden(raw, override)
    for key in path:
        place = place[key]
    assert place == value
    assert raw == {"defenses": [{"name": "dp-sgd"}], "seeds": 1}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", '--set epochs: write path=value, for example "training.epochs=10"'),
        ("defenses.4.name=x", "--set defenses.4.name=x: there is no such place in the configuration"),
        (
            "data={a: 1, a: 2}",
            '--set data={a: 1, a: 2}: the key "a" stands there more than once, in lines 1, 1: keep one',
        ),
        (
            "seeds=*b",
            "--set seeds=*b is not valid YAML: found undefined alias 'b' in \"<unicode string>\", line 1, column 1: *b ^",
        ),
        ("seeds.x=1", "--set seeds.x=1: there is no such place in the configuration"),
    ],
)
def test_an_override_that_fits_nowhere_is_an_error(override: str, message: str) -> None:
    with pytest.raises(RequestError) as error:
        overridden({"defenses": [], "seeds": 1}, override)
    assert str(error.value) == message


def test_an_override_leaves_values_that_json_does_not_know() -> None:
    raw = {"name": date(2026, 1, 5), "seeds": 1}
    assert overridden(raw, "seeds=2") == {"name": date(2026, 1, 5), "seeds": 2}


TWICE = """\
dataset: adult
training:
  epochs: 3
  batch_size: 64
  "epochs": 4
seeds: 1
seeds: 2
seeds: 3
"""


def test_a_key_that_stands_twice_is_refused_with_its_lines_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(TWICE)
    with pytest.raises(RequestError) as error:
        read(path)
    assert error.value.problems == (
        f'the configuration {path}: the key "epochs" stands there more than once, in lines 3, 5: keep one',
        f'the configuration {path}: the key "seeds" stands there more than once, in lines 6, 7, 8: keep one',
    )


def test_a_key_that_replaces_a_merged_one_does_not_stand_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: {b: &one {<<: &two {k: 1}, k: 2}}\nc: {<<: *one, k: 3}\n")
    assert read(path) == {"a": {"b": {"k": 2}}, "c": {"k": 3}}


@pytest.mark.parametrize("given", [5, None, ["adult"], b"adult.yaml"], ids=repr)
def test_what_is_no_configuration_at_all_is_said_in_plain_words(registry: Registry, given: Any) -> None:
    with pytest.raises(RequestError) as error:
        run(given, registry=registry)
    expected = f"a configuration is a mapping, or the path of a YAML, TOML or JSON file, not {given!r}"
    assert str(error.value) == expected


def test_overrides_as_one_text_are_said_in_plain_words(registry: Registry, config: Any) -> None:
    with pytest.raises(RequestError) as error:
        run(config(), overrides="seeds=1", registry=registry)
    assert str(error.value) == "overrides are a list of texts: write overrides=['seeds=1']"


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("dataset: adult\nseeds: 2\ntraining: {epochs: 3}\n")
    (tmp_path / "a.toml").write_text('dataset = "adult"\nseeds = 2\n[training]\nepochs = 3\n')
    assert read(tmp_path / "a.yaml") == read(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", None, "the configuration {path} cannot be read: No such file or directory"),
        ("a.yaml", "a: [", "the configuration {path} is not valid YAML: while parsing a flow node"),
        ("a.toml", "a = ", "the configuration {path} is not valid TOML: Invalid value"),
        (
            "a.yaml",
            "!!python/object/apply:os.getcwd []",
            "the configuration {path} is not valid YAML: could not determine",
        ),
        ("a.yaml", "- adult", "the configuration {path} must be a mapping with the keys name, dataset"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(RequestError) as error:
        read(path)
    assert str(error.value).startswith(message.format(path=path))


def test_the_json_schema_names_every_component_and_its_parameters(registry: Registry) -> None:
    schema = json_schema(registry)
    text = json.dumps(schema)
    for name in ("toy/blobs", "builtin/pgd", "dp-sgd", "noise_multiplier", "membership-inference", "learning_rate"):
        assert f'"{name}"' in text
    assert schema["required"] == ["dataset", "risks"]


def test_the_json_schema_offers_a_bare_name_only_where_it_means_one_component(packages: Any) -> None:
    packages.add("one", "@hookimpl\ndef amulet_components(): return [attack('twice'), attack('once')]")
    packages.add("two", "@hookimpl\ndef amulet_components(): return [attack('twice')]")
    own = importlib_metadata.entry_points(group="amulet.v1", name="builtin")
    found = discover(entry_points=[*packages.entry_points(), *own])
    names = {name for form in json_schema(found)["$defs"]["attack"]["anyOf"] for name in form.get("enum", ())}
    assert {"one/twice", "two/twice", "one/once", "once", "pgd", "builtin/pgd"} <= names
    assert "twice" not in names
