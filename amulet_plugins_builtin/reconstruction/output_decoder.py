"""A decoder from what the victim says of a row to the row, learnt on the adversary's own rows."""

import copy

import torch
from sklearn.linear_model import RidgeCV
from torch import Tensor, nn
from torch.nn.functional import mse_loss, one_hot

from amulet_core.games.reconstruction import ReconstructionAnswer, ReconstructionView, class_means
from amulet_plugins_builtin.catalogue.reconstruction import OutputDecoderParams
from amulet_plugins_builtin.reconstruction.units import from_units, to_units

_FLOOR = -20.0
"""The least log-probability that is told apart: beyond it, rounding speaks."""
_HELD_OUT = 0.2


def attack(view: ReconstructionView, params: OutputDecoderParams) -> ReconstructionAnswer:
    """Return the class mean of each row, plus what the victim's log-probabilities tell of the difference.

    Duddu et al. 2312.04542, section 5.1, decode attributes from outputs with a network; learning the difference to the
    class mean makes an output that tells nothing end at the class mean.
    """
    schema, classes = view.data_schema, len(view.data_schema.classes)
    means = to_units(class_means(view.aux_x, view.aux_y, classes), schema)
    known, asked = _features(view, classes)
    rest = (to_units(view.aux_x, schema) - means[view.aux_y]).flatten(1)
    told = _ridge(known, rest, asked) if params.learner == "ridge" else _network(known, rest, asked, params)
    return ReconstructionAnswer(x=from_units(means[view.y] + told.reshape(view.size, *schema.shape), schema))


def _features(view: ReconstructionView, classes: int) -> tuple[Tensor, Tensor]:
    """Return the features of the adversary's own rows, and of those asked for.

    They are log-probabilities, standardised on its own rows, probabilities, and classes.
    """
    logs = [observed.clamp_min(_FLOOR) for observed in (view.observed_aux, view.observed)]
    mean, scale = logs[0].mean(0), logs[0].std(0)
    # A column that does not vary but for rounding must not be blown up into a feature.
    scale = torch.where(scale > 1e-4, scale, 1.0)
    labels = (view.aux_y, view.y)
    known, asked = (
        torch.cat([(log - mean) / scale, log.exp(), one_hot(y, classes).float()], 1)
        for log, y in zip(logs, labels, strict=True)
    )
    return known, asked


def _ridge(known: Tensor, rest: Tensor, asked: Tensor) -> Tensor:
    model = RidgeCV(alphas=[10.0**power for power in range(-3, 5)])
    found = model.fit(known.double().numpy(), rest.double().numpy()).predict(asked.double().numpy())
    return torch.from_numpy(found).float().reshape(len(asked), -1)


def _network(known: Tensor, rest: Tensor, asked: Tensor, params: OutputDecoderParams) -> Tensor:
    """Train a network with one hidden layer; keep it as it was when it did best on a fifth of the rows held out.

    Its last layer starts at zero: if nothing helps on the held-out rows, it says zero, the class mean.
    """
    last = nn.Linear(params.hidden, rest.shape[1])
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    network = nn.Sequential(nn.Linear(known.shape[1], params.hidden), nn.Tanh(), last)
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate)
    order = torch.randperm(len(known))
    held, kept = order[: max(1, round(_HELD_OUT * len(order)))], order[max(1, round(_HELD_OUT * len(order))) :]
    best, lowest = copy.deepcopy(network.state_dict()), torch.inf
    for _ in range(params.epochs + 1):
        with torch.no_grad():
            loss = float(mse_loss(network(known[held]), rest[held]))
        if loss < lowest:
            best, lowest = copy.deepcopy(network.state_dict()), loss
        for rows in kept[torch.randperm(len(kept))].split(params.batch_size):
            optimizer.zero_grad()
            mse_loss(network(known[rows]), rest[rows]).backward()
            optimizer.step()
    network.load_state_dict(best)
    with torch.no_grad():
        out: Tensor = network(asked)
    return out
