"""Runs that measure attribute inference: what is planned, what the primary value is, and what is refused or skipped."""

import importlib_metadata
import pytest

from amulet_core.api import run
from amulet_core.configuration.controls import unmatched
from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import discover
from amulet_core.errors import RequestError
from amulet_core.games.table import GAMES
from amulet_core.performing.codec import pack, unpack
from amulet_core.performing.perform import perform
from amulet_core.planning.jobs import AttackWork, FitWork
from amulet_core.results import values_of
from amulet_core.running.conduct import prepared
from amulet_core.scores import Withheld
from amulet_core.storage.store import Store

RISK, METRIC = "attribute-inference", "builtin/attribute-inference"
FAST = {"epochs": 5, "folds": 2}
TOY = """
from amulet_core.components import Dataset, Params
from pydantic import Field
from amulet_core.hooks import hookimpl

HERE = __name__


class PeopleParams(Params):
    among: bool = Field(False, description="whether the group is among the inputs")
    named: bool = Field(True, description="whether features have names")
    grouped: bool = Field(True, description="whether there are groups")


def people(params):
    import torch
    from torch.nn.functional import one_hot
    from amulet_core.data import make_data
    from amulet_core.schema import DataSchema, Feasible, Sensitive

    draws = torch.Generator().manual_seed(0)
    n = 1200
    z = torch.randint(0, 2, (n,), generator=draws)
    x = torch.randn(n, 4, generator=draws).clamp(-4, 4)
    y = (x[:, 0] + 0.8 * z + 0.3 * torch.randn(n, generator=draws) > 0.4).long()
    x[:, 1] = (x[:, 1] * 0.3 + z).clamp(-4, 4)
    places = (4, 5) if params.among else ()
    if params.among:
        x = torch.cat([x, one_hot(z, 2).float()], 1)
    names = ("income", "height", "a", "b", "sex=f", "sex=m")
    schema = DataSchema(
        modality="tabular", shape=(x.shape[1],), classes=("no", "yes"),
        sensitive=(Sensitive(name="sex", categories=("f", "m"), features=places),) if params.grouped else (),
        feasible=Feasible(low=-4.0, high=4.0, one_hot=(places,) if places else ()),
        features=names[: x.shape[1]] if params.named else (),
    )
    return make_data(x, y, schema, z=z[:, None] if params.grouped else None)


def broken(view, params):
    raise RuntimeError("the attack is out of order")


@hookimpl
def amulet_components():
    from amulet_core.components import Attack

    yield Dataset(name="people", summary="People of two groups", target=f"{HERE}:people", params=PeopleParams, licence="none")
    from amulet_plugins_builtin.catalogue.attributes import LearnerParams

    both = {"params": LearnerParams, "risk": "attribute-inference"}
    yield Attack(name="own", summary="An attack of others", target="amulet_plugins_builtin.attributes.mlp:attack",
                 access="probabilities", **both)
    yield Attack(name="own-control", summary="Its control", target="amulet_plugins_builtin.attributes.imputation:attack",
                 access="none", control=True, settings_of="own", **both)
    yield Attack(name="broken", summary="A control that fails", target=f"{HERE}:broken", risk="attribute-inference",
                 access="none", control=True)
"""


@pytest.fixture
def registry(packages):
    packages.add("toy", TOY, module="toy_people")
    own = importlib_metadata.entry_points(group="amulet.v1", name="builtin")
    found = discover(entry_points=[*packages.entry_points(), *own])
    assert found.warnings == ()
    return found


def config(*, dataset=None, threat=None, attacks=("attribute-mlp", "imputation"), **changes):
    learners = ("attribute-mlp", "imputation", "own", "own-control")
    uses = [{"name": name, "params": FAST} if name in learners else name for name in attacks]
    return {
        "dataset": dataset if isinstance(dataset, str) else {"name": "people", "params": dataset or {}},
        "model": {"name": "mlp", "params": {"capacity": "m1"}},
        "training": {"epochs": 4, "batch_size": 50},
        "data": {"train": 150, "val": 20, "test": 200, "aux": 200},
        "risks": {RISK: {"threat": threat or {}, "attacks": uses}},
        "seeds": 2,
    } | changes


@pytest.fixture
def planned(registry, tmp_path):
    def make(**changes):
        return prepared(resolve(config(**changes), registry), Store(tmp_path / "cache"))

    return make


def cells(results, attack):
    return [cell for cell in results.cells if cell.risk == RISK and cell.attack == f"builtin/{attack}"]


def test_the_game_finds_its_attacks_controls_and_metrics(registry):
    game = GAMES[RISK]
    for name in (*game.attacks, *game.controls):
        component = registry.find("attack", f"builtin/{name}").component
        assert (component.risk, component.control) == (RISK, name in game.controls)
    metric = registry.find("metric", f"builtin/{game.primary.metric}").component
    assert game.primary.value in {measure.name for measure in metric.measures}


def test_the_primary_value_is_the_advantage_over_imputation(registry):
    results = run(config(defenses=["reweighing"]), registry=registry)
    assert {cell.status for cell in results.cells} == {"ok"}
    for row in ("none", "placebo", "reweighing"):
        (entry,) = [one for one in results.entries if (one.row, one.risk) == (row, RISK)]
        by_seed = dict(entry.values)
        for cell, control in zip(cells(results, "attribute-mlp"), cells(results, "imputation"), strict=True):
            assert (cell.row, cell.seed) == (control.row, control.seed)
            if cell.row == row:
                own, blind = (next(values_of(one, METRIC, "balanced_accuracy")).estimate for one in (cell, control))
                assert by_seed[cell.seed] == pytest.approx(own - blind)
    assert all(
        isinstance(next(values_of(cell, METRIC, "advantage")), Withheld) for cell in cells(results, "imputation")
    )
    (none,) = [one for one in results.entries if (one.row, one.risk) == ("none", RISK)]
    assert len({value for _, value in none.values}) == 2


def test_the_control_is_played_once_a_seed_for_all_rows_and_before_the_attacks(planned):
    plan = planned(defenses=["reweighing"]).plan
    controls = {cell.seed: cell.job for cell in plan.cells if cell.attack == "builtin/imputation"}
    assert len(set(controls.values())) == 2
    by_row = {(cell.row, cell.seed): cell.job for cell in plan.cells if cell.attack == "builtin/imputation"}
    assert by_row == {(row, seed): controls[seed] for row in ("none", "placebo", "reweighing") for seed in range(2)}
    for cell in plan.cells:
        if cell.attack == "builtin/attribute-mlp":
            fit, *others = plan.jobs[cell.job].needs
            assert isinstance(plan.jobs[fit].work, FitWork)
            assert others == [controls[cell.seed]]


def test_no_other_game_sets_its_attacks_beside_anything(planned):
    plan = planned(risks={"membership-inference": {"attacks": ["loss-threshold"]}}).plan
    for job in plan.jobs.values():
        if isinstance(job.work, AttackWork):
            assert not job.joined
            assert len(job.needs) == 1


def test_what_the_control_found_comes_back_from_the_cache_as_it_was(planned, tmp_path):
    ready, outputs = planned(model={"name": "sklearn", "params": {"estimator": "logistic-regression"}}), {}
    for key, job in ready.plan.jobs.items():
        outputs[key] = perform(job, [outputs[need] for need in job.needs], ready.ground, threads=1)
        if job.joined:
            entry = pack(job, outputs[key], ready.ground).entry
            found = unpack(job, entry, ready.ground).result
            assert type(found) is type(outputs[key].result)
            assert found.guess.tolist() == outputs[key].result.guess.tolist()
            assert found.values == ("f", "m")
            assert outputs[key].evidence == {}  # that of the undefended model would stand beside other rows
        elif isinstance(job.work, AttackWork):
            assert outputs[key].evidence
    assert sum(job.joined for job in ready.plan.jobs.values()) == 2


def test_a_control_that_fails_fails_the_attacks_beside_it_and_is_blamed(registry):
    results = run(config(attacks=("attribute-mlp", "toy/broken"), seeds=1), registry=registry)
    failed = [cell for cell in results.cells if cell.status == "failed"]
    assert {(cell.attack, cell.blame) for cell in failed} == {
        ("builtin/attribute-mlp", "toy/broken"),
        ("toy/broken", "toy/broken"),
    }
    assert {cell.status for cell in cells(results, "imputation")} == {"ok"}


def test_csmia_is_played_where_the_attribute_is_an_input(registry):
    results = run(
        config(dataset={"among": True}, attacks=("attribute-csmia", "imputation"), seeds=1), registry=registry
    )
    (found, _) = (next(values_of(cell, METRIC, "balanced_accuracy")) for cell in cells(results, "attribute-csmia"))
    assert found.estimate > 0.55


@pytest.mark.parametrize(
    ("dataset", "attribute", "how", "remedy"),
    [
        (None, "sex", "not", "put the sensitive columns among them (sensitive_in_x, where the data set has it)"),
        (
            "compas",
            "age",
            "not as one feature a value",
            "make it categorical, where the data set can, or choose another",
        ),
    ],
)
def test_csmia_is_skipped_with_the_reason_where_it_cannot_put_the_values_in(planned, dataset, attribute, how, remedy):
    threat, attacks = {"attribute": attribute}, ("attribute-csmia", "attribute-mlp", "imputation")
    plan = planned(dataset=dataset, threat=threat, attacks=attacks).plan
    reasons = {cell.attack: cell.skipped for cell in plan.cells if cell.risk == RISK}
    assert reasons == {
        "builtin/attribute-csmia": f"builtin/attribute-csmia puts each value of {attribute} into the victim's inputs, "
        f"and it is {how} among them: {remedy}",
        "builtin/attribute-mlp": "",
        "builtin/imputation": "",
    }


def test_outputs_alone_tell_the_brightness_of_images_that_the_class_does_not(registry):
    changes = {
        "dataset": {"name": "digits", "params": {"groups": ["brightness"]}},
        "training": {"epochs": 10, "batch_size": 50},
        "data": {"train": 300, "val": 20, "test": 200, "aux": 500},
    }
    settings = config(threat={"knows": "class", "candidates": 600}, seeds=1) | changes
    uses = [{"name": name, "params": {"folds": 2}} for name in ("attribute-mlp", "imputation")]
    settings["risks"][RISK]["attacks"] = uses
    results = run(settings, registry=registry)
    (told,), (blind,) = (
        [next(values_of(cell, METRIC, "balanced_accuracy")) for cell in cells(results, name) if cell.row == "none"]
        for name in ("attribute-mlp", "imputation")
    )
    assert blind.low <= 0.5 <= blind.high
    assert told.low > 0.5


@pytest.mark.parametrize(
    ("threat", "withheld"), [({"without": ["a", "height"]}, "a, height"), ({"knows": "class"}, "the row")]
)
def test_csmia_is_skipped_with_the_reason_where_the_adversary_lacks_columns_to_ask_with(planned, threat, withheld):
    attacks = ("attribute-csmia", "attribute-mlp", "imputation")
    plan = planned(dataset={"among": True}, threat=threat, attacks=attacks).plan
    reasons = {cell.attack: cell.skipped for cell in plan.cells if cell.risk == RISK}
    assert reasons == {
        "builtin/attribute-csmia": "builtin/attribute-csmia asks the victim about rows with each value put in, and this "
        f"adversary could not: the threat model withholds {withheld}",
        "builtin/attribute-mlp": "",
        "builtin/imputation": "",
    }


REFUSED = {
    "an unknown attribute": (
        {"threat": {"attribute": "race"}},
        f'risks.{RISK}.threat: the data set has no sensitive attribute "race"; it has sex',
    ),
    "an unknown column withheld": (
        {"threat": {"without": ["heigth", "a"]}},
        f'risks.{RISK}.threat: without names the unknown column "heigth"; did you mean "height"? There are: income, '
        "height, a, b.",
    ),
    "a column withheld of features without names": (
        {"dataset": {"named": False}, "threat": {"without": ["height"]}},
        f"risks.{RISK}.threat: without names height, but the features of this data set have no names",
    ),
    "columns withheld from whoever knows none": (
        {"threat": {"without": ["height"], "knows": "class"}},
        f"risks.{RISK}.threat: without names height, but an adversary that knows the class alone has no columns",
    ),
    "no sensitive attribute": (
        {"dataset": {"grouped": False}},
        f"risks.{RISK}.metrics: {METRIC} needs a sensitive attribute, and the data set declares none",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_data_cannot_give_is_refused_before_anything_is_trained(planned, case):
    changes, message = REFUSED[case]
    with pytest.raises(RequestError) as error:
        planned(**changes)
    assert error.value.problems == (message,)


LEARNER = {"epochs": 7, "weight_decay": 0.5}


def test_a_control_that_is_not_listed_has_the_settings_of_the_attack(registry):
    for attacks in ([{"name": "attribute-mlp", "params": LEARNER}], ["attribute-csmia", "attribute-mlp"], None):
        settings = {} if attacks is None else {"attacks": attacks}
        request = resolve(config(risks={RISK: settings}), registry)
        (risk,) = [one for one in request.risks if one.game.risk == RISK]
        params = {use.id: use.params for use in risk.attacks}
        assert params["builtin/imputation"] == params["builtin/attribute-mlp"]
        again = resolve(request.canonical(), registry)
        assert again.canonical() == request.canonical()


def test_a_control_with_other_settings_than_the_attacks_is_refused(registry):
    listed = [{"name": "imputation"}, {"name": "attribute-mlp", "params": LEARNER}]
    with pytest.raises(RequestError) as error:
        resolve(config(risks={RISK: {"attacks": listed}}), registry)
    assert error.value.problems == (
        f"risks.{RISK}.attacks: builtin/imputation must have the settings of builtin/attribute-mlp, or their difference "
        "would measure the settings; they differ in: epochs (100, not 7), weight_decay (10.0, not 0.5)",
    )


def test_a_control_beside_no_attack_of_its_settings_has_its_own(registry):
    listed = [{"name": "imputation", "params": LEARNER}, "attribute-csmia"]
    request = resolve(config(risks={RISK: {"attacks": listed}}), registry)
    (risk,) = [one for one in request.risks if one.game.risk == RISK]
    assert risk.attacks[0].params.epochs == 7


UNMATCHED = (
    f"{RISK}: toy/own is compared with builtin/imputation, and no control has its settings (settings_of): its advantage "
    "may be its learner's rather than the victim's; changes between rows are not concerned"
)


@pytest.mark.parametrize(
    ("attacks", "told"),
    [
        (("attribute-mlp", "attribute-csmia"), []),
        (("own", "attribute-mlp"), [UNMATCHED]),
        (("own", "own-control"), []),
        (("own-control",), []),
    ],
)
def test_an_attack_of_others_that_no_control_shares_its_settings_with_is_told_of(registry, attacks, told):
    (risk, _) = resolve(config(attacks=attacks), registry).risks
    assert unmatched(risk) == told


def test_attacks_that_are_compared_with_nothing_need_no_control_of_their_settings(registry):
    (risk, _) = resolve(config(risks={"membership-inference": {"attacks": ["gap"]}}), registry).risks
    assert unmatched(risk) == []


def test_a_run_tells_of_it_at_once_and_no_verdict_is_blocked_by_it(registry, tmp_path, capsys):
    results = run(config(attacks=("own",), seeds=1), registry=registry, cache=tmp_path)
    assert results.provenance.warnings == (UNMATCHED,)
    note = "note: 1 seed gives estimates without verdicts: a verdict needs 5 or more (seeds: 5)"
    assert capsys.readouterr().err.startswith(f"warning: {UNMATCHED}\n{note}\n[1/")
    assert {text for entry in results.entries for text in entry.warnings} == set()


@pytest.mark.parametrize("candidates", [61, 58, 0])
def test_an_odd_or_tiny_number_of_candidates_is_refused(registry, candidates):
    with pytest.raises(RequestError, match=r"threat\.candidates"):
        resolve(config(threat={"candidates": candidates}), registry)
