"""Who is asked in each game: the model as it is deployed, but for white boxes, which are the one beneath its wrappers.

The only wrapper swaps the two classes, so that the one cannot pass for the other on any input.
"""

from dataclasses import replace

import pytest
import torch
from watchers import AUDIT, MEMBERSHIP, SEEN, SWAP, watchers

from amulet_core.components import NoParams
from amulet_core.configuration.reading import resolve
from amulet_core.configuration.request import Use
from amulet_core.discovery.registry import discover
from amulet_core.games import poisoning
from amulet_core.games import theft as theft_game
from amulet_core.oracles import BudgetOracle
from amulet_core.performing.ground import lay_ground, load_data
from amulet_core.performing.outputs import FitOutput
from amulet_core.performing.perform import perform
from amulet_core.planning.facts import facts_of
from amulet_core.planning.jobs import BankWork
from amulet_core.planning.layout import layout_of
from amulet_core.planning.plan import plan
from amulet_core.victims import logits_of

DISTRIBUTION, RECONSTRUCTION, THEFT = "distribution-inference", "data-reconstruction", "unauthorized-model-ownership"
WATCHED = ("evasion", MEMBERSHIP, AUDIT, "attribute-inference", DISTRIBUTION, RECONSTRUCTION, THEFT)
RISKS = {
    AUDIT: {"canaries": 10, "guessed_in": 2, "guessed_out": 2},
    DISTRIBUTION: {"victims": 2, "models": 2, "queries": 40},
    THEFT: {"budget": 40, "curve": []},
}


def swapping(request):
    """Put the swapping defense into the defended row, and a watcher for each access into each game that has attacks."""
    rows = [replace(row, chain=(Use(SWAP, NoParams()),)) if row.kind == "defense" else row for row in request.rows]
    risks = [
        replace(risk, attacks=watchers(risk.game.risk)) if risk.game.risk in WATCHED else risk for risk in request.risks
    ]
    return replace(request, rows=tuple(rows), risks=tuple(risks))


@pytest.fixture(scope="module")
def played():
    """Return all jobs, the ground, what the defended row's jobs gave, and which of them play a risk by an attack."""
    risks = {risk: {"threat": RISKS.get(risk, {})} for risk in WATCHED}
    poison = {"attacks": ["badnets"], "threat": {"rate": 0.1}}
    raw = {
        "dataset": "compas",
        "model": "logistic",
        "training": {"epochs": 3},
        "data": {"train": 150, "val": 20, "test": 200, "aux": 300},
        "defenses": ["output-rounding"],
        "risks": risks | {"poisoning": poison, "discriminatory-behavior": {}},
        "seeds": 1,
    }
    registry = discover(select="")
    data = load_data(resolve(raw, registry))
    request = swapping(resolve(raw, registry))
    found, ground = plan(request, facts_of(data)), lay_ground(data, request, layout_of(request, data.schema))
    cells = {(cell.risk, cell.attack): cell.job for cell in found.cells if cell.row == "output-rounding"}
    SEEN.clear()
    outputs = {}
    for key in cells.values():
        _do(found.jobs, key, ground, outputs)
    return found.jobs, ground, outputs, cells


def _do(jobs, key, ground, outputs):
    """Do a job after those that it needs; those of other rows are left undone."""
    if key not in outputs:
        inputs = [_do(jobs, need, ground, outputs) for need in jobs[key].needs]
        outputs[key] = perform(jobs[key], inputs, ground, threads=1)
    return outputs[key]


def the(played, risk, attack=""):
    """Return the job of a game on the defended row, its inputs and its output."""
    jobs, _, outputs, cells = played
    job = jobs[cells[risk, attack]]
    return job, [outputs[need] for need in job.needs], outputs[job.key]


def beneath(played, risk, attack=""):
    """Return the victim's bare model."""
    job, inputs, _ = the(played, risk, attack)
    return next(one for one in inputs if isinstance(one, FitOutput)).fitted[job.work.victim].model


def labels(model, x):
    return logits_of(model, x).argmax(1)


def rows_of_test(played, job):
    ground = played[1]
    return ground.rows(ground.blocks[job.work.victim.block].test)


@pytest.mark.parametrize("access", ["white-box", "probabilities"])
@pytest.mark.parametrize("risk", [risk for risk in WATCHED if risk != DISTRIBUTION])
def test_a_white_box_is_the_victim_beneath_and_all_else_is_the_one_deployed(played, risk, access):
    x, model = played[1].data.x[:40], SEEN[risk, access].model
    told = model.ask(x).argmax(1) if isinstance(model, BudgetOracle) else model.labels(x)
    bare = labels(beneath(played, risk, f"made/watch-{access}"), x)
    assert torch.equal(told, bare if access == "white-box" else 1 - bare)


@pytest.mark.parametrize("access", ["white-box", "probabilities"])
def test_the_same_holds_of_populations_the_adversary_s_own_among_them(played, access):
    x, view = played[1].data.x[:40], SEEN[DISTRIBUTION, access]
    job, inputs, _ = the(played, DISTRIBUTION, f"made/watch-{access}")
    fitted = {place: one.model for fit in inputs for place, one in fit.fitted.items()}
    for told, places in ((view.victims, job.work.victims), (view.models, job.work.models)):
        bare = [labels(fitted[place], x) for place in places]
        expected = bare if access == "white-box" else [1 - one for one in bare]
        # The victims come in random order.
        assert sorted(model.labels(x).tolist() for model in told) == sorted(one.tolist() for one in expected)


def evasion(played):
    view, (_, _, output) = SEEN["evasion", "white-box"], the(played, "evasion", "made/watch-white-box")
    for right in (output.result.clean, *output.result.robust):  # the watcher changes nothing
        yield torch.where(right, view.y, 1 - view.y), view.x


def membership(played):
    for access in ("white-box", "probabilities"):
        view = SEEN[MEMBERSHIP, access]
        yield view.observed.argmax(1), view.x
        yield view.observed_population.argmax(1), view.population_x


def audit(played):
    for access in ("white-box", "probabilities"):
        yield SEEN[AUDIT, access].observed.argmax(1), SEEN[AUDIT, access].x


def attribute(played):
    for access in ("white-box", "probabilities"):
        view = SEEN["attribute-inference", access]
        yield view.observed.argmax(1), view.x
        yield view.observed_aux.argmax(1), view.aux_x


def reconstruction(played):
    for access in ("white-box", "probabilities"):
        view, (_, _, output) = SEEN[RECONSTRUCTION, access], the(played, RECONSTRUCTION, f"made/watch-{access}")
        yield view.observed.argmax(1), output.result.truth
        yield view.observed_aux.argmax(1), view.aux_x


def behaviour(risk):
    def told(played):
        job, _, output = the(played, risk)
        yield output.result.predictions, rows_of_test(played, job).x

    return told


def theft(played):
    job, _, output = the(played, THEFT, "made/watch-white-box")
    rows = theft_game.asked(rows_of_test(played, job), job.work.risk.threat, ("draws", 0, 0))
    yield output.result.victim, rows.x


TOLD = {
    "evasion": evasion,
    MEMBERSHIP: membership,
    AUDIT: audit,
    "attribute-inference": attribute,
    RECONSTRUCTION: reconstruction,
    "discriminatory-behavior": behaviour("discriminatory-behavior"),
    "utility": behaviour("utility"),
    THEFT: theft,
}


@pytest.mark.parametrize("risk", TOLD)
def test_what_counts_is_what_the_deployed_victim_says_whatever_the_access(played, risk):
    model = beneath(played, risk, next(attack for one, attack in played[3] if one == risk))
    found = list(TOLD[risk](played))
    assert found
    for told, x in found:
        assert len(told) > 0
        assert torch.equal(told, 1 - labels(model, x))


def test_the_poisoned_and_the_clean_victim_are_both_asked_as_they_are_deployed(played):
    job, (poison, poisoned, clean), output = the(played, "poisoning", "builtin/badnets")
    rows = poisoning.asked(rows_of_test(played, job), job.work.risk.threat, ("draws", 0, 0))
    for fit, plain, triggered in (
        (poisoned, output.result.plain, output.result.triggered),
        (clean, output.result.clean_plain, output.result.clean_triggered),
    ):
        model = fit.fitted[job.work.victim].model
        assert torch.equal(plain, 1 - labels(model, rows.x))
        assert torch.equal(triggered, 1 - labels(model, poison.answer.triggered))


@pytest.mark.parametrize("access", ["white-box", "probabilities"])
def test_shadow_models_are_asked_as_they_are_deployed(played, access):
    jobs, _, outputs, _ = played
    job, _, _ = the(played, MEMBERSHIP, f"made/watch-{access}")
    banks = [jobs[need] for need in job.needs if isinstance(jobs[need].work, BankWork)]
    fitted = {place: one.model for bank in banks for place, one in outputs[bank.needs[0]].fitted.items()}
    view = SEEN[MEMBERSHIP, access]
    assert len(job.work.shadows) == 2
    for place, candidates, population in zip(job.work.shadows, view.lab.candidates, view.lab.population, strict=True):
        assert torch.equal(candidates.argmax(1), 1 - labels(fitted[place], view.x))
        assert torch.equal(population.argmax(1), 1 - labels(fitted[place], view.population_x))
