"""The game of reconstruction: what each kind of adversary sees, what the core accepts, and what it joins."""

import gc
import sys
import types
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from amulet_core.components import Defense, NoParams
from amulet_core.configuration.request import Use
from amulet_core.discovery.entries import Entry
from amulet_core.errors import ComponentError
from amulet_core.feasible import span
from amulet_core.games.contest import Contest
from amulet_core.games.reconstruction import ReconstructionAnswer, class_means, judge, view
from amulet_core.games.threats import ReconstructionThreat
from amulet_core.performing.recipes import fit_recipe, training_of
from amulet_core.planning.jobs import Recipe
from amulet_core.schema import Sensitive
from amulet_core.training.values import Streams
from amulet_core.victims import ProbabilityOracle, WhiteBox
from amulet_plugins_builtin.reconstruction import planted

THREAT = ReconstructionThreat(rows=100, gradients=6)
ACCESS = {"row": "probabilities", "class": "white-box", "batch": "gradients"}


def uniform(kind, model=None):
    return planted.uniform(model or planted.Telling(), planted.TABLE, kind=kind)


def answer_of(seen, value=0.5):
    low, high = torch.tensor(planted.TABLE.feasible.low), torch.tensor(planted.TABLE.feasible.high)
    return ReconstructionAnswer(x=(low + value * (high - low)).expand(seen.size, 3))


# What an adversary sees


@pytest.mark.parametrize(
    ("kind", "access", "model", "size", "told", "observed", "observed_aux"),
    [
        ("row", "probabilities", ProbabilityOracle, 100, 100, (100, 4), (400, 4)),
        ("row", "none", type(None), 100, 100, (0, 4), (0, 4)),
        ("class", "white-box", WhiteBox, 4, 4, (0, 4), (400, 4)),
        ("batch", "gradients", WhiteBox, 6, 0, (0, 4), (0, 4)),
        ("batch", "none", type(None), 6, 6, (0, 4), (0, 4)),
    ],
)
def test_each_kind_of_adversary_sees_its_own(trained_by, kind, access, model, size, told, observed, observed_aux):
    seen = view(replace(trained_by(), reconstructs=kind), THREAT, access)
    assert (seen.kind, type(seen.model), seen.size, len(seen.y)) == (kind, model, size, told)
    assert (tuple(seen.observed.shape), tuple(seen.observed_aux.shape)) == (observed, observed_aux)
    assert bool(seen.gradient) == (access == "gradients")


def test_an_attack_without_a_kind_plays_what_the_verdict_is_about():
    plain = replace(uniform("row"), reconstructs=None)
    kinds = ("class", "row")
    assert [view(plain, ReconstructionThreat(verdict=kind), "none").kind for kind in kinds] == ["class", "row"]


def test_half_of_the_rows_asked_for_are_members_in_an_order_that_does_not_tell():
    contest = uniform("row")
    seen = view(contest, THREAT, "probabilities")
    result = judge(contest, answer_of(seen), THREAT)
    assert int(result.member.sum()) == 50
    assert 15 < int(result.member[:50].sum()) < 35
    assert torch.allclose(seen.observed, torch.log_softmax(contest.model(result.truth), 1))
    assert torch.equal(seen.y, contest.pool.y[(result.truth[:, None] == contest.pool.x).all(2).int().argmax(1)])


def test_the_rows_asked_for_do_not_depend_on_the_victim():
    contests = [uniform("row", model) for model in (planted.Telling(), planted.Silent())]
    first, second = (judge(one, answer_of(view(one, THREAT, "none")), THREAT) for one in contests)
    assert torch.equal(first.truth, second.truth)


def with_groups(rows):
    schema = rows.schema.model_copy(update={"sensitive": (Sensitive(name="sex", categories=("f", "m")),)})
    return replace(rows, z=(torch.arange(len(rows)) % 2)[:, None], schema=schema)


def reachable(root):
    """Yield all that can be reached from a value, but for classes, modules and what functions know globally."""
    pending, seen = [root], set()
    while pending:
        value = pending.pop()
        if id(value) in seen or isinstance(value, type | types.ModuleType | types.BuiltinFunctionType):
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, types.FunctionType):
            pending += [cell.cell_contents for cell in value.__closure__ or ()]
            pending += list(value.__defaults__ or ())
        else:
            pending += gc.get_referents(value)


def tells(value, contest, truth):
    """Say whether a tensor holds a row that is to be reconstructed, an id of the pool, or who was a member."""
    storage = torch.empty(0, dtype=value.dtype).set_(value.untyped_storage()).flatten()
    if torch.isin(storage.double(), contest.pool.id.double()).any():
        return True
    if value.dtype == torch.bool and len(storage) in (len(contest.member), len(truth)):
        return True
    numbers = set(storage.tolist())
    return any(set(row.tolist()) <= numbers for row in truth)


@pytest.mark.parametrize("kind", ["row", "class", "batch"])
def test_nothing_reachable_from_the_view_tells_the_truth(trained_by, kind):
    contest = trained_by()
    pool = replace(contest.pool, id=contest.pool.id + 10**12)
    contest = replace(contest, reconstructs=kind, pool=pool)
    seen = view(contest, THREAT, ACCESS[kind])
    truth = judge(contest, answer_of(seen), THREAT).truth
    found = list(reachable(seen))
    assert not [one for one in found if isinstance(one, Contest | Recipe | Streams | torch.Generator)]
    tensors = [one for one in found if isinstance(one, Tensor) and not one.is_meta]
    assert len(tensors) >= 5
    assert not [one for one in tensors if tells(one, contest, truth)]


@pytest.mark.parametrize("leak", ["a row", "an id", "the members", "the contest"])
def test_a_planted_leak_is_seen(leak):
    contest = uniform("row")
    pool = replace(contest.pool, id=contest.pool.id + 10**12)
    contest = replace(contest, pool=pool)
    seen = view(contest, THREAT, "probabilities")
    truth = judge(contest, answer_of(seen), THREAT).truth
    planted_leak = {"a row": truth[7:8], "an id": pool.id[3:4], "the members": contest.member, "the contest": contest}
    found = list(reachable((seen, planted_leak[leak])))
    tensors = [one for one in found if isinstance(one, Tensor)]
    assert any(isinstance(one, Contest) for one in found) or any(tells(one, contest, truth) for one in tensors)


# What the core accepts and joins


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (lambda seen: None, TypeError, "it returned NoneType, expected a ReconstructionAnswer"),
        (
            lambda seen: ReconstructionAnswer(x=torch.zeros(3, 3)),
            ValueError,
            "the answer's x is [3, 3], expected [size, ...] = [100, 3]",
        ),
        (
            lambda seen: answer_of(seen, 1.01),
            ValueError,
            "the answer breaks the rules of the game: 100 of 100 inputs leave the data's bounds",
        ),
    ],
)
def test_an_answer_that_breaks_the_rules_is_refused(answer, error, text):
    contest = uniform("row")
    with pytest.raises(error) as caught:
        judge(contest, answer(view(contest, THREAT, "none")), THREAT)
    assert str(caught.value) == text


def test_an_answer_with_a_number_that_is_not_finite_cannot_be_made():
    with pytest.raises(ValueError, match="x holds 1 values that are not finite"):
        ReconstructionAnswer(x=torch.tensor([[0.0, torch.nan]]))


def test_rounding_beyond_the_bounds_is_put_back_within_them():
    contest = uniform("row")
    result = judge(contest, answer_of(view(contest, THREAT, "none"), 1 + 1e-6), THREAT)
    assert torch.equal(result.x, torch.tensor([1.0, 5.0, 30.0]).expand(100, 3))


def test_the_truth_of_a_class_are_its_rows_trained_on_and_not():
    contest = uniform("class")
    result = judge(contest, answer_of(view(contest, THREAT, "none")), THREAT)
    assert torch.equal(result.truth, contest.pool.x)
    assert torch.equal(result.of, contest.pool.y)
    assert torch.equal(result.member, contest.member)


def test_beside_every_answer_stand_the_class_mean_of_aux_and_the_input_nearest_to_zero():
    contest = uniform("class")
    result = judge(contest, answer_of(view(contest, THREAT, "none")), THREAT)
    means = [contest.aux.x[contest.aux.y == label].mean(0) for label in range(4)]
    assert torch.allclose(result.class_mean, torch.stack(means), atol=1e-4)
    assert torch.equal(result.zero, torch.tensor([0.0, 0.0, 10.0]).expand(4, 3))


def test_a_class_without_rows_has_the_mean_of_all():
    x = torch.tensor([[0.0, 0.0], [2.0, 4.0], [4.0, 2.0]])
    assert class_means(x, torch.tensor([0, 2, 2]), 3).tolist() == [[0, 0], [2, 2], [3, 3]]


def test_nearest_rows_are_sought_among_equally_many_of_each_class_on_both_sides():
    contest = uniform("row")
    few = torch.ones(len(contest.pool), dtype=torch.bool)
    few[contest.member.nonzero().flatten()[::2]] = False  # half of the training rows are gone
    fewer = replace(contest, pool=contest.pool.take(few), member=contest.member[few])
    threat = ReconstructionThreat(rows=400)
    seen = view(fewer, threat, "none")
    spread = torch.rand(seen.size, 3) * span(planted.TABLE) + torch.tensor([0.0, -5.0, 10.0])
    result = judge(fewer, ReconstructionAnswer(x=spread), threat)
    # Without matching, 200 held-out rows beside 100 training rows would give a ratio of about 2 ** (1 / 3) = 1.26.
    assert float(result.nearest_train.mean() / result.nearest_held_out.mean()) == pytest.approx(1.0, abs=0.08)


def test_a_copied_training_row_is_at_distance_zero_from_the_training_rows_alone():
    contest = uniform("row")
    everything = ReconstructionThreat(rows=400)
    result = judge(contest, answer_of(view(contest, everything, "none")), everything)
    copied = judge(contest, ReconstructionAnswer(x=result.truth), everything)
    near, far = copied.nearest_train < 1e-5, copied.nearest_held_out < 1e-5
    counts = [torch.bincount(contest.pool.y[contest.member == side], minlength=4) for side in (True, False)]
    matched = int(torch.minimum(*counts).sum())
    # The other rows have no counterpart of their class on the other side, and are not among those sought through.
    assert (int((near & result.member).sum()), int((near & ~result.member).sum())) == (matched, 0)
    assert (int((far & ~result.member).sum()), int((far & result.member).sum())) == (matched, 0)


def test_rows_of_a_batch_are_paired_as_well_as_they_can_be(trained_by):
    contest, threat = trained_by(), ReconstructionThreat(gradients=3, batch=4)
    truth = judge(contest, answer_of(view(contest, threat, "none")), threat).truth
    shuffled = truth.reshape(3, 4, 3)[:, [2, 0, 3, 1]].reshape(12, 3)
    assert torch.equal(judge(contest, ReconstructionAnswer(x=shuffled), threat).x, truth)
    swapped = truth.reshape(3, 4, 3)[[1, 0, 2]].reshape(12, 3)
    assert not torch.equal(judge(contest, ReconstructionAnswer(x=swapped), threat).x, truth)


# The released gradient


def test_the_gradient_is_that_of_the_recipe_at_the_weights_that_training_starts_from(trained_by):
    contest, threat = trained_by(epochs=1, learning_rate=1e-12), ReconstructionThreat(gradients=3, batch=2)
    seen = view(contest, threat, "gradients")
    rows = contest.pool.take(contest.member)
    (trained,) = fit_recipe(contest.recipe, [rows], [rows], [contest.streams])
    module = trained.model.requires_grad_(True)
    state = seen.model.module.state_dict()
    assert all(torch.allclose(state[name], value, atol=1e-6) for name, value in module.state_dict().items())
    truth = judge(contest, answer_of(seen), threat).truth
    labels = contest.pool.y[(truth[:, None] == contest.pool.x).all(2).int().argmax(1)]
    for number in range(3):
        at = slice(2 * number, 2 * number + 2)
        loss = cross_entropy(module(truth[at]), labels[at])
        expected = torch.autograd.grad(loss, list(module.parameters()))
        for (name, _), by_hand in zip(module.named_parameters(), expected, strict=True):
            assert torch.allclose(seen.gradient[name][number], by_hand, atol=1e-6), name


def test_a_gradient_at_the_end_is_taken_at_the_victims_weights(trained_by):
    contest = trained_by()
    victim = view(contest, THREAT, "gradients").model.module
    nn.init.constant_(victim.head.bias, 3.0)
    at_end = ReconstructionThreat(gradients=6, taken_at="end")
    seen = view(replace(contest, model=victim, beneath=victim), at_end, "gradients")
    assert seen.model.module.head.bias.tolist() == [3.0] * 4


def test_only_the_models_own_gradients_are_released(trained_by, use):
    contest = trained_by(use("defense", "adversarial-debiasing"))
    contest = replace(contest, pool=with_groups(contest.pool))
    seen = view(contest, THREAT, "gradients")
    assert set(seen.gradient) == {name for name, _ in seen.model.module.named_parameters()}
    assert all(len(value) == 6 for value in seen.gradient.values())


def test_adversarial_training_releases_another_gradient_and_dp_sgd_a_noisy_one(trained_by, use):
    private = use("defense", "dp-sgd", noise_multiplier=1.5, epsilon=None, max_grad_norm=0.01)
    plain, robust, noisy = (
        flat(view(trained_by(*chain, epochs=2), THREAT, "gradients").gradient)
        for chain in ((), (use("defense", "adversarial-training", epsilon=0.1),), (private,))
    )
    assert plain.norm(dim=1).min() > 0.1
    assert (plain - robust).norm(dim=1).min() > 0.01
    # Noise of 1.5 * 0.01 in every parameter, over the expected batch of 4 rows, buries a row clipped to 0.01.
    expected = 1.5 * 0.01 / 4 * noisy.shape[1] ** 0.5
    assert noisy.norm(dim=1).tolist() == pytest.approx([expected] * 6, rel=0.05)


def flat(gradient):
    return torch.cat([value.flatten(1) for value in gradient.values()], 1)


@pytest.fixture
def thin(monkeypatch):
    """Return a defense whose data stage drops every second row."""
    module = types.ModuleType("made_thin")
    module.stage = lambda data, params: data.take(torch.arange(0, len(data), 2))
    monkeypatch.setitem(sys.modules, "made_thin", module)
    fields = {"target": "made_thin:stage", "stages": {"data": "made_thin:stage"}, "risk": "poisoning"}
    component = Defense(name="thin", summary="Drops every second row", **fields)
    return Use(Entry(component, plugin="made", distribution="made", version="1"), NoParams())


def test_rows_that_a_data_stage_drops_are_behind_no_gradient(trained_by, thin):
    threat = ReconstructionThreat(gradients=100)
    contest = trained_by(thin)
    kept, _ = training_of(contest.recipe, contest.pool.take(contest.member), contest.streams)
    truth = judge(contest, answer_of(view(contest, threat, "gradients")), threat).truth
    assert len(kept) == 100
    assert sorted(truth.tolist()) == sorted(kept.x.tolist())


def test_a_defense_that_cannot_train_is_blamed(trained_by, use):
    with pytest.raises(ComponentError, match="reweighing"):
        view(trained_by(use("defense", "reweighing")), THREAT, "gradients")


def test_a_contest_without_a_recipe_has_no_gradient():
    with pytest.raises(ValueError) as caught:
        view(uniform("batch"), THREAT, "gradients")
    assert str(caught.value) == "no gradient can be taken: the victim's recipe is not known"


def test_too_few_rows_left_by_the_defenses_is_said(trained_by, thin):
    threat = ReconstructionThreat(gradients=101)
    with pytest.raises(ComponentError) as caught:
        view(trained_by(thin), threat, "gradients")
    assert caught.value.blame == "made/thin"
    assert str(caught.value.cause) == (
        "the defenses left 100 of 200 training rows, too few for 101 gradients of 1 rows each: lower gradients or batch"
    )
