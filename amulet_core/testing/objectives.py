"""Conformance of objectives: what the one that a training stage leaves does with the rows of each step."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from amulet_core.configuration.request import defense_of
from amulet_core.errors import cause_of
from amulet_core.streams import isolated
from amulet_core.testing.findings import ConformanceError, NotCheckedError
from amulet_core.testing.stages import PLAIN, ROWS, Staged, of_kind
from amulet_core.testing.toys import task_rows
from amulet_core.training.losses import losses_of_stack
from amulet_core.training.values import Batch, Call, GradientRule, Problem, Step, Streams, Training

_NEAR = 1e-4
"""What rounding may make of a loss, or leave of a gradient."""

Moment = tuple[Problem, Batch]
"""A step of the training: the weights and the rows before it."""


@dataclass(frozen=True, eq=False)
class _Noting:
    """A gradient rule that notes what each step is given, and does what the rule beneath does."""

    beneath: GradientRule
    noted: list[Moment] = field(default_factory=list)

    def __eq__(self, other: object) -> bool:
        """Be the rule beneath: a fit that asks for the one it accounts for (dp-sgd) has it, as steps are only noted."""
        return self.beneath == other

    def __hash__(self) -> int:
        """Hash as the rule beneath does."""
        return hash(self.beneath)

    @property
    def stackable(self) -> bool:
        return self.beneath.stackable

    def start(self, problem: Problem) -> Step:
        step = self.beneath.start(problem)

        def noting(batch: Batch) -> dict[str, Tensor]:
            now = {name: value.detach().clone().requires_grad_() for name, value in problem.params.items()}
            self.noted.append((replace(problem, params=now), batch))
            return step(batch)

        return noting


def asks_once(stages: Sequence[Staged]) -> None:
    """Check that an objective asks each network once a step."""
    for one, moment in _moments(stages):
        asked = Counter(_asked(moment))
        part = next((name for name, times in asked.items() if times > 1), "")
        if part:
            raise ConformanceError(
                found=f'on {one.trial.label} {one.use.entry.component.name} asked the network "{part}" '
                f"{asked[part]} times in a step",
                expected="that an objective asks each network once",
                fix="take the outputs that the wrapped objective asks for (the tutorial notes them), look around on "
                "frozen, or join several inputs into one call by torch.cat",
            )


def weighs(stages: Sequence[Staged]) -> None:
    """Check that a row of weight 0 has a loss without a gradient."""
    for one, (problem, batch) in _moments(stages):
        w = batch.w.clone()
        w[:, 0] = 0
        loss = _losses(problem, batch._replace(w=w))[:, 0].sum()
        length = _length(loss, problem)
        if not length <= _NEAR:  # not a number is no 0 either
            raise ConformanceError(
                found=f"on {one.trial.label} the loss of a row of weight 0 has a gradient of length {length:.2g}",
                expected="none: what such a row says counts for nothing",
                fix="multiply each term that is added to the wrapped losses by batch.w",
            )


def by_itself(stages: Sequence[Staged]) -> None:
    """Check that a row's loss stays when other rows of its batch change, unless ``clippable=False`` is declared."""
    for one, moment in _moments([one for one in stages if defense_of(one.use).clippable], every=3):
        for problem in _less_and_more_sure(moment[0]):
            row, before = _middle(problem, moment[1])
            for other in _others_changed(problem, moment[1], row):
                after = float(_losses(problem, other)[0, row].detach())
                if not abs(after - before) <= _NEAR * (1 + abs(before)):
                    raise ConformanceError(
                        found=f"on {one.trial.label} a row's loss went from {before:.4g} to {after:.4g} when other "
                        "rows of its batch changed",
                        expected="a loss that depends on its own row alone, or clippable=False",
                        fix="leave statistics of the batch out of the loss, or set clippable=False in the descriptor: "
                        "dp-sgd then refuses it",
                    )


def _moments(stages: Sequence[Staged], *, every: int = 1) -> Iterator[tuple[Staged, Moment]]:
    """Yield the steps of a training with each stage, or some of them, that have more than one row."""
    for one in stages:
        training = of_kind(one, Training, "its training stage returns a Training")
        yield from ((one, moment) for moment in _noted(one, training)[::every] if moment[1].y.shape[1] > 1)


def _noted(one: Staged, training: Training) -> list[Moment]:
    rule = _Noting(training.gradient)
    rows = [task_rows(one.toy, rows=ROWS, key=("train",))]
    watched = replace(training, gradient=rule)
    try:
        with isolated("conformance", "objective"):
            watched.fit(watched, rows, rows, [Streams(("conformance", 0))])
    except Exception as error:
        raise NotCheckedError(f'not checked, because "{PLAIN}" fails') from error
    return rule.noted


def _losses(problem: Problem, batch: Batch) -> Tensor:
    try:
        with isolated("conformance", "losses"):
            return losses_of_stack(problem, batch)
    except Exception as error:
        raise NotCheckedError(f"not checked: on other rows the objective raised {cause_of(error)}") from error


def _asked(moment: Moment) -> list[str]:
    """Return the names of the networks that an objective asks in one step, once for each time."""
    problem, batch = moment
    asked: list[str] = []

    def objective(call: Call, frozen: Call, rows: Batch) -> Tensor:
        def noting(x: Tensor, part: str = "model") -> Tensor:
            asked.append(part)
            return call(x, part)

        return problem.objective(noting, frozen, rows)

    _losses(replace(problem, objective=objective), batch)
    return asked


def _length(loss: Tensor, problem: Problem) -> float:
    """Return the length of a loss's gradient in all weights together (0 where it depends on none)."""
    if not loss.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(loss, list(problem.params.values()), allow_unused=True)
    return float(torch.cat([one.flatten() for one in gradients if one is not None]).norm())


def _less_and_more_sure(problem: Problem) -> Iterator[Problem]:
    """Yield a problem at its weights, and at larger ones, where losses lie further apart: a threshold shows there."""
    yield problem
    yield replace(problem, params={name: 3 * value.detach() for name, value in problem.params.items()})


def _middle(problem: Problem, batch: Batch) -> tuple[int, float]:
    """Return the row whose loss is the middle one, and that loss."""
    losses = _losses(problem, batch)[0].detach()
    if not torch.equal(losses, _losses(problem, batch)[0]):
        raise NotCheckedError('not checked, because "the same seed trains the same bits" fails')
    row = int(losses.argsort()[len(losses) // 2])
    return row, float(losses[row])


def _others_changed(problem: Problem, batch: Batch, row: int) -> Iterator[Batch]:
    """Yield batches in which one row stays: the others are the best one, or the worst; or weigh nothing, or much."""
    others = torch.arange(batch.y.shape[1]) != row
    order = _losses(problem, batch)[0].argsort()
    for place in (order[order != row][0], order[order != row][-1]):
        changed = {name: getattr(batch, name).clone() for name in ("x", "y", "z")}
        for values in changed.values():
            values[:, others] = values[:, place].clone()[:, None]
        yield batch._replace(**changed)
    for weight in (0.0, 1000.0):
        yield batch._replace(w=torch.where(others, weight, batch.w))


Examine = Callable[[Sequence[Staged]], None]
CHECKS: tuple[tuple[str, str, Examine], ...] = (
    (
        "its objective asks each network once",
        "dp-sgd counts a row's gradient where a network is asked, and others look at that one answer",
        asks_once,
    ),
    (
        "its objective keeps to the weights of the rows",
        "reweighing, and what removes rows by their weight, would be undone",
        weighs,
    ),
    (
        "its objective gives each row a loss of its own",
        "a privacy account bounds what one row can change: beside dp-sgd a loss that mixes rows would make it false",
        by_itself,
    ),
)
"""Name, reason and examination of each check."""
