"""Components that behave, and components that misbehave in one way each, for the tests of the conformance kit."""

import inspect
import os
import random
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from amulet_core.checks import Check
from amulet_core.data import make_data
from amulet_core.errors import RequestError
from amulet_core.feasible import project, span
from amulet_core.games.evasion import EvasionAnswer
from amulet_core.games.membership import MembershipAnswer
from amulet_core.modules import Normalise
from amulet_core.schema import DataSchema, Feasible
from amulet_core.scores import Scores, Value
from amulet_core.training.parts import weighted_cross_entropy
from amulet_core.training.values import Fitted

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
    torch.rand(1), np.random.rand(), random.random()
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
    np.random.seed(0)
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


def relabelling(view, params):
    """Change the labels of the rows where the attack has failed."""
    answer = honest(view, params)
    survives = view.model.labels(answer.x[-1]) == view.y
    view.y[survives] = (view.y[survives] + 1) % len(view.data_schema.classes)
    return answer


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


# Defenses, by stage.


def data_kept(data, params):
    torch.rand(1)
    return data.take(torch.arange(len(data)) % 2 == 0)


def rows_as_tuple(data, params):
    return data.x, data.y


def negative_weights(data, params):
    return replace(data, w=-data.w)


def other_schema(data, params):
    return replace(data, schema=data.schema.model_copy(update={"classes": tuple(map(str, range(9)))}))


def ids_renumbered(data, params):
    return replace(data, id=torch.arange(len(data)))


def ids_shifted(data, params):
    return replace(data, id=data.id.roll(1))


def weights_changed_in_place(data, params):
    data.w.mul_(2)
    return data


def data_setting(data, params):
    torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled())
    return data


def data_seeded(data, params):
    random.seed(5)
    return data


def weighted(training, params, context):
    torch.rand(1)

    def objective(call, frozen, batch):
        return 2 * training.objective(call, frozen, batch)

    return replace(training, objective=objective)


def no_training(training, params, context):
    return training.settings


def objective_dropped(training, params, context):
    return replace(training, objective=weighted_cross_entropy)


def draws_dropped(training, params, context):
    return replace(training, draws=())


def evidence_written_into(training, params, context):
    training.evidence["mark"] = 1
    return training


def evidence_undeclared(training, params, context):
    return replace(training, evidence={**training.evidence, "mark": 1})


def training_never_the_same(training, params, context):
    def objective(call, frozen, batch):
        return (1 + chance()) * training.objective(call, frozen, batch)

    return replace(training, objective=objective)


def fit_then(training, change):
    def fit(own, rows, val, streams):
        fitted = training.fit(own, rows, val, streams)
        for one in fitted:
            change(one.model)
        return fitted

    return replace(training, fit=fit)


def hook_left(training, params, context):
    return fit_then(training, lambda model: model.register_forward_hook(lambda *given: None))


def not_finite(training, params, context):
    return fit_then(training, lambda model: nn.init.constant_(model.head.bias, torch.inf))


def in_train_mode(training, params, context):
    return fit_then(training, lambda model: model.train())


def fit_crashing(training, params, context):
    def fit(own, rows, val, streams):
        if len(rows) > 1:
            raise RuntimeError("only one at a time")
        return training.fit(own, rows, val, streams)

    return replace(training, fit=fit)


def wrapped_model(training, params, context):
    def fit(own, rows, val, streams):
        fitted = training.fit(own, rows, val, streams)
        return [Fitted(nn.Sequential(one.model).eval(), one.evidence) for one in fitted]

    return replace(training, fit=fit)


def pruned(fitted, data, params):
    import copy

    model = copy.deepcopy(fitted.model)
    model.hidden.weight[0] = 0
    return replace(fitted, model=model)


def pruned_in_place(fitted, data, params):
    fitted.model.hidden.weight[0] = 0
    return fitted


def bare_module(fitted, data, params):
    return fitted.model


def fewer_logits(fitted, data, params):
    return replace(fitted, model=nn.Sequential(fitted.model, nn.Linear(len(data.schema.classes), 1)).eval())


def smoothed(probabilities, params):
    torch.rand(1)
    return 0.9 * probabilities + 0.1 / probabilities.shape[1]


def logarithms(probabilities, params):
    return probabilities.log()


def noisy(probabilities, params):
    noise = probabilities + 0.1 * torch.rand_like(probabilities)
    return noise / noise.sum(1, keepdim=True)


def labels(probabilities, params):
    return torch.nn.functional.one_hot(probabilities.argmax(1), probabilities.shape[1]).float()


def wrapper_never_the_same(probabilities, params):
    share = 0.1 * chance()
    return (1 - share) * probabilities + share / probabilities.shape[1]


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


def layers(params, schema):
    return Layers(schema)


def crashing_model(params, schema):
    raise KeyError("layers")


def one_logit(params, schema):
    return Layers(schema, classes=1)


def no_module(params, schema):
    return lambda x: x


def batch_norm(params, schema):
    return Layers(schema, norm=nn.BatchNorm1d(8))


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
    np.random.seed(1)
    return Layers(schema)


def model_setting(params, schema):
    torch.set_grad_enabled(False)
    return Layers(schema)


# Data sets.

SCHEMA = DataSchema(modality="tabular", shape=(2,), classes=("no", "yes"), feasible=Feasible(low=0.0, high=1.0))


def rows(params):
    x = torch.from_numpy(np.random.default_rng(0).random((20, 2), dtype=np.float32))
    torch.rand(1), np.random.rand(), random.random()
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
    np.random.seed(0)
    return rows(params)


def rows_never_the_same(params):
    found = rows(params)
    return replace(found, w=found.w * (1 + chance()))


def rows_setting(params):
    os.chdir("/")
    return rows(params)


# What plans ask, and checks that components ship.


def applicable_as_text(params, schema):
    return "never"


def applicable_raising(params, schema):
    return schema.colour


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


def broken_own_checks():
    raise ImportError("no module of checks")


def takes_three(view, params, extra):
    return view
