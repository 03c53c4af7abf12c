"""The attacks on distribution inference: planted truth, brute force, one victim at a time, neurons in any order."""

import pytest
import torch
from torch import nn
from torch.nn.functional import kl_div

from amulet_core.components import NoParams
from amulet_core.schema import DataSchema, Feasible
from amulet_core.statistics.membership import auc
from amulet_core.streams import isolated
from amulet_core.victims import WhiteBox
from amulet_plugins_builtin.catalogue.distribution import COMPONENTS, PimParams
from amulet_plugins_builtin.catalogue.models import CapacityParams
from amulet_plugins_builtin.distribution import accuracies, kl_test, pim, random_hypothesis
from amulet_plugins_builtin.distribution.accuracies import best_threshold
from amulet_plugins_builtin.distribution.layers import Layer, layers_of, standardised
from amulet_plugins_builtin.distribution.planted import calls, planted, telling_outputs, telling_weights
from amulet_plugins_builtin.fairness.mixture import Mixture
from amulet_plugins_builtin.models import cnn, mlp

ATTACKS = {
    "loss-test": (accuracies.loss_test, NoParams(), telling_outputs, "labels"),
    "threshold-test": (accuracies.threshold_test, NoParams(), telling_outputs, "labels"),
    "kl-test": (kl_test.attack, NoParams(), telling_outputs, "probabilities"),
    "pim": (pim.attack, PimParams(epochs=60), telling_weights, "white-box"),
    "random-hypothesis": (random_hypothesis.attack, NoParams(), telling_outputs, "none"),
}
LEAK = {telling_outputs: 0.5, telling_weights: 4.0}
IMAGES = DataSchema(modality="image", shape=(1, 8, 8), classes=("a", "b", "c"), feasible=Feasible(low=0.0, high=1.0))


def played(name, leak, *, seed=0, **sizes):
    attack, params, plant, access = ATTACKS[name]
    game = planted(plant, leak * LEAK[plant], access=access, seed=seed, **sizes)
    with isolated("test", name, seed):
        return game, attack(game.view, params)


def test_the_attacks_are_those_of_the_catalogue():
    assert set(ATTACKS) == {one.name for one in COMPONENTS if one.kind == "attack"}


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "random-hypothesis"])
def test_planted_populations_are_told_apart(name):
    game, answer = played(name, 1.0, victims=30)
    assert calls(answer.score, answer.threshold, game.second) >= 54
    assert auc(answer.score.numpy(), game.second.numpy()).estimate > 0.95


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", ATTACKS)
def test_populations_that_do_not_differ_are_at_chance(name, seed):
    game, answer = played(name, 0.0, seed=seed)
    found = auc(answer.score.numpy(), game.second.numpy(), level=0.999)
    assert found.low <= 0.5 <= found.high
    assert 41 <= calls(answer.score, answer.threshold, game.second) <= 79  # 99.9 % of a fair coin thrown 120 times


def test_the_control_knows_nothing_of_populations_far_apart():
    game, answer = played("random-hypothesis", 1.0)
    assert 41 <= calls(answer.score, answer.threshold, game.second) <= 79
    assert answer.threshold == 0.5


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "random-hypothesis"])
def test_a_victim_alone_has_the_score_that_it_has_among_others(name):
    game, together = played(name, 0.5, victims=2)
    attack, params, _, _ = ATTACKS[name]
    for at, victim in enumerate(game.view.victims):
        with isolated("test", name, 0):
            alone = attack(game.view.model_copy(update={"victims": (victim,)}), params)
        assert torch.equal(alone.score, together.score[at : at + 1])
        assert alone.threshold == together.threshold


def test_the_loss_test_is_the_difference_of_two_accuracies_and_needs_no_models_of_its_own():
    game, answer = played("loss-test", 0.5, victims=3)
    view = game.view
    for at, victim in enumerate(view.victims):
        right = [float((victim.labels(view.x[kind]) == view.y[kind]).double().mean()) for kind in (0, 1)]
        assert float(answer.score[at]) == right[1] - right[0]
    bare = view.model_copy(update={"models": (), "second": view.second[:0]})
    assert torch.equal(accuracies.loss_test(bare, NoParams()).score, answer.score)


@pytest.mark.parametrize("turned", [False, True])
def test_the_threshold_test_uses_the_kind_of_rows_that_parts_its_own_models(turned):
    """On rows of the first kind, half and half, both hypotheses are equally right; turned round, the signs turn too."""
    game, _ = played("threshold-test", 1.0, victims=10)
    view = game.view.model_copy(update={"second": game.view.second ^ turned})
    answer = accuracies.threshold_test(view, NoParams())
    right = accuracies.accuracies(view, view.victims)
    assert torch.equal(answer.score, -right[:, 1] if turned else right[:, 1])
    assert calls(answer.score, answer.threshold, game.second ^ turned) == 20


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_is_as_good_as_any(seed):
    draws = torch.Generator().manual_seed(seed)
    score = torch.randint(0, 6, (9,), generator=draws).double()
    second = torch.rand(9, generator=draws) < 0.5
    right = [int(((score >= t) == second).sum()) for t in torch.arange(-0.25, 5.5, 0.25).tolist() if t <= score.max()]
    found = best_threshold(score, second)
    assert int(((score >= found) == second).sum()) == max(right)
    assert score.min() <= found <= score.max()


def test_a_threshold_lies_midway_between_scores_and_not_on_one():
    score = torch.tensor([0.125, 0.25, 0.5, 0.75], dtype=torch.float64)
    assert best_threshold(score, torch.tensor([False, False, True, True])) == 0.375


def test_the_divergence_is_that_of_the_victim_from_own_models_averaged_over_rows():
    draws = torch.Generator().manual_seed(0)
    victims, own = (torch.randn(n, 7, 3, generator=draws).double().log_softmax(2) for n in (4, 5))
    found = kl_test.divergences(victims, own)
    for i, j in [(0, 0), (3, 4), (2, 1)]:
        expected = kl_div(own[j], victims[i], log_target=True, reduction="batchmean")
        torch.testing.assert_close(found[i, j], expected)


def test_the_kl_score_is_the_share_of_pairs_whose_second_model_is_closer():
    game, answer = played("kl-test", 0.3, victims=3, models=4)
    view = game.view
    distances = kl_test.divergences(
        kl_test.log_probabilities(view, view.victims), kl_test.log_probabilities(view, view.models)
    )
    for at in range(6):
        pairs = [distances[at, i] > distances[at, j] for i in range(4) for j in range(4, 8)]
        assert float(answer.score[at]) == sum(map(bool, pairs)) / 16


def test_own_models_that_all_say_the_same_are_no_vote():
    game = planted(telling_outputs, 0.5, access="probabilities", victims=3, models=3).view
    same = game.model_copy(update={"models": (game.models[0],) * 6})
    assert kl_test.attack(same, NoParams()).score.tolist() == [0.5] * 6


def reordered(network):
    """Return a network with hidden neurons in another order, and the same function."""
    state = {name: value.clone() for name, value in network.state_dict().items()}
    order = torch.randperm(len(state["0.bias"]), generator=torch.Generator().manual_seed(0))
    state["0.weight"], state["0.bias"] = state["0.weight"][order], state["0.bias"][order]
    state["2.weight"] = state["2.weight"][:, order]
    other = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    other.load_state_dict(state)
    return other


def test_neurons_that_change_places_change_no_score_but_classes_that_do_change_it():
    game, answer = played("pim", 1.0, victims=2)
    modules = [victim.module for victim in game.view.victims]
    swapped = [nn.Sequential(*reordered(one)[:2], nn.Linear(6, 2)) for one in modules]
    for before, after in zip(modules, swapped, strict=True):
        after[2].weight.data = reordered(before)[2].weight.data.flip(0)
        after[2].bias.data = reordered(before)[2].bias.data.flip(0)
    moved, turned = (
        game.view.model_copy(update={"victims": tuple(WhiteBox(one) for one in some)})
        for some in ([reordered(one) for one in modules], swapped)
    )
    scores = []
    for view in (moved, turned):
        with isolated("test", "pim", 0):
            scores.append(pim.attack(view, ATTACKS["pim"][1]).score)
    torch.testing.assert_close(scores[0], answer.score, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(scores[1], answer.score, atol=1e-2)


@pytest.mark.parametrize(
    ("module", "sizes"),
    [
        (mlp.build(CapacityParams(), IMAGES), [(128, 1, 64), (256, 128, 1), (128, 256, 1), (3, 128, 1)]),
        (cnn.build(CapacityParams(), IMAGES), [(16, 1, 9), (32, 16, 9), (64, 32, 4), (3, 64, 1)]),
    ],
    ids=["mlp", "cnn"],
)
def test_a_network_is_read_as_a_chain_of_layers_between_neurons(module, sizes):
    assert [tuple(layer.weight.shape) for layer in layers_of(module)] == sizes
    victims = [WhiteBox(module) for _ in range(3)]
    view = planted(telling_weights, 0.0, access="white-box", victims=1, models=2).view
    view = view.model_copy(
        update={"victims": tuple(victims), "models": tuple(victims[:2]), "second": torch.tensor([False, True])}
    )
    score = pim.attack(view, PimParams(epochs=2)).score
    assert score.shape == (3,)
    assert len(score.unique()) == 1


def test_in_the_layer_behind_convolutions_the_places_of_one_channel_stay_together():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 1, bias=False))
    network[2].weight.data = torch.arange(8.0)[None]
    assert layers_of(network)[1].weight.tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    assert layers_of(network)[1].bias.tolist() == [0.0]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)),
            r"^pim reads affine layers and convolutions, and LayerNorm has ",
        ),
        (nn.Sequential(nn.ReLU()), r"^pim reads affine layers and convolutions, and the model has none$"),
        (
            nn.Sequential(nn.Linear(3, 4), nn.Linear(6, 2)),
            "^pim reads a chain of layers, and one of 6 inputs a neuron does not fit the 4 neurons before it$",
        ),
        (
            Mixture([nn.Linear(4, 2), nn.Linear(4, 2)], classes=2),
            "^pim reads layers one after the other, and members of a ModuleList stand in no order$",
        ),
        (
            nn.ModuleDict({"one": nn.Linear(4, 4), "other": nn.Linear(4, 2)}),
            "^pim reads layers one after the other, and members of a ModuleDict stand in no order$",
        ),
    ],
)
def test_what_is_no_chain_of_layers_is_refused(module, message):
    with pytest.raises(ValueError, match=message):
        layers_of(module)


def test_weights_are_standardised_by_the_adversary_s_own_models_alone():
    own = [Layer(torch.tensor([[[[1.0, 5.0]]], [[[3.0, 5.0]]]]), torch.tensor([[2.0], [4.0]]))]
    given = [Layer(torch.tensor([[[[4.0, 5.0]]]]), torch.tensor([[5.0]]))]
    (found,) = standardised(given, own)
    assert found.weight.flatten().tolist() == pytest.approx([2 / 2**0.5, 0.0])
    assert found.bias.flatten().tolist() == pytest.approx([2 / 2**0.5])
