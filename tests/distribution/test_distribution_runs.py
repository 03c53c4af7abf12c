"""Distribution inference from end to end: what is planned and trained, what an attack is shown, what cells say."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from amulet_core import run
from amulet_core.commands.dry_run import forecast_text
from amulet_core.configuration.reading import resolve
from amulet_core.data import Data
from amulet_core.discovery.registry import discover
from amulet_core.errors import RequestError
from amulet_core.games.distribution import DistributionAnswer
from amulet_core.performing import populations as played_populations
from amulet_core.performing.ground import lay_ground, load_data
from amulet_core.performing.perform import perform
from amulet_core.planning.facts import facts_of
from amulet_core.planning.jobs import DistributionPlayWork, FitWork
from amulet_core.planning.layout import Place, layout_of
from amulet_core.planning.plan import plan
from amulet_core.running.forecast import Forecast, forecast
from amulet_core.storage.store import Store
from amulet_plugins_builtin.distribution import accuracies

RISK = "distribution-inference"


def config(attacks=("loss-test",), *, threat=None, **changes):
    told = {"victims": 3, "models": 2, "queries": 100} | (threat or {})
    return {
        "dataset": "compas",
        "model": "logistic",
        "training": {"epochs": 2},
        "data": {"train": 300, "val": 50, "test": 400, "aux": 500},
        "defenses": [],
        "risks": {RISK: {"attacks": list(attacks), "threat": told}},
        "seeds": 2,
    } | changes


def planned(raw):
    request = resolve(raw, discover())
    data = load_data(request)
    return plan(request, facts_of(data)), lay_ground(data, request, layout_of(request, data.schema))


def plays(found):
    return [job for job in found.jobs.values() if isinstance(job.work, DistributionPlayWork)]


def populations(found):
    """Return the fits of populations with their places."""
    fits = [job for job in found.jobs.values() if isinstance(job.work, FitWork)]
    return [job for job in fits if job.work.places[0].population]


def test_each_row_and_seed_has_victims_and_models_of_its_own_and_all_attacks_share_them():
    found, _ = planned(config(("loss-test", "kl-test"), defenses=["reweighing"]))
    assert Counter(job.label.split(" on ")[0] for job in plays(found)) == dict.fromkeys(
        ("loss-test", "kl-test", "random-hypothesis"), 6
    )
    fits = populations(found)
    assert len(fits) == 12  # victims and own models of two seeds and three rows
    assert Counter(len(job.work.places) for job in fits) == {6: 6, 4: 6}
    for job in plays(found):
        trained = {place for need in job.needs for place in found.jobs[need].work.places}
        assert trained == {*job.work.victims, *job.work.models}
        having = [place.population.having for place in job.work.victims]
        assert having == [job.work.told.having[0]] * 3 + [job.work.told.having[1]] * 3
    places = [place for job in fits if "none" in job.label for place in job.work.places]
    assert len(set(places)) == len(places) == 20


def test_models_of_populations_are_stacked_as_the_request_says():
    found, _ = planned(config(stack=4))
    assert Counter(len(job.work.places) for job in populations(found)) == {4: 8, 2: 4}


def test_an_adversary_that_does_not_adapt_has_undefended_models_that_rows_share():
    found, _ = planned(config(defenses=["reweighing"], threat={"shadow": "undefended"}))
    fits = Counter(job.label.split(" (")[0] for job in populations(found))
    assert fits == {"train none": 4, "train placebo": 2, "train reweighing": 2}
    cells = {(cell.row, cell.adversary) for cell in found.cells if cell.attack == "builtin/loss-test"}
    assert cells == {
        ("none", "adaptive"),
        ("placebo", "adaptive"),
        ("reweighing", "not adaptive: undefended shadow models"),
    }


def test_a_number_of_training_rows_and_the_shares_are_part_of_what_is_trained():
    keys = [
        {job.key for job in populations(planned(config(threat=threat))[0])}
        for threat in ({}, {"rows": 100}, {"ratios": (0.5, 0.3)}, {"value": "Male"}, {"queries": 50})
    ]
    assert keys[0] == keys[4]
    assert all(not keys[0] & other for other in (keys[1], keys[3]))
    assert keys[0] & keys[2] == set()


def test_the_evidence_in_the_provenance_is_not_of_a_populations_model(tmp_path, monkeypatch):
    """A population's model may have far fewer rows than the victim, hence another epsilon."""
    monkeypatch.setenv("AMULET_CACHE", str(tmp_path / "cache"))
    private = {"name": "dp-sgd", "params": {"noise_multiplier": 1.0, "batch_size": 32}}
    raw = config(defenses=[private], seeds=1, threat={"rows": 60, "victims": 2})
    spent = run(raw | {"risks": ["utility"]}).provenance.evidence["dp-sgd"]["privacy"]
    for _ in range(2):  # the second time all is known, in the plan's order
        assert run(raw).provenance.evidence["dp-sgd"]["privacy"] == spent


def test_a_forecast_counts_the_models_of_populations_apart(tmp_path):
    request = resolve(config(), discover())
    found = forecast(request, Store(tmp_path / "cache"), tmp_path, loaded=lambda: facts_of(load_data(request)))
    assert isinstance(found, Forecast)
    assert found.populations == (40, 40)
    assert (
        "Models: 4 of 4 victims and 0 of 0 shadow models, and 40 of 40 models of populations are still to be trained."
    ) in forecast_text("compas", found)


@pytest.fixture(scope="module")
def fits():
    """Train the populations of one small run, once for all tests of the play on them."""
    found, ground = planned(config(seeds=1))
    outputs = {}
    for job in populations(found):
        if "none" in job.label:
            outputs[job.key] = perform(job, [], ground, threads=1)
    (play,) = [job for job in plays(found) if job.label.startswith("loss-test on none")]
    return play, [outputs[need] for need in play.needs], ground


def test_the_truth_is_joined_with_the_right_victims(fits, monkeypatch):
    """An attack that is told all weights by the test scores each victim by what it is."""
    play, inputs, ground = fits
    fitted = {place: one.model.state_dict() for output in inputs for place, one in output.fitted.items()}
    truth = [(fitted[place], at >= 3) for at, place in enumerate(play.work.victims)]

    def knowing(view, params):
        seen = [victim._model.state_dict() for victim in view.victims]
        score = [
            flag for state in seen for known, flag in truth if torch.equal(state["head.weight"], known["head.weight"])
        ]
        return DistributionAnswer(score=torch.tensor(score).double(), threshold=0.5)

    monkeypatch.setattr(accuracies, "loss_test", knowing)
    result = perform(play, inputs, ground, threads=1).result
    assert torch.equal(result.score.bool(), result.second)
    assert result.second.sum() == 3
    assert result.second.tolist() != sorted(result.second.tolist())
    assert result.ratios == play.work.told.ratios


def balanced_by_hand(model, x, y):
    predicted = model(x).argmax(1)
    return torch.stack([(predicted[y == one] == one).double().mean() for one in y.unique()]).mean()


def test_the_victims_are_judged_on_the_rows_asked_about_each_by_what_it_answers_as_deployed(fits, monkeypatch):
    play, inputs, ground = fits
    turned = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    turned.weight.copy_(-torch.eye(2))
    monkeypatch.setattr(played_populations, "deployed", lambda recipe, model: torch.nn.Sequential(model, turned))
    views = []

    def watching(view, params):
        views.append(view)
        return DistributionAnswer(score=torch.arange(len(view.victims)).double(), threshold=0.0)

    monkeypatch.setattr(accuracies, "loss_test", watching)
    result = perform(play, inputs, ground, threads=1).result
    (view,) = views
    x, y = view.x.flatten(0, 1), view.y.flatten()
    expected = torch.stack([balanced_by_hand(victim._model, x, y) for victim in view.victims])
    torch.testing.assert_close(result.balanced, expected)
    assert len(set(result.balanced.tolist())) > 1
    assert (result.balanced < 0.45).any()


def test_victims_are_not_judged_on_rows_that_lack_a_class(fits, monkeypatch):
    play, inputs, ground = fits
    one_class = ground.drawn

    def drawn(population, *key):
        rows = one_class(population, *key)
        return replace(rows, y=torch.zeros_like(rows.y))

    monkeypatch.setattr(type(ground), "drawn", lambda self, *given: drawn(*given))
    assert perform(play, inputs, ground, threads=1).result.balanced is None


def test_populations_that_learnt_nothing_are_degenerate_though_the_victim_of_utility_is_fine(tmp_path):
    """Five passes over 500 rows teach a model something that five over 20 of them do not."""
    raw = config(
        dataset="adult",
        model="mlp",
        training={"epochs": 5, "batch_size": 20},
        data={"train": 500, "val": 50, "test": 300, "aux": 300},
        threat={"rows": 20, "victims": 4},
        seeds=1,
    )
    results = run(raw, cache=tmp_path)
    (accuracy,) = [cell.measured[0].scores for cell in results.cells if (cell.row, cell.risk) == ("placebo", "utility")]
    assert accuracy["balanced_accuracy"].estimate > 0.65
    (found,) = [entry for entry in results.entries if (entry.row, entry.risk) == ("placebo", RISK)]
    assert found.effect.verdict == "degenerate"
    assert found.degenerate == (
        "balanced accuracy of the populations' victims is near chance (0.500) on 1 of 1 seeds: a model that knows nothing "
        "has nothing to lose"
    )


def reachable(root):
    pending, seen = [root], {}
    while pending:
        value = pending.pop()
        if id(value) in seen or isinstance(value, type):
            continue
        seen[id(value)] = value
        yield value
        if isinstance(value, dict):
            pending += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set):
            pending += list(value)
        else:
            pending += list(getattr(value, "__dict__", {}).values())


def pairs(x, y):
    return {(*row, label) for row, label in zip(x.tolist(), y.tolist(), strict=True)}


def rows_of(ground, place):
    drawn = ground.training_rows(place)
    return pairs(drawn.x, drawn.y)


def test_an_attack_sees_no_place_no_row_of_a_training_set_and_no_truth(fits, monkeypatch):
    play, inputs, ground = fits
    views = []

    def watching(view, params):
        views.append(view)
        return DistributionAnswer(score=torch.zeros(len(view.victims), dtype=torch.float64), threshold=0.0)

    monkeypatch.setattr(accuracies, "loss_test", watching)
    result = perform(play, inputs, ground, threads=1).result
    found = list(reachable(views[0]))
    assert not [value for value in found if isinstance(value, Data | Place | DistributionPlayWork)]
    flags = [value for value in found if isinstance(value, torch.Tensor) and value.dtype == torch.bool]
    assert [tuple(value.shape) for value in flags] == [(4,)]
    asked = pairs(views[0].x.flatten(0, 1), views[0].y.flatten())
    trained = {row for place in play.work.victims for row in rows_of(ground, place)}
    own = {row for place in play.work.models for row in rows_of(ground, place)}
    assert len(trained) > 100
    assert (asked & trained) | (asked & own) | (own & trained) == set()
    assert len(result.score) == 6


def test_an_answer_of_the_wrong_kind_is_the_attack_s_fault(fits, monkeypatch):
    play, inputs, ground = fits
    monkeypatch.setattr(accuracies, "loss_test", lambda view, params: 3)
    with pytest.raises(
        Exception, match=r"^builtin/loss-test: TypeError: it returned int, expected a DistributionAnswer$"
    ):
        perform(play, inputs, ground, threads=1)


def test_the_risk_is_measured_on_adult_by_every_attack(tmp_path):
    raw = config(
        ("kl-test", "loss-test", "threshold-test", "pim"),
        dataset="adult",
        model="mlp",
        seeds=1,
        data={"train": 200, "val": 20, "test": 300, "aux": 400},
        threat={"victims": 2, "models": 2, "queries": 50},
    )
    results = run(raw, cache=tmp_path / "cache")
    cells = [cell for cell in results.cells if cell.risk == RISK]
    assert {(cell.row, cell.attack) for cell in cells} == {
        (row, f"builtin/{attack}")
        for row in ("none", "placebo")
        for attack in ("kl-test", "loss-test", "threshold-test", "pim", "random-hypothesis")
    }
    assert {cell.status for cell in cells} == {"ok"}
    assert [cell.control for cell in cells].count(True) == 2
    rows = {cell.measured[0].scores.details["rows"] for cell in cells}
    assert len(rows) == 1
    assert 100 <= rows.pop() <= 200
    (column,) = [column for column in results.columns if column.risk == RISK]
    assert (column.primary_value, column.better) == ("accuracy", "lower")
    values = dict(entry_values(results))
    worst = max(
        cell.measured[0].scores["accuracy"].estimate for cell in cells if not cell.control and cell.row == "none"
    )
    assert values["none"] == worst
    again = run(raw, cache=tmp_path / "cache")
    assert again.provenance.timings == {}
    assert again.cells == results.cells


def entry_values(results):
    return [(entry.row, entry.values[0][1]) for entry in results.entries if entry.risk == RISK]


def test_equal_shares_are_at_chance(tmp_path):
    raw = config(
        ("kl-test", "loss-test", "threshold-test", "pim"),
        threat={"ratios": (0.4, 0.4), "victims": 40, "models": 8},
        seeds=1,
    )
    results = run(raw, cache=tmp_path)
    for cell in results.cells:
        if cell.risk == RISK:
            scores = cell.measured[0].scores
            assert 24 <= 80 * scores["accuracy"].estimate <= 56, cell.attack  # 99.9 % of 80 throws of a fair coin
            assert scores["n_leaked_exact"].reason.startswith("The shares are equal")


@pytest.mark.parametrize(
    ("model", "attack", "reason"),
    [
        (
            {"name": "sklearn", "params": {"estimator": "logistic-regression"}},
            "pim",
            "builtin/pim needs gradients, and builtin/sklearn has none; builtin/pim needs an architecture with "
            "layer-chain, and builtin/sklearn declares none",
        ),
        ({"name": "logistic"}, "pim", ""),
        ({"name": "sklearn", "params": {"estimator": "logistic-regression"}}, "kl-test", ""),
    ],
)
def test_an_attack_on_weights_is_skipped_where_there_is_no_chain_of_layers(model, attack, reason):
    found, _ = planned(config((attack,), model=model, seeds=1))
    assert {cell.skipped for cell in found.cells if cell.attack == f"builtin/{attack}"} == {reason}


def test_an_attack_on_weights_is_skipped_where_a_defense_mixes_models():
    sex = {"name": "compas", "params": {"sensitive_in_x": True}}
    raw = config(("pim", "kl-test"), dataset=sex, defenses=["correlation-remover", "exponentiated-gradient"], seeds=1)
    found, _ = planned(raw)
    skipped = {(cell.row, cell.attack): cell.skipped for cell in found.cells if cell.skipped}
    assert skipped == {
        ("exponentiated-gradient", "builtin/pim"): "builtin/pim needs a model with layer-chain, and those that "
        "builtin/exponentiated-gradient makes have none"
    }


def test_a_defense_that_cannot_be_trained_on_populations_is_an_error_of_the_request():
    private = {"name": "dp-sgd", "params": {"batch_size": 150}}
    with pytest.raises(RequestError) as caught:
        planned(config(defenses=["reweighing", private]))
    assert caught.value.problems == (
        f"risks.{RISK}.threat: populations train on 110 rows each: builtin/dp-sgd: batch_size 150 exceeds the 110 training "
        "rows; lower it",
    )
    planned(config(defenses=["reweighing", private | {"params": {"batch_size": 110}}]))
    with pytest.raises(RequestError) as caught:  # said once, where it holds for every model
        planned(config(defenses=[private | {"params": {"batch_size": 301}}]))
    (text,) = caught.value.problems
    assert text.endswith("batch_size 301 exceeds the 300 training rows; lower it")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"dataset": "digits"},
            "risks.distribution-inference.threat: the data set has no sensitive attribute, so there is no share to infer",
        ),
        (
            {"threat": {"rows": 280}},
            'risks.distribution-inference.threat: shares of 0.5 and 0.2 of sex "Female" are impossible for the data: pool '
            "has enough rows of every class and kind for 134 rows, and 280 are needed: lower rows, choose other ratios, "
            "or raise data.train\n"
            'risks.distribution-inference.threat: shares of 0.5 and 0.2 of sex "Female" are impossible for the data: aux '
            "has enough rows of every class and kind for 110 rows, and 280 are needed: lower rows, choose other ratios, "
            "or raise data.aux",
        ),
    ],
)
def test_what_the_data_cannot_give_is_an_error_of_the_request(changes, text):
    with pytest.raises(RequestError) as caught:
        planned(config(**changes))
    assert str(caught.value) == text
