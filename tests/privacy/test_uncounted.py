"""What DP-SGD cannot count row by row: each case is told in plain words, in full."""

import pytest
import torch
from torch import nn
from torch.func import stack_module_state
from torch.nn.functional import cross_entropy, linear

from amulet_core.training.parts import weighted_cross_entropy
from amulet_core.training.values import Batch, Bundle, Problem
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


def at_first(call, frozen, batch):
    """Ask the second network in the first half of the training alone."""
    losses = weighted_cross_entropy(call, frozen, batch)
    return losses + call(batch.x, "other").square().sum(1) if batch.progress < 0.5 else losses


def broken(call, frozen, batch):
    call(batch.x)
    return batch.nonsense


def lazy(call, frozen, batch):
    raise NotImplementedError("tomorrow")


def problem(network, objective):
    torch.manual_seed(0)
    bundle = Bundle(
        {"model": network(), "other": nn.Linear(4, 2)} if objective is at_first else {"model": network()},
        {"first layer": lambda model, x: model.a(x)},
    )
    params, fixed = stack_module_state([bundle])
    params = {name: value.detach().requires_grad_() for name, value in params.items()}
    return Problem(bundle.to("meta"), params, fixed, objective, [torch.Generator()])


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
    "tied weights": (
        Tied,
        weighted_cross_entropy,
        'dp-sgd: layers of the network "model" share weights (b.weight), and a row\'s gradient is counted at one layer: '
        "choose another model, or give each layer weights of its own",
    ),
    "a layer without use": (Unused, weighted_cross_entropy, NOT_COUNTED.format("b.weight, b.bias")),
    "a layer's weights taken by hand": (ByHand, weighted_cross_entropy, NOT_COUNTED.format("a.weight, a.bias")),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_counted_is_told_with_what_to_do(case):
    network, objective, text = CASES[case]
    with pytest.raises(ValueError, match="dp-sgd") as error:
        stepped(network, objective)
    assert str(error.value) == text


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
