"""Which inputs an adaptive thief asks about: a gradient bandit over groups of them (arXiv:1812.02766, section 4.1.2).

The paper updates its policy after each query, over the classes of a labelled pool of other images. Here a round of
queries is asked at once, under one policy; groups are the thief's own labels, or clusters of its inputs.
"""

from dataclasses import dataclass, replace

import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot
from torch.optim import Adam

from amulet_core.data import bounds
from amulet_core.games.theft import TheftView
from amulet_core.oracles import BudgetOracle
from amulet_plugins_builtin.catalogue.ownership import ModelExtractionParams

_WINDOW = 25
"""Over so many queries past averages are taken (the paper's Delta)."""


@dataclass(frozen=True)
class Record:
    """What was asked so far: rows of the view, the victim's answers to them, the raw rewards ``[n, 3]``."""

    rows: Tensor
    answers: Tensor
    rewards: Tensor


def adaptively_asked(view: TheftView, params: ModelExtractionParams) -> tuple[Tensor, Tensor]:
    """Ask round by round, each from the groups that were worth most so far; return inputs and answers.

    No input is asked about twice. A partial last round asks the first of what a whole one would have.
    """
    oracle = view.model
    if not isinstance(oracle, BudgetOracle):
        raise ValueError("the adaptive strategy asks an oracle")  # noqa: TRY004 - as the attack
    groups, budget = _groups(view, params), min(view.budget, len(view.x))
    count = int(groups.max()) + 1
    preferences = torch.zeros(count, dtype=torch.float64)
    student = _Student(view.architecture(), view.settings.learning_rate)
    record = Record(torch.zeros(0, dtype=torch.int64), view.x.new_zeros(0, len(view.data_schema.classes)), _none())
    while len(record.rows) < budget:
        policy = torch.softmax(preferences, 0)
        rows = _drawn(policy, groups, record.rows, at_most=params.round)[: budget - len(record.rows)]
        answers = oracle.ask(view.x[rows])
        raw = _rewards(answers, student.losses(view.x[rows], answers), record)
        record = _grown(record, rows, answers, raw)
        preferences = preferences + _step(record, groups, policy, len(rows))
        student.learn(view.x[rows], answers)
    return view.x[record.rows], record.answers


def _groups(view: TheftView, params: ModelExtractionParams) -> Tensor:
    """Return the group of each own input, int64 ``[n]``."""
    if not params.clusters:
        return view.y
    low, high = bounds(view.data_schema)
    scaled = ((view.x - low) / (high - low)).flatten(1).double().numpy()
    found = KMeans(n_clusters=min(params.clusters, len(scaled)), n_init=1).fit(scaled)
    return torch.from_numpy(found.labels_).long()


def _drawn(policy: Tensor, groups: Tensor, asked: Tensor, *, at_most: int) -> Tensor:
    """Draw rows not asked about yet: a group by the policy, then a row of it; groups that are used up are left out."""
    fresh = torch.ones(len(groups), dtype=torch.float64)
    fresh[asked] = 0
    left = torch.zeros(len(policy), dtype=torch.float64).index_add_(0, groups, fresh)
    weights = fresh * (policy.clamp_min(1e-9) / left.clamp_min(1))[groups]
    return torch.multinomial(weights, min(at_most, int(fresh.sum())))


def _rewards(answers: Tensor, losses: Tensor, record: Record) -> Tensor:
    """Return the three raw rewards of each answer ``[n, 3]``: certain, unlike the last ones, not what was expected."""
    top = answers.topk(2, 1).values
    past = record.answers[-_WINDOW:].mean(0) if len(record.answers) else torch.zeros_like(answers[0])
    unlike = (answers - past).clamp_min(0).sum(1)
    return torch.stack([top[:, 0] - top[:, 1], unlike, losses], 1).double()


def _grown(record: Record, rows: Tensor, answers: Tensor, raw: Tensor) -> Record:
    return replace(
        record,
        rows=torch.cat([record.rows, rows]),
        answers=torch.cat([record.answers, answers]),
        rewards=torch.cat([record.rewards, raw]),
    )


def _step(record: Record, groups: Tensor, policy: Tensor, new: int) -> Tensor:
    """Return what the last ``new`` rewards add to the preferences: the bandit's gradient, by 1 / visits of the group.

    Each reward is scaled to 0 .. 1 over all seen so far, and the three are averaged; what counts is by how much that
    exceeds the average of the last queries.
    """
    low, high = record.rewards.amin(0), record.rewards.amax(0)
    total = ((record.rewards - low) / (high - low).clamp_min(1e-12)).mean(1)
    better = total[-new:] - total[-max(_WINDOW, new) :].mean()
    chosen = groups[record.rows[-new:]]
    visits = torch.bincount(groups[record.rows], minlength=len(policy))
    return ((better / visits[chosen])[:, None] * (one_hot(chosen, len(policy)) - policy)).sum(0)


def _none() -> Tensor:
    return torch.zeros(0, 3, dtype=torch.float64)


class _Student:
    """A model that learns along, one step a round: what surprises it is worth asking about."""

    def __init__(self, model: nn.Module, learning_rate: float) -> None:
        self._model = model.requires_grad_()
        self._optimizer = Adam(self._model.parameters(), lr=learning_rate)

    def losses(self, x: Tensor, answers: Tensor) -> Tensor:
        """Return the cross-entropy of its prediction for each answer, ``[n]``."""
        with torch.no_grad():
            return self._losses(x, answers)

    def learn(self, x: Tensor, answers: Tensor) -> None:
        """Take one step towards the answers."""
        self._optimizer.zero_grad()
        with torch.enable_grad():
            self._losses(x, answers).mean().backward()
        self._optimizer.step()

    def _losses(self, x: Tensor, answers: Tensor) -> Tensor:
        return -(answers * log_softmax(self._model(x), 1)).sum(1)
