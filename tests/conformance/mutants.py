"""Attacks that behave, and attacks that misbehave in one way each, for the tests of the conformance kit."""

import inspect
import os
import random
from unittest import SkipTest

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from amulet_core.checks import Check
from amulet_core.feasible import project, span
from amulet_core.games.evasion import EvasionAnswer
from amulet_core.games.membership import MembershipAnswer

NO_FUNCTION = 3


def chance():
    return int.from_bytes(os.urandom(4)) / 2**32


# Attacks on evasion.


def step(view, module=None):
    """Return one step uphill of the true label's loss, at every budget."""
    x = view.x.clone().requires_grad_()
    logits = module(x) if module else view.model.logits(x)
    (gradient,) = torch.autograd.grad(cross_entropy(logits, view.y, reduction="sum"), x)
    return within(view, [view.x + epsilon * span(view.data_schema) * gradient.sign() for epsilon in view.epsilons])


def within(view, changed):
    return torch.stack(
        [
            project(x, view.x, view.data_schema, norm=view.norm, epsilon=epsilon)
            for x, epsilon in zip(changed, view.epsilons, strict=True)
        ]
    )


def honest(view, params):
    torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002 - the generator that the core seeds
    return EvasionAnswer(x=step(view))


def crashing(view, params):
    raise RuntimeError("no luck")


def linf_only(view, params):
    if view.norm != "linf":
        raise ValueError("linf-only keeps to linf budgets; this one is l2")
    return honest(view, params)


def refusing(view, params):
    raise ValueError(f"no attack in the norm {view.norm}")


def bare_tensor(view, params):
    return step(view)


def last_budget_only(view, params):
    return EvasionAnswer(x=step(view)[-1:])


def over_budget(view, params):
    return EvasionAnswer(x=view.x + 3 * (step(view) - view.x))


def immutable_changed(view, params):
    x = step(view)
    for place in view.data_schema.feasible.immutable:
        x[..., place] = 0.5
    return EvasionAnswer(x=x)


def weights_changed(view, params):
    answer = honest(view, params)
    with torch.no_grad():
        next(view.model.module.parameters()).mul_(0.5)
    return answer


def train_mode_left(view, params):
    view.model.module.train()
    return honest(view, params)


def gradients_left(view, params):
    answer = honest(view, params)
    view.model.module.requires_grad_(True)
    view.model.logits(view.x).sum().backward()
    return answer


def x_changed(view, params):
    answer = honest(view, params)
    view.x.mul_(1 + 1e-7)
    return answer


def dtype_changed(view, params):
    answer = honest(view, params)
    torch.set_default_dtype(torch.float64)
    return answer


def threads_changed(view, params):
    torch.set_num_threads(torch.get_num_threads() + 1)
    return honest(view, params)


def torch_seeded(view, params):
    torch.manual_seed(0)
    return honest(view, params)


def numpy_seeded(view, params):
    np.random.seed(0)  # noqa: NPY002 - the generator that the core seeds
    return honest(view, params)


def python_seeded(view, params):
    random.seed(0)
    return honest(view, params)


def never_the_same(view, params):
    answer = step(view)
    if view.data_schema.modality == "image":
        answer = view.x + (1 - 0.1 * chance()) * (answer - view.x)
    return EvasionAnswer(x=answer)


def past_the_oracle(view, params):
    return EvasionAnswer(x=step(view, view.model._model))


def past_the_view(view, params):
    return EvasionAnswer(x=step(view, the_contest().model))


def idle(view, params):
    return EvasionAnswer(x=view.x.expand(len(view.epsilons), *view.x.shape).clone())


def the_contest():
    return next(frame.frame.f_locals["contest"] for frame in inspect.stack() if "contest" in frame.frame.f_locals)


# Attacks on membership.


def by_loss(view, params):
    return MembershipAnswer(score=view.observed.gather(1, view.y[:, None])[:, 0].double())


def guessing(view, params):
    return MembershipAnswer(score=torch.rand(len(view.y), dtype=torch.float64))


def turned_round(view, params):
    return MembershipAnswer(score=-by_loss(view, params).score)


def too_few_scores(view, params):
    return MembershipAnswer(score=by_loss(view, params).score[:-1])


def thief(view, params):
    """Take the truth from the caller, finding each candidate by its first feature."""
    contest = the_contest()
    place = (view.x.flatten(1)[:, :1] - contest.pool.x.flatten(1)[:, 0]).abs().argmin(1)
    return MembershipAnswer(score=contest.member[place].double())


# What plans ask, and checks that components ship.


def applicable_as_text(params, schema):
    return "never"


def applicable_raising(params, schema):
    return schema.colour


def impossible_as_text(params, planned):
    return "never"


def impossible_raising(params, planned):
    return planned.threat.rate


def never_applicable(params, schema):
    return ["the moon is full"]


def needs_as_list(params, schema):
    return []


def own_checks():
    def fail():
        raise AssertionError("2 + 2 is 5, expected 4")

    def crash():
        raise OSError("disk on fire")

    return (
        Check("two and two are four", "sums would be wrong", fail),
        Check("one is one", "nothing would be itself", lambda: None),
        Check("the disk works", "nothing could be read", crash),
    )


DRAWN = []


def drawing_checks():
    import random

    import numpy as np
    import torch

    def draw():
        DRAWN.append((made, float(torch.rand(1)), np.random.rand(), random.random()))  # noqa: NPY002 - the seeded one

    made = float(torch.rand(1))
    return tuple(Check(f"check {number} draws", "a draw decides what it finds", draw) for number in (1, 2))


def checks_left_out():
    def skipped():
        pytest.skip("the disk is elsewhere")

    def left_out():
        raise SkipTest("no disk here")

    def ended():
        raise SystemExit(3)

    return (
        Check("a disk turns", "nothing could be read", skipped),
        Check("a disk stops", "nothing could be written", left_out),
        Check("it stays", "the checks after it would be lost", ended),
    )


def checks_to_come():
    from amulet_core.testing.findings import ConformanceError, conformance  # imports more than these attacks do

    def examine():
        raise ConformanceError(found="three legs", expected="four legs", fix="add one")

    return (conformance("stool", name="it stands", why="it would fall", examine=examine, fails_from="99.10"),)


def texts_for_checks():
    return ("one is one",)


def broken_own_checks():
    raise ImportError("no module of checks")


def takes_three(view, params, extra):
    return view
