"""What DP-SGD cannot count row by row: each case is told in plain words, in full."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, dropout, linear

from amulet_core.data import Data
from amulet_core.settings import TrainingSettings
from amulet_core.training.parts import plain_training, weighted_cross_entropy
from amulet_core.training.values import Batch, Streams
from amulet_plugins_builtin.privacy.clipping import ClippedNoisyGradient

ROWS = 8


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.o = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.o(torch.relu(self.b(torch.relu(self.a(x)))))


class Tied(Net):
    def __init__(self):
        super().__init__()
        self.b.weight = self.a.weight


class TiedBias(Net):
    def __init__(self):
        super().__init__()
        self.b.bias = self.a.bias


class FixedInPart(Net):
    def __init__(self):
        super().__init__()
        self.a.weight.requires_grad_(False)


class TiedAndFixedInPart(Tied):
    def __init__(self):
        super().__init__()
        self.a.weight.requires_grad_(False)


class Scaled(Net):
    """Weights of the network's own above a layer with fixed values."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.a.requires_grad_(False)

    def forward(self, x):
        return super().forward(self.scale * x)


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return x * self.scale


class DroppingScale(Scale):
    def forward(self, x):
        return dropout(super().forward(x), training=self.training)


class Dropping(Net):
    """A layer with weights that draws, after one of its kind that does not."""

    def __init__(self):
        super().__init__()
        self.plain, self.drop = Scale(), DroppingScale()

    def forward(self, x):
        return super().forward(self.drop(self.plain(x)))


class Fixed(Net):
    def __init__(self):
        super().__init__()
        self.a.requires_grad_(False)
        self.b.requires_grad_(False)


class TiedAndFixed(Fixed):
    """Fixed layers that share their weights, which is a way to write two that have the same ones."""

    def __init__(self):
        super().__init__()
        self.b.weight = self.a.weight


class FixedAlike(Fixed):
    def __init__(self):
        super().__init__()
        self.b.weight.copy_(self.a.weight)


class Alias(Net):
    """A layer with two names, called once."""

    def __init__(self):
        super().__init__()
        self.first = self.a


class Twice(Net):
    def forward(self, x):
        return self.o(self.b(self.a(torch.relu(self.a(x)))))


class Unused(Net):
    def forward(self, x):
        return self.o(torch.relu(self.a(x)))


class ByHand(Net):
    def forward(self, x):
        return self.o(self.b(linear(x, self.a.weight, self.a.bias)))


def again(call, frozen, batch):
    return weighted_cross_entropy(call, frozen, batch) + weighted_cross_entropy(
        call, frozen, batch._replace(x=batch.x + 1)
    )


def looks_at_a_view(call, frozen, batch):
    return weighted_cross_entropy(call, frozen, batch) + call(batch.x, "first layer").square().sum(1)


def only_a_view(call, frozen, batch):
    return call(batch.x, "first layer").square().sum(1)


def at_first(call, frozen, batch):
    """Ask the second network in the first half of the training alone."""
    losses = weighted_cross_entropy(call, frozen, batch)
    return losses + call(batch.x, "other").square().sum(1) if batch.progress < 0.5 else losses


def broken(call, frozen, batch):
    call(batch.x)
    return batch.nonsense


def lazy(call, frozen, batch):
    raise NotImplementedError("tomorrow")


class Kept:
    """A gradient rule that keeps the problem it is given, as the training loop makes it, and trains nothing."""

    stackable = False

    def start(self, problem):
        self.problem = problem
        return lambda batch: {name: torch.zeros_like(value) for name, value in problem.params.items()}


def training(network, objective, rule):
    settings = TrainingSettings(epochs=1, batch_size=ROWS)
    return replace(
        plain_training(network, settings, stackable=False),
        parts={"model": network} | ({"other": lambda: nn.Linear(4, 2)} if objective is at_first else {}),
        views={"first layer": lambda model, x: model.a(x)},
        objective=objective,
        gradient=rule,
    )


def fitted(network, objective, rule):
    (x,), (y,), (z,), (w,), *_ = batch()
    rows = Data(x, y, z, w, torch.arange(ROWS), None)
    given = training(network, objective, rule)
    return given.fit(given, [rows], [rows], [Streams(("uncounted", 0))])[0].model


def problem(network, objective):
    kept = Kept()
    fitted(network, objective, kept)
    return kept.problem


def batch(progress=1.0):
    draws = torch.Generator().manual_seed(1)
    x, y = torch.randn(1, ROWS, 4, generator=draws), torch.randint(2, (1, ROWS), generator=draws)
    return Batch(x, y, torch.zeros(1, ROWS, 0), torch.ones(1, ROWS), {}, progress)


def stepped(network, objective, *moments):
    step = ClippedNoisyGradient(0.0, 1.0, ROWS).start(problem(network, objective))
    return [step(batch(moment)) for moment in moments or (1.0,)]


NOT_COUNTED = (
    'dp-sgd: no call of a layer in the network "model" counts for the losses of this step in {}, so that a row\'s gradient '
    "there is not known: choose another model; whoever wrote it is to leave out weights without use, and to call layers "
    "instead of taking their weights by hand, or to declare clippable=False"
)
CALLED_TWICE = (
    'dp-sgd: the layer "a" of the network "model" is called twice in a step (asked: {}), and a row\'s gradient is counted '
    "where a layer is called once: choose another model, or leave out the defense that asks for a view of the same "
    "layers; whoever wrote it can declare clippable=False, and it is refused beforehand"
)
TIED = (
    'dp-sgd: layers of the network "model" share weights ({}), and a row\'s gradient is counted at one layer: choose '
    "another model, or give each layer weights of its own"
)
IN_PART = (
    'dp-sgd: {}the network "model" has trained weights of its own ({}) and fixed values ({}), and a row\'s gradient is '
    "counted where a layer is trained as a whole: train both or neither, or put the trained weights in a layer of their "
    "own; or choose another model"
)
CASES = {
    "a network asked twice": (
        Net,
        again,
        'dp-sgd: the objective asks the network "model" 2 times in a step, and a row\'s gradient is counted where a network '
        "is asked once: the defense that asks again is to take the answer that the wrapped objective asks for, look around "
        "on frozen, or join the inputs by torch.cat; until it does, leave it out",
    ),
    "a view beside the model": (Net, looks_at_a_view, CALLED_TWICE.format("model, first layer")),
    "a layer used twice": (Twice, weighted_cross_entropy, CALLED_TWICE.format("model")),
    "tied weights": (Tied, weighted_cross_entropy, TIED.format("b.weight")),
    "tied biases": (TiedBias, weighted_cross_entropy, TIED.format("b.bias")),
    "a layer fixed in part": (
        FixedInPart,
        weighted_cross_entropy,
        IN_PART.format('the layer "a" of ', "bias", "weight"),
    ),
    "tied layers fixed in part": (
        TiedAndFixedInPart,
        weighted_cross_entropy,
        IN_PART.format('the layer "a" of ', "bias", "weight"),
    ),
    "weights above a fixed layer": (
        Scaled,
        weighted_cross_entropy,
        IN_PART.format("", "scale", "a.weight, a.bias"),
    ),
    "a layer without use": (Unused, weighted_cross_entropy, NOT_COUNTED.format("b.weight, b.bias")),
    "a layer with weights that draws": (
        Dropping,
        weighted_cross_entropy,
        "dp-sgd: a layer with weights of its own draws at random in training (one of parts.model.plain, "
        "parts.model.drop), and a row's gradient cannot be counted there: choose another model; whoever wrote it is to "
        "leave draws to layers without weights, such as nn.Dropout, or to declare clippable=False",
    ),
    "a view alone": (Net, only_a_view, NOT_COUNTED.format("b.weight, b.bias, o.weight and 1 more")),
    "a layer's weights taken by hand": (ByHand, weighted_cross_entropy, NOT_COUNTED.format("a.weight, a.bias")),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_counted_is_told_with_what_to_do(case):
    network, objective, text = CASES[case]
    with pytest.raises(ValueError, match="dp-sgd") as error:
        stepped(network, objective)
    assert str(error.value) == text


def test_tied_weights_are_refused_in_training():
    with pytest.raises(ValueError, match="share weights") as error:
        fitted(Tied, weighted_cross_entropy, ClippedNoisyGradient(1.0, 1.0, ROWS))
    assert str(error.value) == TIED.format("b.weight")


def test_fixed_layers_that_share_weights_are_trained_around_with_their_values():
    """As with a copy of the values: nothing is to be counted there, and no memory without values is read."""
    (found,), (expected,) = (stepped(network, weighted_cross_entropy) for network in (TiedAndFixed, FixedAlike))
    assert list(found) == ["parts.model.o.weight", "parts.model.o.bias"]
    assert all(value.any() and torch.equal(value, expected[name]) for name, value in found.items())


def test_a_layer_of_two_names_shares_no_weights():
    (found,), (expected,) = (stepped(network, weighted_cross_entropy) for network in (Alias, Net))
    assert all(value.any() and torch.equal(value, expected[name]) for name, value in found.items())


def test_a_network_that_is_left_out_of_a_later_step_is_named():
    """The norms of the step before, which are as many, do not count for it."""
    assert len(stepped(Net, at_first, 0.0, 0.2)) == 2
    with pytest.raises(ValueError, match="leaves out") as error:
        stepped(Net, at_first, 0.0, 0.9)
    assert str(error.value) == (
        'dp-sgd: the objective leaves out the network "other" in this step, and all networks are clipped as one: the '
        "defense that adds it is to ask it in every step, with a factor of 0 where it has no say, or not to add it"
    )


def test_a_factor_of_0_is_a_way_to_leave_a_network_out():
    def silent(call, frozen, batch):
        return weighted_cross_entropy(call, frozen, batch) + 0 * call(batch.x, "first layer").sum(1)

    class Wide(Net):
        def forward(self, x):
            return self.o(self.b(x))

    (found,) = stepped(Wide, silent)
    assert not found["parts.model.a.weight"].any()
    assert found["parts.model.b.weight"].any()


@pytest.mark.parametrize(
    ("objective", "error"), [(broken, AttributeError), (lazy, NotImplementedError)], ids=["attribute", "lazy"]
)
def test_an_objectives_own_errors_pass_through(objective, error):
    with pytest.raises(error, match=r"nonsense|tomorrow"):
        stepped(Net, objective)


def test_many_weights_are_counted_after_the_third():
    class Idle(Net):
        def forward(self, x):
            return self.o(x)

    with pytest.raises(ValueError, match="is not known") as error:
        stepped(Idle, weighted_cross_entropy)
    assert str(error.value) == NOT_COUNTED.format("a.weight, a.bias, b.weight and 1 more")


def test_cross_entropy_is_counted():
    (found,) = stepped(
        Net, lambda call, frozen, batch: batch.w * cross_entropy(call(batch.x), batch.y, reduction="none")
    )
    assert all(value.any() for value in found.values())
