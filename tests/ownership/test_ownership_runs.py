"""The two games of ownership from end to end: who is a suspect, who is to blame, what a plan shares and a run says."""

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from odd_players import OWNER, USELESS, WEIGHER, weight_of

from amulet_core import discover, run
from amulet_core.components import NoParams
from amulet_core.configuration.reading import resolve
from amulet_core.configuration.request import Use
from amulet_core.errors import ComponentError
from amulet_core.performing.codec import pack, unpack
from amulet_core.performing.ground import lay_ground, load_data
from amulet_core.performing.outputs import TheftOutput
from amulet_core.performing.ownership import pruned
from amulet_core.performing.perform import perform
from amulet_core.planning.facts import facts_of
from amulet_core.planning.jobs import (
    AttackWork,
    FitWork,
    IndependentWork,
    TheftPlayWork,
    TheftWork,
    VerificationPlayWork,
)
from amulet_core.planning.layout import layout_of
from amulet_core.planning.plan import plan
from amulet_core.victims import logits_of

THEFT, VERIFICATION = "unauthorized-model-ownership", "ownership-verification"
WALKS = {"name": "dataset-inference", "params": {"rows": 40, "walks": 1, "steps": 5}}
NOT_FINITE = "its training diverged (lower the learning rate) or its architecture divides by zero"


def config(*defenses, risks):
    return {
        "dataset": "digits",
        "training": {"epochs": 3},
        "data": {"train": 60, "val": 40, "test": 100, "aux": 120},
        "defenses": list(defenses),
        "members_alone": False,
        "risks": risks,
        "seeds": 1,
    }


def verification(**threat):
    threat = {"budget": 60, "independent": 4, "fpr": 0.3, "fine_tuning_epochs": 1} | threat
    return {VERIFICATION: {"attacks": ["model-copy"], "threat": threat}}


def theft():
    return {THEFT: {"attacks": ["model-extraction", "independent-model"], "threat": {"budget": 60, "curve": []}}}


@cache
def registry():
    return discover(select="")


@cache
def digits():
    return load_data(resolve({"dataset": "digits", "risks": ["utility"]}, registry()))


def planned(raw, change=lambda request: request):
    request = change(resolve(raw, registry()))
    return plan(request, facts_of(digits())), lay_ground(digits(), request, layout_of(request, digits().schema))


def done(found, ground, outputs):
    """Do all jobs whose outputs are not there yet."""
    for key, job in found.jobs.items():
        if key not in outputs:
            outputs[key] = perform(job, [outputs[need] for need in job.needs], ground, threads=1)
    return outputs


def the(found, kind, row=""):
    """Return the one job of a kind (on a row)."""
    (job,) = [job for job in found.jobs.values() if isinstance(job.work, kind) and row in job.label]
    return job


@pytest.mark.parametrize(
    ("chain", "retrained"),
    [
        ([WALKS], False),
        # Adversarial training is not what verifies: a model without it, trained on the owner's rows, is rightly claimed.
        ([WALKS, {"name": "adversarial-training", "params": {"steps": 1}}], False),
        (["watermark"], True),
    ],
)
def test_only_a_defense_that_verifies_by_its_training_meets_a_model_retrained_without_it(chain, retrained):
    found, ground = planned(config({"label": "row", "chain": chain}, risks=verification()))
    played = done(found, ground, {})[the(found, VerificationPlayWork).key]
    names = [f"model-copy, {washed}" for washed in ("as it is", "fine-tuned", "pruned")]
    assert list(played.result.names) == names + ["retrained without the defense"] * retrained


def test_the_owner_is_shown_the_same_evidence_whether_its_model_comes_from_the_cache_or_not():
    def owned(request):
        rows = [replace(row, chain=(Use(OWNER, NoParams()),)) if row.kind == "defense" else row for row in request.rows]
        return replace(request, rows=tuple(rows))

    found, ground = planned(config("watermark", risks=verification()), owned)
    outputs = done(found, ground, {})
    job = the(found, VerificationPlayWork)
    kept = [outputs[need] for need in job.needs]
    owner = found.jobs[job.needs[0]]
    assert isinstance(owner.work, FitWork)
    kept[0] = unpack(owner, pack(owner, kept[0], ground).entry, ground)
    fresh, again = outputs[job.key], perform(job, kept, ground, threads=1)
    note = {"note": {"text": "mine", "numbers": [1, 2]}, "plain": {"pair": [3, 4]}}
    assert fresh.warnings == again.warnings == (f"{note!r} of ['dict', 'dict']",)


@pytest.fixture(scope="module")
def weighed():
    """Return a plan of a verification by an owner that weighs models and trains with another defense, and all outputs."""

    def owned(request):
        rows = [
            replace(row, chain=(Use(WEIGHER, NoParams()), *row.chain[1:])) if row.chain else row for row in request.rows
        ]
        return replace(request, rows=tuple(rows))

    chain = {"label": "row", "chain": ["watermark", "label-smoothing"]}
    found, ground = planned(config(chain, risks=verification()), owned)
    return found, ground, done(found, ground, {})


@pytest.mark.parametrize("seed", range(5))
def test_every_suspect_gets_its_own_score_back_whatever_its_place_among_them(weighed, seed):
    found, ground, outputs = weighed
    job = the(found, VerificationPlayWork)
    _, undefended, stolen, _ = inputs = [outputs[need] for need in job.needs]
    result = perform(replace(job, work=replace(job.work, seed=seed)), inputs, ground, threads=1).result
    known = {
        "model-copy, as it is": stolen.model,
        "model-copy, pruned": pruned(stolen.model, 0.5),
        "retrained without the defense": undefended.fitted[job.work.victim].model,
    }
    scores = dict(zip(result.names, result.score.tolist(), strict=True))
    washed = scores.pop("model-copy, fine-tuned")
    assert scores == {name: weight_of(model).item() for name, model in known.items()}
    assert washed not in scores.values()
    assert torch.equal(result.p, 1 / (1 + result.score))


def test_half_of_the_pool_is_trained_by_the_row_s_recipe_and_flagged_so_half_without_a_defense(weighed):
    found, _, outputs = weighed
    job = the(found, IndependentWork)
    fits = [found.jobs[need].work for need in job.needs[1:]]
    chains = {place: [use.id for use in fit.recipe.chain] for fit in fits for place in fit.places}
    assert [chains[place] for place in job.work.places] == [["made/weighing", "builtin/label-smoothing"]] * 2 + [[]] * 2
    assert outputs[job.key].defended.tolist() == [True, True, False, False]
    played = outputs[the(found, VerificationPlayWork).key].result
    assert torch.equal(played.defended, outputs[job.key].defended)


def test_the_independent_models_are_scored_and_asked_about_the_test_rows_in_the_order_of_the_pool(weighed):
    found, ground, outputs = weighed
    job = the(found, IndependentWork)
    fitted = {place: one.model for need in job.needs[1:] for place, one in outputs[need].fitted.items()}
    test = ground.rows(ground.blocks[job.work.victim.block].test)
    models, own = [fitted[place] for place in job.work.places], outputs[job.key]
    assert own.score.tolist() == [weight_of(model).item() for model in models]
    right = [(logits_of(model, test.x).argmax(1) == test.y).double().mean().item() for model in models]
    assert own.accuracy.tolist() == right
    assert len(set(right)) > 1
    played = outputs[the(found, VerificationPlayWork).key]
    assert torch.equal(played.result.null_accuracy, own.accuracy)
    assert torch.equal(unpack(job, pack(job, own, ground).entry, ground).accuracy, own.accuracy)
    value = played.measured[0].scores["accuracy_of_independent"]
    assert (value.estimate, value.n) == (pytest.approx(sum(sorted(right)[1:3]) / 2), 4)


@pytest.mark.parametrize(("at", "blamed"), [(0, "builtin/label-smoothing"), (-1, "builtin/mlp")])
def test_an_independent_model_without_finite_answers_is_the_fault_of_who_made_it(weighed, at, blamed):
    found, ground, outputs = weighed
    job = the(found, IndependentWork)
    place = job.work.places[at]
    inputs = [outputs[job.needs[0]], *(broken(outputs[need], place) for need in job.needs[1:])]
    with pytest.raises(ComponentError) as failure:
        perform(job, inputs, ground, threads=1)
    said = f"{blamed}: ModelOutputError: the model's logits are not finite for 100 of 100 inputs: {NOT_FINITE}"
    assert str(failure.value) == said


def test_a_retrained_model_without_finite_answers_is_the_fault_of_its_architecture(weighed):
    found, ground, outputs = weighed
    job = the(found, VerificationPlayWork)
    inputs = [outputs[need] for need in job.needs]
    inputs[1] = broken(inputs[1], job.work.victim)
    with pytest.raises(ComponentError) as failure:
        perform(job, inputs, ground, threads=1)
    said = f"builtin/mlp: ModelOutputError: the model's logits are not finite for 100 of 100 inputs: {NOT_FINITE}"
    assert str(failure.value) == said


def broken(fit, place):
    """Return a fit whose model of a place, if it is one of these, has weights too large to answer with."""
    changed = {
        one: replace(fitted, model=with_weights_times(fitted.model, 1e30)) if one == place else fitted
        for one, fitted in fit.fitted.items()
    }
    return replace(fit, fitted=changed)


@pytest.fixture(scope="module")
def stolen():
    """Return a plan of a theft and a verification, and the outputs of its jobs."""
    found, ground = planned(config("watermark", risks=theft() | verification()))
    return found, ground, done(found, ground, {})


def with_weights_times(model, factor):
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for value in changed.parameters():
            value.mul_(factor)
    return changed


@pytest.mark.parametrize(
    ("who", "blamed"),
    [("independent-model", "builtin/independent-model"), ("model-extraction", "builtin/model-extraction")],
)
def test_a_thief_s_model_without_finite_answers_on_test_rows_is_the_thief_s_fault(stolen, who, blamed):
    found, ground, outputs = stolen
    job = the(found, TheftPlayWork, "model-extraction on watermark")
    inputs = [outputs[need] for need in job.needs]
    at = {"independent-model": 1, "model-extraction": 2}[who]
    inputs[at] = replace(inputs[at], model=with_weights_times(inputs[at].model, 1e30))
    with pytest.raises(ComponentError) as failure:
        perform(job, inputs, ground, threads=1)
    said = f"{blamed}: ModelOutputError: the model's logits are not finite for 100 of 100 inputs: {NOT_FINITE}"
    assert str(failure.value) == said


def test_a_thief_s_model_that_cannot_be_fine_tuned_is_the_thief_s_fault(stolen):
    found, ground, outputs = stolen
    job = the(found, VerificationPlayWork)
    inputs = [outputs[need] for need in job.needs]
    inputs[2] = replace(inputs[2], model=with_weights_times(inputs[2].model, 1e30))
    with pytest.raises(ComponentError) as failure:
        perform(job, inputs, ground, threads=1)
    assert str(failure.value).startswith("builtin/model-copy: DivergedError: ")


def test_a_thief_s_model_that_cannot_be_asked_before_it_is_kept_is_the_thief_s_fault(stolen):
    found, ground, outputs = stolen
    job = the(found, TheftWork, "model-extraction of watermark")
    output = TheftOutput(with_weights_times(outputs[job.key].model, 1e30), 60, ())
    with pytest.raises(ComponentError) as failure:
        pack(job, output, ground)
    said = f"builtin/model-extraction: ModelOutputError: the model's logits are not finite for 64 of 64 inputs: {NOT_FINITE}"
    assert str(failure.value) == said


def test_a_control_that_cannot_be_played_has_no_part_in_the_comparison():
    def with_useless(request):
        risk, *others = request.risks
        attacks = [use if use.entry.component.access != "none" else Use(USELESS, NoParams()) for use in risk.attacks]
        return replace(request, risks=(replace(risk, attacks=tuple(attacks)), *others))

    found, ground = planned(config(risks=theft()), with_useless)
    control = next(cell for cell in found.cells if cell.control)
    assert (control.job, control.skipped) == ("", "not applicable: made/useless: it works on no data")
    played = done(found, ground, {})[the(found, TheftPlayWork, "model-extraction on none").key]
    values = {value.name: value for value in played.measured[0].scores.values}
    assert values["fidelity_gain"].reason == "no control was played: there is no independent agreement to compare with"
    assert 0 <= values["fidelity"].estimate <= 1


@pytest.mark.parametrize(
    ("defense", "adversary"),
    [("dataset-inference", "adaptive"), ("watermark", "not adaptive: undefended shadow models")],
)
def test_shadow_models_are_adaptive_where_the_row_makes_the_same_models_as_none(defense, adversary):
    risks = {"membership-inference": {"attacks": ["lira"], "threat": {"shadow": "undefended"}}}
    found, _ = planned(config(defense, risks=risks))
    cells = {cell.row: cell for cell in found.cells if cell.attack == "builtin/lira"}
    assert cells["none"].adversary == "adaptive"
    assert cells[defense].adversary == adversary
    same = adversary == "adaptive"
    assert (cells[defense].job == cells["none"].job) is same
    jobs = [job for job in found.jobs.values() if isinstance(job.work, AttackWork) and job.key == cells[defense].job]
    assert [job.work.adaptive for job in jobs] == [same]


def test_the_value_without_any_protection_is_the_share_of_claims_that_the_threat_model_allows(tmp_path):
    results = run(config("watermark", risks=verification(fpr=0.3)), registry=registry(), cache=tmp_path)
    floors = {column.risk: column.floor for column in results.columns}
    assert floors[VERIFICATION] == 0.3
    assert {floor for risk, floor in floors.items() if risk != VERIFICATION} == {None}
