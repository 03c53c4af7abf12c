"""The training loop: K models as one stack where that is faster and possible, else one after the other, same result."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import torch
from torch import Tensor, nn
from torch.func import stack_module_state
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer

from amulet_core.data import Data
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from amulet_core.training.losses import losses_of_stack
from amulet_core.training.values import Batch, Bundle, Call, Draw, Fitted, Problem, Streams, Training


class DivergedError(ValueError):
    """Training ended with weights that are not finite."""


def fit_by_steps(
    training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]
) -> list[Fitted]:
    """Train one model on each of ``rows``, each with validation rows and random streams of its own.

    Raises:
        DivergedError: if weights are not finite in the end.
        ValueError: if the architecture has statistics of batches, which mix their rows, or nothing to train; if
            early stopping has no validation rows to look at.
    """
    if training.settings.patience and not all(len(held) for held in val):
        raise ValueError(
            f"early stopping (patience {training.settings.patience}) has no validation rows to look at: give some, or "
            "set patience to 0"
        )
    equally_many = all(len({len(data) for data in parts}) == 1 for parts in (rows, val))
    stacks = training.stackable and training.gradient.stackable and equally_many
    if stacks and len(rows) > 1:
        return _fit_stack(training, rows, val, streams)
    return [_fit_alone(training, *own) for own in zip(rows, val, streams, strict=True)]


def _fit_alone(training: Training, rows: Data, val: Data, streams: Streams) -> Fitted:
    # A network's own draws, such as dropout's, come from the global generators: these too are keyed by the model.
    with isolated(*streams.key, "steps"):
        (fitted,) = _fit_stack(training, [rows], [val], [streams])
    return fitted


def _fit_stack(
    training: Training, rows: Sequence[Data], val: Sequence[Data], streams: Sequence[Streams]
) -> list[Fitted]:
    bundles = [_build(training, own) for own in streams]
    problem = _problem(training, bundles, streams)
    params, step = problem.params, training.gradient.start(problem)
    optimizer = _optimizer(params, training.settings)
    best = _Best.start(params, len(rows)) if training.settings.patience else None
    batches = _batches(training, rows, streams)
    for epoch in range(training.settings.epochs):
        _set_learning_rate(optimizer, training.settings, epoch)
        for batch in next(batches):
            _apply(optimizer, params, step(batch))
        if best is not None:
            best.see(params, _validation_losses(problem, val), training.settings.patience)
            if best.all_done:
                break
    return _plain_models(bundles, best.params if best is not None else params, training)


def gradients_of(
    training: Training, batches: Sequence[Data], streams: Streams, *, state: Mapping[str, Tensor] | None = None
) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a model at its initial weights, or with ``state``, and what the rule releases of each batch there.

    The gradients are ``[batches, ...]``, by the names of those of the model's own parameters that are trained. Others,
    of networks that are trained beside it, stay at home, though they are clipped with it. A draw of the objective, and
    the rule's noise, come from the model's own streams.
    """
    bundle = _build(training, streams)
    if state is not None:
        bundle.parts["model"].load_state_dict(state)
    problem = _problem(training, [bundle], [streams])
    step, draws = training.gradient.start(problem), [streams.generator("draws")]
    stacked = [_stacked([rows]) for rows in batches]
    with isolated(*streams.key, "steps"):
        released = [step(Batch(*parts, _drawn(training.draws, parts[0], draws))) for parts in stacked]
    return bundle.parts["model"].requires_grad_(False), {
        name.removeprefix(_MODEL): torch.cat([one[name].detach() for one in released])
        for name in problem.params
        if name.startswith(_MODEL)
    }


_MODEL = "parts.model."


def _build(training: Training, streams: Streams) -> Bundle:
    parts = {}
    for name, build in training.parts.items():
        with isolated(*streams.key, "init", name):
            parts[name] = build()
    bundle = Bundle(parts, training.views)
    mixing = statistics_of_batches(bundle)
    if mixing is not None:
        raise ValueError("the architecture has {}: {}".format(*mixing))
    return bundle


def statistics_of_batches(model: nn.Module) -> tuple[str, str] | None:
    """Return which layers of a model have statistics of several rows in them, and what to do; None if no layer has."""
    norms = nn.modules.batchnorm
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, norms._NormBase)]
    mixing = ", ".join(name for name, layer in layers if isinstance(layer, norms._BatchNorm))
    if mixing:
        return f"BatchNorm ({mixing})", "use GroupNorm, or no normalisation layer"
    running = ", ".join(name for name, layer in layers if layer.track_running_stats)
    return (f"running statistics of batches ({running})", "set track_running_stats=False") if running else None


def _problem(training: Training, bundles: Sequence[Bundle], streams: Sequence[Streams]) -> Problem:
    params, buffers = stack_module_state(list(bundles))
    trained = {name: value.detach().requires_grad_() for name, value in params.items() if value.requires_grad}
    if not trained:
        raise ValueError("the architecture has no parameter that wants a gradient: there is nothing to train")
    return Problem(
        skeleton=_skeleton(bundles[0]),
        params=trained,
        fixed={**buffers, **{name: value for name, value in params.items() if name not in trained}},
        objective=training.objective,
        noise=[own.generator("gradient noise") for own in streams],
    )


def _skeleton(bundle: Bundle) -> Bundle:
    """Return a copy without values, in which what is shared stays shared, and only what is trained is a parameter.

    Parameters that want no gradient are buffers there, so that no gradient rule meets them.
    """
    values = [*bundle.parameters(), *bundle.buffers()]
    skeleton = copy.deepcopy(bundle, {id(value): _without_value(value) for value in values})
    for module in skeleton.modules():
        for name, value in list(module._parameters.items()):
            if value is not None and not value.requires_grad:
                delattr(module, name)
                module.register_buffer(name, value)
    return skeleton


def _without_value(value: Tensor) -> Tensor:
    empty = value.detach().to("meta")
    return nn.Parameter(empty) if value.requires_grad else empty


def _optimizer(params: Mapping[str, Tensor], settings: TrainingSettings) -> Optimizer:
    if settings.optimizer == "adam":
        return Adam(params.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return SGD(
        params.values(), lr=settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay
    )


def _set_learning_rate(optimizer: Optimizer, settings: TrainingSettings, epoch: int) -> None:
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        rate *= 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * epoch / settings.epochs, dtype=torch.float64))))
    for group in optimizer.param_groups:
        group["lr"] = rate


def _apply(optimizer: Optimizer, params: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
    for name, value in params.items():
        value.grad = gradients[name]
    optimizer.step()


def _batches(training: Training, rows: Sequence[Data], streams: Sequence[Streams]) -> Iterator[Iterator[Batch]]:
    """Yield, for every epoch, its batches ``[models, n, ...]``: order and draws come from each model's own streams."""
    orders = [own.generator("order") for own in streams]
    draws = [own.generator("draws") for own in streams]
    x, y, z, w = _stacked(rows)
    models = torch.arange(len(rows))[:, None]

    def epoch(number: int) -> Iterator[Batch]:
        steps = list(zip(*(training.sampler.epoch(y.shape[1], order) for order in orders), strict=True))
        for step, chosen in enumerate(steps):
            at = torch.stack(chosen)
            batch, progress = x[models, at], (number + step / len(steps)) / training.settings.epochs
            drawn = _drawn(training.draws, batch, draws)
            yield Batch(batch, y[models, at], z[models, at], w[models, at], drawn, progress)

    yield from (epoch(number) for number in count())


def _stacked(rows: Sequence[Data]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x, y, z, w = (torch.stack([getattr(data, name) for data in rows]) for name in ("x", "y", "z", "w"))
    return x, y, z, w


def _drawn(wanted: Sequence[Draw], x: Tensor, generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
    return {
        draw.name: torch.stack(
            [
                torch.rand(x.shape[1:], generator=own) * 2 - 1
                if draw.kind == "uniform"
                else torch.randn(x.shape[1:], generator=own)
                for own in generators
            ]
        )
        for draw in wanted
    }


def _validation_losses(problem: Problem, val: Sequence[Data]) -> Tensor:
    """Return each model's mean cross-entropy on the validation rows, ``[models]``, whatever its training objective.

    The networks are in eval mode, as they will be when they are asked.
    """

    def plain(call: Call, _frozen: Call, batch: Batch) -> Tensor:
        return cross_entropy(call(batch.x), batch.y, reduction="none")

    batch, asked = Batch(*_stacked(val), {}), copy.deepcopy(problem.skeleton).eval()
    with torch.no_grad():
        return losses_of_stack(Problem(asked, problem.params, problem.fixed, plain, ()), batch).mean(1)


class _Best:
    """The best parameters of each model of a stack so far, by validation loss; one whose patience ran out is done."""

    def __init__(self, params: dict[str, Tensor], losses: Tensor) -> None:
        self.params, self._losses = params, losses
        self._waited = torch.zeros(len(losses), dtype=torch.int64)
        self._done = torch.zeros(len(losses), dtype=torch.bool)

    @classmethod
    def start(cls, params: Mapping[str, Tensor], models: int) -> "_Best":
        # Not the initial weights: a model that is never any good must end as not finite, not as untrained.
        nothing = {name: torch.full_like(value.detach(), torch.nan) for name, value in params.items()}
        return cls(nothing, torch.full((models,), torch.inf))

    @property
    def all_done(self) -> bool:
        return bool(self._done.all())

    def see(self, params: Mapping[str, Tensor], losses: Tensor, patience: int) -> None:
        better = (losses < self._losses) & ~self._done
        for name, value in params.items():
            self.params[name][better] = value.detach()[better]
        self._losses = torch.where(better, losses, self._losses)
        self._waited = torch.where(better, 0, self._waited + 1)
        self._done |= self._waited >= patience


def _plain_models(bundles: Sequence[Bundle], params: Mapping[str, Tensor], training: Training) -> list[Fitted]:
    fitted = []
    for index, bundle in enumerate(bundles):
        own = {name: value[index].detach().clone() for name, value in params.items()}
        broken = [name for name, value in own.items() if not torch.isfinite(value).all()]
        if broken:
            raise DivergedError(
                f"training diverged: {len(broken)} of {len(own)} weight tensors are not finite (first: {broken[0]}); "
                "lower the learning rate"
            )
        bundle.load_state_dict(own, strict=False)
        model = bundle.parts["model"].eval().requires_grad_(False)
        fitted.append(Fitted(model=model, evidence=dict(training.evidence)))
    return fitted


__all__ = ["DivergedError", "fit_by_steps", "gradients_of"]
