"""Planted victims that are models: memorisers, and one whose members show only at their adversarial examples."""

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot

from amulet_core.data import Data, make_data
from amulet_core.games.membership import Lab, MembershipView
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator, isolated
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Streams, Training, TrainingContext
from amulet_core.victims import WhiteBox, logits_of
from amulet_plugins_builtin.membership.planted import Planted

REACH = 0.1
_STEEP = 2.0


class Nearest(nn.Module):
    """Predicts the label of the nearest row that it knows."""

    def __init__(self, x: Tensor, y: Tensor, classes: int) -> None:
        """Learn rows ``x [n, d]`` by heart."""
        super().__init__()
        self.x, self.one_hot = x, one_hot(y, classes).float()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, classes]``."""
        return 30.0 * self.one_hot[torch.cdist(x, self.x, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)]


class Slopes(nn.Module):
    """Knows a row by its first feature; the true label's log-odds fall from ``odds [n]`` as the second one rises."""

    def __init__(self, odds: Tensor, slope: Tensor, y: Tensor) -> None:
        """Take each row's log-odds in the middle of the second feature, their slope there, and its label."""
        super().__init__()
        self.odds, self.slope, self.sign = odds, slope, 2.0 * y - 1

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``[n, 2]``."""
        row = (x[:, 0].detach() * len(self.odds)).long()
        odds = self.sign[row] * (self.odds[row] - self.slope[row] * (x[:, 1] - 0.5))
        return torch.stack([torch.zeros_like(odds), odds], 1)


def memoriser(*, rows: int, classes: int, seed: int, knows_candidates: bool = True) -> Planted:
    """Plant a nearest-neighbour memoriser of random labels; one that knows other rows instead is safe.

    On non-members it guesses: the gap attack has AUC 1 - 1 / (2 ``classes``).
    """
    draws = torch.Generator().manual_seed(seed)
    schema = _schema(classes, immutable=())
    x, other_x = (torch.rand(rows, 2, generator=draws) for _ in range(2))
    y, other_y = (torch.randint(0, classes, (rows,), generator=draws) for _ in range(2))
    member = torch.randperm(rows, generator=draws) < rows // 2
    known = (x[member], y[member]) if knows_candidates else (other_x[member], other_y[member])
    return Planted(_view(Nearest(*known, classes), x, y, other_x, other_y, schema), member)


def slopes(*, rows: int, shift: float, seed: int, population: int = 1000) -> Planted:
    """Plant a victim whose confidence is N(0, 1) on every row, and higher by ``shift`` on members within ``REACH``.

    Members' slopes are smaller: at the rows themselves nothing tells them, at adversarial examples within ``REACH``
    (linf; the first feature cannot change) the AUC is Phi(shift / sqrt 2). ``shift`` is below 2.
    """
    draws = torch.Generator().manual_seed(seed)
    n = rows + population
    member = torch.cat([torch.randperm(rows, generator=draws) < rows // 2, torch.zeros(population, dtype=torch.bool)])
    y = torch.randint(0, 2, (n,), generator=draws)
    model = Slopes(torch.randn(n, generator=draws), (_STEEP - shift * member) / REACH, y)
    x = torch.stack([(torch.arange(n) + 0.5) / n, torch.full((n,), 0.5)], 1)
    view = _view(model, x[:rows], y[:rows], x[rows:], y[rows:], _schema(2, immutable=(0,)))
    return Planted(view, member[:rows])


def _schema(classes: int, *, immutable: tuple[int, ...]) -> DataSchema:
    return DataSchema(
        modality="tabular",
        shape=(2,),
        classes=tuple(str(label) for label in range(classes)),
        feasible=Feasible(low=0.0, high=1.0, immutable=immutable),
    )


def _view(
    model: nn.Module, x: Tensor, y: Tensor, population_x: Tensor, population_y: Tensor, schema: DataSchema
) -> MembershipView:
    classes = len(schema.classes)
    return MembershipView(
        model=WhiteBox(model),
        x=x,
        y=y,
        observed=log_softmax(logits_of(model, x), 1),
        population_x=population_x,
        population_y=population_y,
        observed_population=log_softmax(logits_of(model, population_x), 1),
        lab=Lab(
            candidates=torch.zeros(0, len(x), classes),
            members=torch.zeros(0, len(x), dtype=torch.bool),
            population=torch.zeros(0, len(population_x), classes),
        ),
        data_schema=schema,
    )


CLASSES = 4
RANDOM_LABELS = DataSchema(
    modality="tabular",
    shape=(16,),
    classes=tuple(str(label) for label in range(CLASSES)),
    feasible=Feasible(low=0.0, high=1.0),
)
"""Rows that tell nothing of their labels: whatever is learnt of them is memorised."""


def random_rows(n: int, *key: str | int) -> Data:
    """Return rows uniform in the cube, with random labels."""
    draws = generator("planted random labels", *key)
    x = torch.rand(n, 16, generator=draws)
    return make_data(x, torch.randint(0, CLASSES, (n,), generator=draws), RANDOM_LABELS)


def memorising_training(*, epochs: int = 80) -> tuple[Training, TrainingContext]:
    """Return the training of a network that learns 100 rows by heart, and its context."""
    settings = TrainingSettings(epochs=epochs, batch_size=25, learning_rate=0.01)

    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, CLASSES))

    context = TrainingContext(rows=100, schema=RANDOM_LABELS, settings=settings)
    return plain_training(build, settings, stackable=True), context


def memorised(training: Training, *, seed: int = 0) -> nn.Module:
    """Return what the training makes of ``random_rows(100, "members")``."""
    with isolated("planted memoriser", seed):
        rows, val = random_rows(100, "members"), random_rows(100, "val")
        return training.fit(training, [rows], [val], [Streams(("planted memoriser", seed))])[0].model
