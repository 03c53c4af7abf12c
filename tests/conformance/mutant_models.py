"""Metrics, architectures and data sets that behave, and such that misbehave in one way each."""

import os
import random
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import dropout

from amulet_core.data import make_data
from amulet_core.errors import RequestError
from amulet_core.modules import Normalise
from amulet_core.schema import DataSchema, Feasible
from amulet_core.scores import Scores, Value
from amulet_core.testing.toys import Network


def chance():
    return int.from_bytes(os.urandom(4)) / 2**32


# Metrics of evasion, with the values robust and clean.


def shares(result, params):
    torch.rand(1)
    robust = result.robust[result.primary]
    return scores(robust=float(robust.float().mean()), clean=float(result.clean.float().mean()))


def scores(**values):
    given = (Value(name=name, estimate=value, method="a share", n=9) for name, value in values.items())
    return Scores(values=tuple(given))


def crashing_metric(result, params):
    return 1 / 0


def one_value_missing(result, params):
    return scores(robust=0.5)


def no_scores(result, params):
    return {"robust": 0.5, "clean": 0.5}


def interval_beside(result, params):
    clean = Value(name="clean", estimate=0.9, low=0.1, high=0.2, method="a guess", n=9)
    return Scores(values=(shares(result, params)["robust"], clean))


def success_for_robustness(result, params):
    return scores(robust=1 - shares(result, params)["robust"].estimate, clean=1.0)


def constant_metric(result, params):
    return scores(robust=0.5, clean=0.5)


def result_changed(result, params):
    found = shares(result, params)
    result.robust[0] = False
    result.robust[0, 0] = True
    return found


def metric_setting(result, params):
    np.seterr(divide="raise")
    return shares(result, params)


def metric_seeded(result, params):
    torch.manual_seed(1)
    return shares(result, params)


def metric_never_the_same(result, params):
    return scores(robust=0.9 * shares(result, params)["robust"].estimate + 0.1 * chance(), clean=1.0)


# Architectures.


class Layers(nn.Module):
    def __init__(self, schema, *, classes=None, norm=None):
        super().__init__()
        self.normalise, self.axes = Normalise(schema), len(schema.shape)
        self.hidden, self.norm = nn.Linear(schema.width, 8), norm or nn.Identity()
        self.head = nn.Linear(8, classes or len(schema.classes))

    def forward(self, x):
        return self.head(self.norm(torch.relu(self.hidden(self.normalise(x).flatten(-self.axes)))))


class Rounding(Layers):
    def forward(self, x):
        return super().forward(x.round().detach())


class Peeking(Layers):
    def forward(self, x):
        return super().forward(x) * (1 if self.head.bias.sum().item() > -1e9 else 2)


class ByHand(Layers):
    """Calls the hidden layer, and takes its weight once more, where no hook sees it."""

    def forward(self, x):
        seen = torch.relu(self.hidden(self.normalise(x).flatten(-self.axes)))
        return self.head(seen) + (seen @ self.hidden.weight)[..., : self.head.out_features]


class CalledTwice(Layers):
    def forward(self, x):
        seen = torch.relu(self.hidden(self.normalise(x).flatten(-self.axes)))
        return self.head(seen) + self.head(seen.square())


def by_hand(params, schema):
    return ByHand(schema)


def called_twice(params, schema):
    return CalledTwice(schema)


def layers(params, schema):
    return Layers(schema)


def crashing_model(params, schema):
    raise KeyError("layers")


def shown(params, schema):
    return Network(schema)


class Shifted(Network):
    def forward(self, x):
        return self.head(self.features(x)) + 1


def shifted(params, schema):
    return Shifted(schema)


def one_logit(params, schema):
    return Layers(schema, classes=1)


def no_module(params, schema):
    return lambda x: x


def batch_norm(params, schema):
    return Layers(schema, norm=nn.BatchNorm1d(8))


def running_statistics(params, schema):
    norm = nn.InstanceNorm1d(2, track_running_stats=True)
    return Layers(schema, norm=nn.Sequential(nn.Unflatten(-1, (2, 4)), norm, nn.Flatten()))


def dropping(params, schema):
    return Layers(schema, norm=nn.Dropout(0.5))


class Sparse(nn.Module):
    """Draws which features it leaves out, whether it is trained or asked; has no weights."""

    def forward(self, x):
        return x * (torch.rand_like(x) > 0.5)


class DroppingScale(nn.Module):
    """Weights of its own, and a draw where it is trained."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, x):
        return dropout(x * self.scale, training=self.training)


def drawing(params, schema):
    return Layers(schema, norm=Sparse())


def dropping_scale(params, schema):
    return Layers(schema, norm=DroppingScale())


class Judged(nn.Module):
    """Looks at its input only where it is not trained."""

    def forward(self, x):
        return x * (1 if self.training or x.sum().item() > -1e9 else 2)


def peeking_when_asked(params, schema):
    return Layers(schema, norm=Judged())


def constant_weights(params, schema):
    model = Layers(schema)
    for index, value in enumerate(model.parameters()):
        nn.init.constant_(value, 0.1 * (index + 1))
    return model


def rounding(params, schema):
    return Rounding(schema)


def peeking(params, schema):
    return Peeking(schema)


def model_never_the_same(params, schema):
    model = Layers(schema)
    nn.init.constant_(model.head.bias, chance())
    return model


def model_seeded(params, schema):
    np.random.seed(1)  # noqa: NPY002 - the generator that the core seeds
    return Layers(schema)


def model_setting(params, schema):
    torch.set_grad_enabled(False)
    return Layers(schema)


# Data sets.

SCHEMA = DataSchema(modality="tabular", shape=(2,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=1.0))


def rows(params):
    x = torch.from_numpy(np.random.default_rng(0).random((20, 2), dtype=np.float32))
    torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002 - the generator that the core seeds
    return make_data(x, torch.arange(20) % 2, SCHEMA)


def absent_rows(params):
    raise FileNotFoundError("rows: the variable AMULET_DATA is not set")


def refused_rows(params):
    raise RequestError("rows: there is no such folder")


def crashing_rows(params):
    raise TypeError("unsupported operand")


def third_class(params):
    return replace(rows(params), y=torch.arange(20) % 3)


def no_data(params):
    return [1, 2, 3]


def rows_seeded(params):
    np.random.seed(0)  # noqa: NPY002 - the generator that the core seeds
    return rows(params)


def rows_never_the_same(params):
    found = rows(params)
    return replace(found, w=found.w * (1 + chance()))


def rows_setting(params):
    os.chdir("/")
    return rows(params)
