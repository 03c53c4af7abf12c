"""Attacks on model ownership that behave, and ones that misbehave in one way each, for the tests of the kit."""

import torch
from torch import nn
from torch.nn.functional import one_hot

from amulet_core.games.theft import TheftAnswer
from amulet_core.training.imitation import imitated


def trained(view, x, targets):
    key = ("own", int(torch.randint(2**62, ())))
    return TheftAnswer(model=imitated(view.architecture, x, targets, view.settings, schema=view.data_schema, key=key))


def labels(view, shift=0):
    classes = len(view.data_schema.classes)
    return one_hot((view.y + shift) % classes, classes).float()


def honest(view, params):
    x = view.x[: view.budget]
    return trained(view, x, view.model.ask(x))


def independent(view, params):
    return trained(view, view.x, labels(view))


def knowing(view, params):
    """Learn what only somebody could who knew the victim."""
    return trained(view, view.x, labels(view, shift=1))


def greedy(view, params):
    return trained(view, view.x, view.model.ask(view.x))


def peeping(view, params):
    """Ask beside the oracle, which does not count it."""
    return trained(view, view.x, torch.softmax(view.model._model(view.x), 1))


def tongue_tied(view, params):
    torch.rand(1)
    return view.architecture()


def foreign(view, params):
    width, classes = view.data_schema.width, len(view.data_schema.classes)
    return TheftAnswer(model=nn.Sequential(nn.Flatten(), nn.Linear(width, classes)))


def broken(view, params):
    answer = honest(view, params)
    with torch.no_grad():
        answer.model.head.bias.fill_(torch.nan)
    return answer


def powerless(view, params):
    """Learn the true labels, whatever the victim says."""
    view.model.ask(view.x[: view.budget])
    return independent(view, params)


def meddling(view, params):
    answer = honest(view, params)
    view.x.mul_(0.5)
    return answer


def vandal(view, params):
    answer = honest(view, params)
    with torch.no_grad():
        next(view.model._model.parameters()).zero_()
    return answer


def seeding(view, params):
    torch.manual_seed(3)
    return honest(view, params)


def forgetful(view, params):
    """Draw from a generator that nobody can put back."""
    x = view.x[: view.budget]
    key = ("own", int(torch.randint(2**62, (), generator=_OWN)))
    model = imitated(view.architecture, x, view.model.ask(x), view.settings, schema=view.data_schema, key=key)
    return TheftAnswer(model=model)


_OWN = torch.Generator().manual_seed(0)
