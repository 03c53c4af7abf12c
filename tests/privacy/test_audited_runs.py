"""Runs that audit privacy accounts: a planted lie is found, DP-SGD stands; what is planned, skipped and refused."""

from dataclasses import replace

import importlib_metadata
import pytest

from amulet_core.api import run
from amulet_core.commands.dry_run import forecast_text
from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import discover
from amulet_core.errors import RequestError
from amulet_core.games.table import GAMES
from amulet_core.planning.jobs import AuditPlayWork, FitWork
from amulet_core.report.page import render
from amulet_core.report.terminal import text_matrix
from amulet_core.results import values_of
from amulet_core.running.conduct import prepared
from amulet_core.running.forecast import forecast
from amulet_core.scores import ALARM
from amulet_core.statistics.audit import audited_epsilon
from amulet_core.storage.store import Store
from amulet_plugins_builtin.privacy import dp_sgd

RISK, METRIC = "privacy-audit", "builtin/privacy-audit"
TOY = """
from pydantic import Field

from amulet_core.components import Dataset, Defense, Params
from amulet_core.hooks import hookimpl

HERE = __name__


class LiarParams(Params):
    evidence: bool = Field(True, description="whether there is an account at all")


class NoiseParams(Params):
    pass


def noise(params):
    "Two classes that nothing tells apart: whatever a model knows of them it has by heart."
    import torch
    from amulet_core.data import make_data
    from amulet_core.schema import DataSchema, Feasible

    draws = torch.Generator().manual_seed(0)
    schema = DataSchema(
        modality="tabular", shape=(40,), classes=("no", "yes"), feasible=Feasible(low=-1.0, high=1.0)
    )
    return make_data(torch.rand(600, 40, generator=draws) * 2 - 1, torch.randint(2, (600,), generator=draws), schema)


def lie(training, params, context):
    from dataclasses import replace

    evidence = {"privacy": {"epsilon": 0.1, "delta": 1e-8}} if params.evidence else {}
    return replace(training, settings=training.settings.model_copy(update={"epochs": 60}), evidence=evidence)


def prolong(training, params, context):
    from dataclasses import replace

    return replace(training, settings=training.settings.model_copy(update={"epochs": 50}))


def uniform(probabilities, params):
    return probabilities * 0 + 1 / probabilities.shape[1]


@hookimpl
def amulet_components():
    yield Dataset(name="noise", summary="Rows without a rule", target=f"{HERE}:noise", params=NoiseParams, licence="none")
    yield Defense(name="liar", summary="Claims what it does not do", target=f"{HERE}:lie", params=LiarParams,
                  stages={"training": f"{HERE}:lie"}, risk="membership-inference", accounts_privacy=True)
    yield Defense(name="longer", summary="Trains for longer", target=f"{HERE}:prolong", params=NoiseParams,
                  stages={"training": f"{HERE}:prolong"}, risk="membership-inference")
    yield Defense(name="silence", summary="Releases the same of every row", target=f"{HERE}:uniform", params=NoiseParams,
                  stages={"inference": f"{HERE}:uniform"}, risk="membership-inference")
"""


@pytest.fixture
def registry(packages):
    packages.add("toy", TOY, module="toy_privacy")
    own = importlib_metadata.entry_points(group="amulet.v1", name="builtin")
    found = discover(entry_points=[*packages.entry_points(), *own])
    assert found.warnings == ()
    return found


PRIVATE = {
    "name": "dp-sgd",
    "params": {"epsilon": 1.0, "accountant": "rdp", "learning_rate": 0.01, "batch_size": 40},
}


def config(*, threat=None, attacks=None, **changes):
    column = {"threat": {"canaries": 60, "guessed_in": 20, "guessed_out": 20} | (threat or {})}
    return {
        "dataset": "noise",
        "model": {"name": "mlp", "params": {"capacity": "m1"}},
        "training": {"epochs": 12, "batch_size": 20, "learning_rate": 0.01},
        "data": {"train": 80, "val": 20, "test": 100, "aux": 50},
        "defenses": ["liar", PRIVATE],
        "risks": {RISK: column | ({"attacks": attacks} if attacks else {})},
        "seeds": 2,
    } | changes


@pytest.fixture
def planned(registry, tmp_path):
    def make(**changes):
        return prepared(resolve(config(**changes), registry), Store(tmp_path / "cache")).plan

    return make


def cells(results, row, attack="loss-threshold"):
    return [one for one in results.cells if (one.row, one.risk, one.attack) == (row, RISK, f"builtin/{attack}")]


def test_a_defense_that_lies_raises_an_alarm_on_every_seed_and_dp_sgd_raises_none(registry):
    results = run(config(), registry=registry)
    entries = {one.row: one for one in results.entries if one.risk == RISK}
    liar, private = entries["liar"], entries["dp-sgd"]
    assert len([text for text in liar.warnings if text.startswith(ALARM)]) == 2
    assert min(value for _, value in liar.values) > 0.5
    for cell in cells(results, "dp-sgd"):
        bound, claim = (next(values_of(cell, METRIC, name)).estimate for name in ("audited_epsilon", "claimed_epsilon"))
        assert bound <= claim
        assert cell.warnings == ()
        assert cell.measured[0].scores.details["alarm_if_all_were_right"] == "yes"
    assert private.warnings == ()
    for cell in (*cells(results, "liar", "random-score"), *cells(results, "dp-sgd", "random-score")):
        assert cell.control
        assert cell.warnings == ()
    for entry in (liar, private):
        assert (entry.effect, entry.low, entry.high, entry.inapplicable) == (None, None, None, False)
        assert entry.mean == pytest.approx(sum(value for _, value in entry.values) / 2)
    assert {cell.status for cell in cells(results, "none")} == {"skipped"}
    assert entries["none"].inapplicable
    _is_reported(results, next(text for text in liar.warnings if text.startswith(ALARM)).removeprefix(ALARM))
    # The evidence of a row is its victim's, whose rows are as many as were asked for.
    assert results.provenance.evidence["dp-sgd"]["privacy"]["sample_rate"] == 40 / 80


def _is_reported(results, alarm):
    page, text = render(results), text_matrix(results)
    plain = page.replace("&#39;", "'")
    assert f'<p class="banner" role="note"><strong>Alarm: liar.</strong> {alarm}</p>' in plain
    assert page.index("Alarm: liar.") < page.index('id="summary"')
    assert "lower bounds, and a small one is no evidence of privacy" in page
    said = "In the column Privacy audit each square shows the mean of lower bounds, and a small one is no evidence of privacy"
    assert said in " ".join(text.split())
    margins = next(line for line in page.splitlines() if "<strong>Margins.</strong>" in line)
    assert margins.endswith("do not matter: accuracy 0.03.</li>")


def test_a_later_defense_that_voids_the_account_fails_the_row_and_is_blamed(registry):
    chain = [PRIVATE, "longer"]
    results = run(config(defenses=[chain], members_alone=False, seeds=1), registry=registry)
    found = [cell for cell in results.cells if cell.row == "dp-sgd + longer"]
    assert {(cell.status, cell.blame) for cell in found} == {("failed", "toy/longer")}
    said = (
        "dp-sgd accounts for another training than this: the number of epochs is 50, accounted: 12. A defense after dp-sgd "
        "in the chain has changed that: leave one of them out"
    )
    assert all(said in cell.reason for cell in found)


def test_an_audit_meets_the_model_as_it_is_deployed(registry):
    """Behind a wrapper that releases nothing, the guesses about a model that has its rows by heart are those of chance."""
    results = run(config(defenses=[["liar", "silence"]], seeds=1), registry=registry)
    right = {row: cells(results, row)[0].measured[0].scores.details["right"] for row in ("liar", "liar + silence")}
    assert right["liar"] >= 30, right
    assert right["liar + silence"] <= 25, right  # of 40, by a chance of .96
    assert cells(results, "liar + silence")[0].warnings == ()


def test_attacks_share_the_error_of_the_bound_and_controls_have_no_share(registry):
    results = run(config(defenses=["liar"], attacks=["loss-threshold", "gap"], seeds=1), registry=registry)
    for attack in ("loss-threshold", "gap"):
        (cell,) = cells(results, "liar", attack)
        bound, right = next(values_of(cell, METRIC, "audited_epsilon")), cell.measured[0].scores.details["right"]
        assert bound.method.startswith("one-sided 97.5% lower bound")
        assert bound.estimate == audited_epsilon(
            rows=60, guesses=40, correct=right, delta=1e-8, confidence=1 - 0.05 / 2
        )
    whole = run(config(defenses=["liar"], seeds=1, training={"epochs": 1}), registry=registry)
    assert next(values_of(cells(whole, "liar")[0], METRIC, "audited_epsilon")).method.startswith("one-sided 95.0% ")


def test_dp_sgd_that_forgets_its_noise_raises_an_alarm(registry, monkeypatch):
    start = dp_sgd.ClippedNoisyGradient.start
    monkeypatch.setattr(
        dp_sgd.ClippedNoisyGradient, "start", lambda rule, problem: start(replace(rule, noise_multiplier=0.0), problem)
    )
    raw = config(
        threat={"canaries": 150, "guessed_in": 50, "guessed_out": 50},
        training={"epochs": 80},
        data={"train": 150, "val": 20, "test": 100, "aux": 50},
        defenses=[{"name": "dp-sgd", "params": PRIVATE["params"] | {"epsilon": 0.5, "learning_rate": 0.02}}],
        seeds=1,
    )
    (cell,) = cells(run(raw, registry=registry), "dp-sgd")
    assert next(values_of(cell, METRIC, "claimed_epsilon")).estimate <= 0.5
    (alarm,) = cell.warnings
    assert alarm.startswith(f"{ALARM}epsilon ")


def test_an_audit_trains_one_model_a_seed_for_all_its_attacks(planned):
    plan = planned(attacks=["loss-threshold", "gap"])
    plays = [job for job in plan.jobs.values() if isinstance(job.work, AuditPlayWork)]
    assert len(plays) == 2 * 3 * 2
    fits = {need for job in plays for need in job.needs}
    assert len(fits) == 2 * 2
    assert all(len(job.needs) == 1 for job in plays)
    for key in fits:
        work = plan.jobs[key].work
        assert isinstance(work, FitWork)
        assert work.audited is not None
        assert len(work.places) == 1


def test_the_alarm_is_corrected_for_attacks_times_private_rows_times_seeds_without_controls(planned):
    plan = planned(attacks=["loss-threshold", "gap"])
    found = {(job.work.attack.id, job.work.audits) for job in plan.jobs.values() if isinstance(job.work, AuditPlayWork)}
    assert found == {("builtin/loss-threshold", 8), ("builtin/gap", 8), ("builtin/random-score", 0)}


def keys(plan, kind):
    audited = [job for job in plan.jobs.values() if isinstance(job.work, FitWork) == (kind == "fit")]
    return {
        job.key
        for job in audited
        if isinstance(job.work, AuditPlayWork) or (kind == "fit" and job.work.audited is not None)
    }


@pytest.mark.parametrize(
    ("threat", "trains"), [({"guessed_in": 5}, False), ({"canaries": 50}, True), ({"labels": "true"}, True)]
)
def test_a_model_is_trained_again_for_other_audit_rows_and_not_for_other_guesses(planned, threat, trains):
    before, after = planned(), planned(threat=threat)
    assert (keys(before, "fit") != keys(after, "fit")) == trains
    assert keys(before, "play") != keys(after, "play")


def test_the_column_is_played_on_request_alone(planned):
    plan = planned(risks=["membership-inference"])
    assert not [job for job in plan.jobs.values() if isinstance(job.work, AuditPlayWork)]
    assert not [job for job in plan.jobs.values() if isinstance(job.work, FitWork) and job.work.audited]


def test_rows_without_a_claim_and_attacks_with_shadow_models_are_skipped_with_the_reason(planned):
    plan = planned(attacks=["lira"])
    reasons = {(cell.row, cell.attack): cell.skipped for cell in plan.cells if cell.risk == RISK and not cell.control}
    claim = "no defense of this row claims an epsilon that could be audited"
    lab = "builtin/lira needs shadow models, and an audit trains one model and no more"
    assert reasons == {
        ("none", "builtin/lira"): f"{claim}; {lab}",
        ("placebo", "builtin/lira"): f"{claim}; {lab}",
        ("liar", "builtin/lira"): lab,
        ("dp-sgd", "builtin/lira"): lab,
    }


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"threat": {"canaries": 81}},
            "81 canaries are to be drawn from the 80 rows of the pool that a victim does not train on: lower canaries, "
            "or raise data.train",
        ),
        (
            {"defenses": ["dp-sgd"], "training": {"batch_size": 60}},
            "as the coins fall, a model is trained on 50 to 110 rows: dp-sgd: builtin/dp-sgd: batch_size 60 exceeds the "
            "50 training rows; lower it",
        ),
        (
            {"defenses": [{"name": "dp-sgd", "params": {"delta": 0.01}}]},
            "as the coins fall, a model is trained on 50 to 110 rows: dp-sgd: builtin/dp-sgd: delta 0.01 is not below "
            "1 / 110 rows: releasing one whole row at random would satisfy it",
        ),
    ],
)
def test_audit_rows_that_do_not_fit_the_run_are_refused_before_anything_is_trained(planned, changes, problem):
    with pytest.raises(RequestError) as error:
        planned(**changes)
    assert error.value.problems == (f"risks.privacy-audit.threat: {problem}",)


def test_a_defense_without_an_account_fails_its_cells_and_is_blamed(registry):
    silent = {"name": "liar", "params": {"evidence": False}}
    results = run(config(defenses=[silent], seeds=1, training={"epochs": 1}), registry=registry)
    assert {(cell.status, cell.blame) for cell in cells(results, "liar")} == {("failed", "toy/liar")}
    (cell,) = cells(results, "liar")
    assert (
        'its evidence "privacy" names no epsilon (epsilon or epsilon_prv or epsilon_rdp) and delta that' in cell.reason
    )


def test_a_forecast_counts_the_models_of_audits_apart(registry, tmp_path):
    request = resolve(config(), registry)
    ready = prepared(request, Store(tmp_path / "cache"))
    found = forecast(request, ready.store, tmp_path / "out", loaded=lambda: ready.facts)
    assert (found.victims, found.shadow_models, found.audited) == ((8, 8), (0, 0), (4, 4))
    said = "Models: 8 of 8 victims and 0 of 0 shadow models, and 4 of 4 models with audit rows are still to be trained."
    assert said in forecast_text(request.name, found)


def test_the_game_finds_its_attacks_controls_and_metric(registry):
    game = GAMES[RISK]
    for name in (*game.attacks, *game.controls):
        component = registry.find("attack", f"builtin/{name}").component
        assert (component.risk, component.control) == (game.attacks_of, name in game.controls)
    (metric,) = (registry.find("metric", f"builtin/{name}").component for name in game.metrics)
    assert metric.risk == RISK
    assert game.primary.value in {measure.name for measure in metric.measures}
