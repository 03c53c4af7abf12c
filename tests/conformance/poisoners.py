"""Poisoning attacks that behave, and ones that misbehave in one way each, for the tests of the conformance kit."""

import torch

from amulet_core.data import bounds
from amulet_core.games.poisoning import PoisoningAnswer


def marked(view, x):
    """Return inputs with two of their first features at the top of their range."""
    high = bounds(view.data_schema)[1].flatten()
    x = x.clone()
    x.flatten(1)[:, :2] = high[:2]
    return x


def honest(view, params, *, budget=None):
    others = (view.y != view.target).nonzero()[:, 0]
    rows = others[torch.randperm(len(others))[: view.budget if budget is None else budget]]
    return PoisoningAnswer(
        rows=rows,
        x=marked(view, view.x[rows]),
        y=torch.full((len(rows),), view.target),
        triggered=marked(view, view.test_x),
    )


def flipping(view, params):
    rows = torch.randperm(len(view.y))[: view.budget]
    y = (view.y[rows] + 1) % len(view.data_schema.classes)
    return PoisoningAnswer(rows=rows, x=view.x[rows], y=y, triggered=view.test_x[:0])


def immodest(view, params):
    return honest(view, params, budget=view.budget + 1 if view.budget else 0)


def greedy(view, params):
    return honest(view, params, budget=60)


def boundless(view, params):
    answer = honest(view, params)
    return answer.model_copy(update={"triggered": answer.triggered + 100})


def tongue_tied(view, params):
    torch.rand(1)
    return []


def crashing(view, params):
    raise RuntimeError("no luck")


def meddling(view, params):
    answer = honest(view, params)
    view.x.mul_(0.5)
    return answer


def seeding(view, params):
    torch.manual_seed(3)
    return honest(view, params)


def powerless(view, params):
    """Replace nothing."""
    torch.rand(1)
    return honest(view, params, budget=0)


def unmarked(view, params):
    """Hand back a trigger that changes nothing, of rows that were relabelled: accuracy falls, and no backdoor is there."""
    answer = honest(view, params)
    return answer.model_copy(update={"x": view.x[answer.rows], "triggered": view.test_x.clone()})


def flipping_to_nothing(view, params):
    """Replace rows by themselves, without a trigger."""
    answer = flipping(view, params)
    return answer.model_copy(update={"y": view.y[answer.rows]})


def stealthy(view, params):
    """Poison with a trigger that no test input gets, in rows that keep their labels."""
    answer = honest(view, params)
    return answer.model_copy(update={"triggered": view.test_x.clone(), "y": view.y[answer.rows]})
