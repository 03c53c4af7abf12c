"""Defenses that behave, and defenses that misbehave in one way each, by the stage they act in."""

import copy
import os
import random
from dataclasses import replace

import torch
from torch import nn

from amulet_core.games.verification import VerificationAnswer
from amulet_core.training.fit import fit_by_steps
from amulet_core.training.parts import weighted_cross_entropy
from amulet_core.training.values import Fitted, Prepared


def chance():
    return int.from_bytes(os.urandom(4)) / 2**32


def data_kept(data, params):
    torch.rand(1)
    return data.take(torch.arange(len(data)) % 2 == 0)


def released(probabilities, params):
    return probabilities


def gradients(question, params):
    noisy = (question.x + 0.1 * torch.rand(question.x.shape)).requires_grad_()
    logits = question.model(noisy).gather(1, question.classes[:, None]).sum()
    return torch.autograd.grad(logits, noisy)[0]


def explaining_fails(question, params):
    raise RuntimeError("no luck")


def explained_by_row(question, params):
    return gradients(question, params).flatten(1).sum(1)


def explained_by_tuple(question, params):
    return (gradients(question, params),)


def explained_by_nan(question, params):
    found = gradients(question, params)
    found[:3] = float("nan")
    return found


def explaining_doubles_weights(question, params):
    found = gradients(question, params)
    question.model.head.weight.mul_(2)
    return found


def explaining_moves_rows(question, params):
    found = gradients(question, params)
    question.x.mul_(0.5)
    return found


def explained_by_luck(question, params):
    return gradients(question, params) + chance()


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


def wrapped(training, objective):
    return replace(training, objective=objective)


def noted(training, term):
    """Add a term of the logits that the wrapped objective asks for, and of the batch, to its losses."""

    def objective(call, frozen, batch):
        told = []

        def noting(x, part="model"):
            told.append(call(x, part))
            return told[-1]

        losses = training.objective(noting, frozen, batch)
        logits = told[0]
        length = logits.square().sum(-1)
        return term(losses, length if len(length) == len(batch.y) else length.reshape(2, -1).mean(0), batch)

    return wrapped(training, objective)


def weight_ignored(training, params, context):
    return noted(training, lambda losses, length, batch: losses + 0.1 * length)


def centred_on_the_batch(training, params, context):
    return noted(training, lambda losses, length, batch: losses + batch.w * (length - length.mean()).square())


def relaxed(training, params, context):
    def relaxed_losses(losses, length, batch):
        return torch.where(losses.mean() > 0.5, losses, -losses)

    return noted(training, relaxed_losses)


def relaxed_late(training, params, context):
    def relaxed_losses(losses, length, batch):
        return losses if batch.progress < 0.5 else torch.where(losses.mean() > 0.5, losses, -losses)

    return noted(training, relaxed_losses)


def relaxed_above(training, params, context):
    return noted(training, lambda losses, length, batch: torch.where(length.mean() > 30, losses, -losses))


def weights_shared_out(training, params, context):
    def objective(call, frozen, batch):
        return training.objective(call, frozen, batch) / batch.w.mean()

    return wrapped(training, objective)


def asked_twice(training, params, context):
    def objective(call, frozen, batch):
        return training.objective(call, frozen, batch) + batch.w * call(batch.x).square().sum(-1)

    return wrapped(training, objective)


def branching(training, params, context):
    def objective(call, frozen, batch):
        if batch.w.min() < 0:
            raise ValueError("negative weights")
        return training.objective(call, frozen, batch)

    return wrapped(training, objective)


def drawing(training, params, context):
    def objective(call, frozen, batch):
        return training.objective(call, frozen, batch) * (1 + torch.rand(len(batch.y)))

    return wrapped(training, objective)


def several_inputs_forgotten(training, params, context):
    def objective(call, frozen, batch):
        told = []

        def noting(x, part="model"):
            told.append(call(x, part))
            return told[-1]

        losses = training.objective(noting, frozen, batch)
        return losses + batch.w * told[0].square().sum(-1)

    return wrapped(training, objective)


def one_loss(training, params, context):
    return wrapped(training, lambda *given: training.objective(*given).mean())


def crashing_stage(training, params, context):
    raise RuntimeError("no luck")


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


def fit_twice(training, params, context):
    def fit(own, rows, val, streams):
        training.fit(own, rows, val, streams)
        return training.fit(own, rows, val, streams)

    return replace(training, fit=fit)


def fit_replaced(training, params, context):
    return replace(training, fit=fit_by_steps)


def fit_doubled(training, params, context):
    return replace(training, fit=lambda own, *given: training.fit(weighted(own, params, context), *given))


def fit_on_fewer(training, params, context):
    def fit(own, rows, val, streams):
        return training.fit(own, [one.take(torch.arange(len(one) - 1)) for one in rows], val, streams)

    return replace(training, fit=fit)


def rows_zeroed(training, params, context):
    def fit(own, rows, val, streams):
        for one in rows:
            one.x.zero_()
        return training.fit(own, rows, val, streams)

    return replace(training, fit=fit)


def fit_stopped_on_rows(training, params, context):
    return replace(training, fit=lambda own, rows, val, streams: training.fit(own, rows, rows, streams))


def fit_with_own_streams(training, params, context):
    def fit(own, rows, val, streams):
        return training.fit(own, rows, val, [replace(one, key=(*one.key, "own")) for one in streams])

    return replace(training, fit=fit)


def weights_rounded(training, params, context):
    @torch.no_grad()
    def rounded(model):
        for weight in model.parameters():
            weight.mul_(8).round_().div_(8)

    return fit_then(training, rounded)


def fit_copied(training, params, context):
    return replace(training, fit=lambda *given: copy.deepcopy(training.fit(*given)))


def wrapped_model(training, params, context):
    def fit(own, rows, val, streams):
        fitted = training.fit(own, rows, val, streams)
        return [Fitted(nn.Sequential(one.model).eval(), one.evidence) for one in fitted]

    return replace(training, fit=fit)


def pruned(fitted, data, params):
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


def unnormalised(probabilities, params):
    return probabilities + torch.rand_like(probabilities)


def labels(probabilities, params):
    return torch.nn.functional.one_hot(probabilities.argmax(1), probabilities.shape[1]).float()


def wrapper_never_the_same(probabilities, params):
    share = 0.1 * chance()
    return (1 - share) * probabilities + share / probabilities.shape[1]


def data_marked(data, params):
    rows = torch.arange(3)
    added = replace(data.take(rows), id=min(0, int(data.id.min())) - 1 - rows, y=torch.randint(2, (3,)))
    joined = {name: torch.cat([getattr(data, name), getattr(added, name)]) for name in ("x", "y", "z", "w", "id")}
    return Prepared(replace(data, **joined), {"mark": 3}, {"mark/y": added.y})


def ids_added_not_negative(data, params):
    prepared = data_marked(data, params)
    return replace(prepared, data=replace(prepared.data, id=prepared.data.id.abs()))


def ids_added_to_prepared_of_tuple(data, params):
    return Prepared((data.x, data.y))


def scores(view):
    return torch.tensor([(one.labels(view.x) == view.y).double().mean() for one in view.suspects], dtype=torch.float64)


def recognised(view, params):
    return VerificationAnswer(score=scores(view) + torch.rand(1).item())


def bare_scores(view, params):
    return scores(view)


def first_alone(view, params):
    return VerificationAnswer(score=scores(view)[:1])


def wrong_p(view, params):
    return VerificationAnswer(score=scores(view), p=scores(view) + 2)


def compared(view, params):
    return VerificationAnswer(score=torch.full((len(view.suspects),), 1.0 * len(view.suspects), dtype=torch.float64))


def p_compared(view, params):
    zeros = torch.zeros(len(view.suspects), dtype=torch.float64)
    return VerificationAnswer(score=zeros, p=zeros + 1 / len(view.suspects))


def suspects_drawn_for(view, params):
    return VerificationAnswer(score=torch.randint(9, (len(view.suspects),)).double())


def more_access(view, params):
    return VerificationAnswer(score=torch.stack([one.probabilities(view.x).amax().double() for one in view.suspects]))


def proof_changed(view, params):
    for value in view.proof.values():
        value.zero_()
    return recognised(view, params)
