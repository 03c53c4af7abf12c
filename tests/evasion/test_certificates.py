"""Certificates in a run: who is asked, once for each victim; what is measured; and the alarm when one is false."""

import importlib_metadata
import pytest
import torch

import amulet_core as amulet
from amulet_core import api
from amulet_core.configuration.reading import resolve
from amulet_core.data import make_data
from amulet_core.discovery.registry import discover
from amulet_core.games import evasion as evasion_game
from amulet_core.games.threats import EvasionThreat
from amulet_core.performing.ground import load_data
from amulet_core.planning.certificates import certifiers
from amulet_core.planning.facts import facts_of
from amulet_core.planning.jobs import AttackWork, CertifyWork
from amulet_core.report.details import pictures
from amulet_core.running.conduct import prepared
from amulet_core.running.forecast import forecast
from amulet_core.schema import DataSchema, Feasible
from amulet_core.storage.store import Store

TOY = """
from pydantic import Field
from amulet_core.components import Defense, Params
from amulet_core.hooks import hookimpl

HERE = __name__


class LyingParams(Params):
    how: str = Field("all", description="what it says")


def keep(training, params, context):
    return training


def same(fitted, data, params):
    return fitted


def halve(probabilities, params):
    return probabilities / 2 + 0.5 / probabilities.shape[1]


def again(build, params, schema):
    if params.how == "raises":
        raise RuntimeError("it cannot be built again")
    return build() if params.how != "nothing" else None


def proofs(question, params):
    import torch

    shape = (len(question.epsilons), len(question.y))
    answers = {"all": torch.ones(shape).bool(), "numbers": torch.ones(shape), "few": torch.ones(1, 3).bool()}
    return answers.get(params.how)


@hookimpl
def amulet_components():
    made = {"params": LyingParams, "risk": "evasion", "summary": "A defense made for a test"}
    yield Defense(name="liar", target=f"{HERE}:keep", stages={"training": f"{HERE}:keep"}, certify=f"{HERE}:proofs", **made)
    yield Defense(name="wrap", target=f"{HERE}:same", stages={"model": f"{HERE}:same"}, rebuild=f"{HERE}:again", **made)
    yield Defense(name="first", target=f"{HERE}:keep", stages={"training": f"{HERE}:keep"}, rebuild=f"{HERE}:again", **made)
    yield Defense(name="halve", target=f"{HERE}:halve", stages={"inference": f"{HERE}:halve"}, **made)
"""


@pytest.fixture
def registry(packages):
    packages.add("toy", TOY, module="certificate_components")
    own = importlib_metadata.entry_points(group="amulet.v1", name="builtin")
    found = discover(entry_points=[*packages.entry_points(), *own])
    assert found.warnings == ()
    return found


def config(**changes):
    return {
        "dataset": "digits",
        "model": "logistic",
        "training": {"epochs": 3, "learning_rate": 0.02},
        "data": {"train": 100, "val": 10, "test": 60, "aux": 10},
        "defenses": ["liar"],
        "risks": {
            "evasion": {
                "threat": {"epsilon": 0.2, "curve": [0.1], "rows": 40},
                "attacks": [{"name": "pgd", "params": {"steps": 4, "restarts": 1}}, "fgsm"],
            }
        },
        "seeds": 1,
    } | changes


@pytest.mark.parametrize(
    ("chain", "names"),
    [
        (["liar"], ["liar"]),
        (["ibp"], ["ibp"]),
        (["randomized-smoothing"], ["randomized-smoothing"]),
        (["trades", "ibp"], ["ibp"]),
        (["ibp", "randomized-smoothing"], ["randomized-smoothing"]),  # the bounds are of a model that is wrapped
        (["first", "randomized-smoothing"], ["randomized-smoothing"]),
        (["randomized-smoothing", "first"], ["randomized-smoothing"]),  # which wraps after training, whatever the order
        (["randomized-smoothing", "wrap"], []),
        (["liar", "wrap"], []),
        (["liar", "ibp"], ["liar", "ibp"]),
        (["ibp", "halve"], []),  # what is released is no longer what was proved
        (["trades"], []),
    ],
)
def test_who_certifies_is_who_made_the_deployed_model_what_it_is(registry, chain, names):
    row = resolve(config(defenses=[chain]), registry).rows[-1]
    assert [use.entry.component.name for use in certifiers(row.chain)] == names


def test_a_proof_covers_what_the_judge_lets_pass():
    schema = DataSchema(modality="tabular", shape=(2,), classes=("a", "b"), feasible=Feasible(low=0.0, high=1.0))
    rows = make_data(torch.full((20, 2), 0.5), torch.arange(20) % 2, schema)
    threat = EvasionThreat(epsilon=0.1, curve=(0.01,))
    question = evasion_game.certifiable(torch.nn.Linear(2, 2), rows, threat, ("draws", 0))
    for asked, budget in zip(question.epsilons, threat.epsilons, strict=True):
        contest_x = rows.x + torch.tensor([asked - 1e-7, 0.0])
        answer = evasion_game.EvasionAnswer(x=torch.stack([contest_x]))
        one = EvasionThreat(epsilon=budget, curve=())
        evasion_game._possible_inputs(rows, answer, one)
        assert budget < asked < 1.001 * budget


def test_certificates_are_asked_for_once_for_each_victim_and_seed(registry, tmp_path):
    two = config(defenses=["liar", "ibp", "trades"], seeds=2)
    jobs = prepared(resolve(two, registry), Store(tmp_path)).plan.jobs
    asked = {key: job for key, job in jobs.items() if isinstance(job.work, CertifyWork)}
    assert [job.label for job in asked.values()] == [
        "certificates of liar, seed 0",
        "certificates of liar, seed 1",
        "certificates of ibp, seed 0",
        "certificates of ibp, seed 1",
    ]
    users = [[need for need in job.needs if need in asked] for job in jobs.values() if isinstance(job.work, AttackWork)]
    plays = [job for job in jobs.values() if isinstance(job.work, AttackWork) and job.work.risk.game.risk == "evasion"]
    assert len(plays) == 2 * 5 * 3  # seeds, rows, attacks with the control
    assert sum(map(len, users)) == 2 * 2 * 3
    request = resolve(two, registry)
    todo = forecast(request, Store(tmp_path), tmp_path, loaded=lambda: facts_of(load_data(request)))
    assert [(line.kind, line.jobs) for line in todo.lines if line.kind == "certify"] == [("certify", 4)]
    order = list(jobs)
    assert all(order.index(need) < order.index(key) for key, job in jobs.items() for need in job.needs)


def evasion(results, row):
    return {cell.attack: cell for cell in results.cells if (cell.risk, cell.row) == ("evasion", row)}


def scores(cell):
    return {value.name: value for value in cell.measured[0].scores.values}


def test_a_certificate_that_an_attack_refutes_is_an_alarm(registry, tmp_path):
    results = api.run(config(), registry=registry, cache=tmp_path / "c")
    cells = evasion(results, "liar")
    found = scores(cells["builtin/pgd"])
    clean = round(found["clean_accuracy"].estimate * 40)
    assert found["certified_accuracy"].estimate == found["clean_accuracy"].estimate
    curve = cells["builtin/pgd"].measured[0].scores.details["accuracy_by_epsilon"]
    fooled = [clean - round(point["accuracy"] * 40) for point in curve[1:]]
    assert min(fooled) > 0
    assert cells["builtin/pgd"].warnings == tuple(
        f"{count} of {clean} rows that are certified at budget {epsilon} were fooled within it: the certificate is "
        "wrong, or does not hold for the model as it is deployed"
        for count, epsilon in zip(fooled, ("0.1", "0.2"), strict=True)
    )
    assert cells["worst case"].warnings[:2] == cells["builtin/pgd"].warnings
    assert scores(cells["worst case"])["certified_accuracy"] == found["certified_accuracy"]
    withheld = scores(evasion(results, "none")["builtin/pgd"])["certified_accuracy"]
    assert withheld.reason == "no defense of this row certifies what the deployed model answers"
    assert evasion(results, "none")["builtin/pgd"].warnings == ()


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (
            "numbers",
            "TypeError: its certificates are torch.float32 [2, 40], expected torch.bool [budgets, n] = [2, 40]",
        ),
        ("few", "TypeError: its certificates are torch.bool [1, 3], expected torch.bool [budgets, n] = [2, 40]"),
        ("none", "TypeError: its certificates are NoneType, expected torch.bool [budgets, n] = [2, 40]"),
    ],
)
def test_an_answer_of_another_shape_fails_the_cells_in_the_defenses_name(registry, tmp_path, how, text):
    lying = config(defenses=[{"name": "liar", "params": {"how": how}}])
    cells = evasion(api.run(lying, registry=registry, cache=tmp_path / "c"), "liar").values()
    assert {(cell.status, cell.blame, cell.reason) for cell in cells} == {("failed", "toy/liar", text)}


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("raises", "RuntimeError: it cannot be built again"),
        ("nothing", "TypeError: rebuild returned NoneType, expected a torch.nn.Module"),
    ],
)
def test_a_model_that_cannot_be_built_again_fails_in_the_defenses_name(registry, tmp_path, how, text):
    wrapped = config(defenses=[{"name": "wrap", "params": {"how": how}}])
    cells = evasion(api.run(wrapped, registry=registry, cache=tmp_path / "c"), "wrap").values()
    assert {(cell.status, cell.blame, cell.reason) for cell in cells} == {("failed", "toy/wrap", text)}


SMALL = {"name": "randomized-smoothing", "params": {"sigma": 0.1, "draws": 8, "certify_draws": 200}}
CERTIFYING = {"ibp": {"name": "ibp", "params": {"epsilon": 0.03}}, "randomized-smoothing": SMALL}


@pytest.mark.parametrize(("dataset", "model"), [("adult", "mlp"), ("digits", "cnn")])
def test_certified_rows_are_robust_ones_and_a_run_can_be_repeated_from_the_cache(tmp_path, dataset, model):
    own = config(
        dataset=dataset,
        model=model,
        training={"epochs": 10, "learning_rate": 0.003, "batch_size": 16},
        defenses=[*CERTIFYING.values(), ["trades", SMALL]],
    )
    own["risks"]["evasion"]["threat"] = {"epsilon": 0.02, "curve": [0.005], "rows": 40}
    first = amulet.run(own, cache=tmp_path / "c")
    assert first.provenance.warnings == ()
    for row in ("ibp", "randomized-smoothing", "trades + randomized-smoothing"):
        for cell in evasion(first, row).values():
            assert (cell.status, cell.warnings) == ("ok", ())
            found = {name: value.estimate for name, value in scores(cell).items()}
            assert found["certified_accuracy"] <= found["robust_accuracy"] <= found["clean_accuracy"]
            by_epsilon = [point["accuracy"] for point in cell.measured[0].scores.details["certified_by_epsilon"]]
            assert by_epsilon == sorted(by_epsilon, reverse=True)
            assert by_epsilon[0] > (0.15 if row in CERTIFYING else 0)
        drawn = pictures(list(evasion(first, row).values()), row=row)
        assert drawn.problems == ()
        titles = [
            title
            for chart in drawn.charts
            for title in (f"Accuracy by budget, {row}", f"Certified accuracy by budget, {row}")
            if f">{title}<" in chart
        ]
        assert titles == [f"Accuracy by budget, {row}", f"Certified accuracy by budget, {row}"]
    again = config(**{key: own[key] for key in ("dataset", "model", "training", "defenses")})
    other = {"name": "pgd", "params": {"steps": 3, "restarts": 1}}
    again["risks"]["evasion"] = own["risks"]["evasion"] | {"attacks": [other]}
    second = amulet.run(again, cache=tmp_path / "c")
    done = {label.split(" ")[0] for label in second.provenance.timings}
    assert done == {"pgd"}, "models and certificates were kept"
    for row in CERTIFYING:
        old, new = (evasion(results, row)["builtin/pgd"] for results in (first, second))
        assert new.warnings == ()
        for name in ("certified_accuracy", "clean_accuracy"):
            assert scores(old)[name] == scores(new)[name]


def test_models_of_a_defense_that_wraps_come_back_from_the_cache(registry, tmp_path):
    """Another attack asks the models of the first run: nothing is trained again."""
    from amulet_core.configuration.request import load_all
    from amulet_core.performing.codec import pack, unpack
    from amulet_core.performing.perform import perform

    request = resolve(config(defenses=[SMALL]), registry)
    load_all(request)
    ready = prepared(request, Store(tmp_path))
    job = next(job for job in ready.plan.jobs.values() if job.label.startswith("train randomized-smoothing"))
    output = perform(job, [], ready.ground, threads=1)
    packed = pack(job, output, ready.ground)
    assert packed.unkept == ""
    back = unpack(job, packed.entry, ready.ground)
    x = ready.ground.data.x[:20]
    for place, fitted in output.fitted.items():
        assert type(back.fitted[place].model) is type(fitted.model)
        assert torch.equal(back.fitted[place].model.noise, fitted.model.noise)
        assert torch.equal(back.fitted[place].model(x), fitted.model(x))
    noises = [fitted.model.noise for fitted in output.fitted.values()]
    assert len(noises) < 2 or not torch.equal(noises[0], noises[1])
