"""Checks of the fairness defenses that put the trained model inside another, on planted unfair and fair rows."""

from functools import partial
from itertools import product
from types import ModuleType
from typing import Any, Final

import numpy as np
import torch
from fairlearn.preprocessing import CorrelationRemover
from torch import nn

from amulet_core.checks import Check
from amulet_core.data import Data, make_data
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Fitted, Streams, Training, TrainingContext
from amulet_plugins_builtin.catalogue import fairness_defenses as catalogue
from amulet_plugins_builtin.fairness import correlation_remover as remover
from amulet_plugins_builtin.fairness import exponentiated_gradient as gradient
from amulet_plugins_builtin.fairness import threshold_optimizer as optimizer
from amulet_plugins_builtin.fairness.checks import parity_gap_and_accuracy
from amulet_plugins_builtin.fairness.thresholds import Scored, best_thresholds

SCHEMA: Final = DataSchema(
    modality="tabular",
    shape=(4,),
    classes=("refused", "hired"),
    sensitive=(Sensitive(name="group", categories=("a", "b"), features=(2, 3)),),
    feasible=Feasible(low=-6.0, high=6.0, immutable=(2, 3), one_hot=((2, 3),)),
    features=("merit", "side", "group=a", "group=b"),
)
_SETTINGS: Final = TrainingSettings(epochs=8, learning_rate=0.05)

_UNFAIR_WHY: Final = "a defense without effect would be measured as harmless"
_FAIR_WHY: Final = "a defense that harms fair models would be blamed on the risk it is against"


def exponentiated_gradient() -> tuple[Check, ...]:
    """Return the checks of ``exponentiated-gradient``."""
    return _of_effect(gradient, catalogue.ExponentiatedGradientParams(max_iter=3))


def threshold_optimizer() -> tuple[Check, ...]:
    """Return the checks of ``threshold-optimizer``."""
    return (
        *_of_effect(optimizer, catalogue.ThresholdOptimizerParams()),
        Check(
            name="on 20 small tables no pair of thresholds is better than the one it chooses",
            why="worse thresholds would cost accuracy in the name of fairness",
            run=_no_better_thresholds,
        ),
    )


def correlation_remover() -> tuple[Check, ...]:
    """Return the checks of ``correlation-remover``."""
    return (
        *_of_effect(remover, catalogue.CorrelationRemoverParams()),
        Check(
            name="the model sees what fairlearn's transform gives, and nothing of the group's own features",
            why="features that still tell the group leave the model as unfair as it was",
            run=_fairlearns_features,
        ),
    )


def planted_in_x(n: int, *key: str | int, lean: float) -> Data:
    """Return rows of which the group is an input; the label leans on merit, and by ``lean`` on the group (0: fair)."""
    draw = generator("fairness check", *key)
    z, merit = torch.randint(2, (n,), generator=draw), torch.randn(n, generator=draw)
    noise = 0.3 * torch.randn(3, n, generator=draw)
    side = (2 * z - 1).float()
    x = torch.stack([merit + noise[1], side + noise[2], 1.0 - z, z.float()], 1).clamp(-6, 6)
    return make_data(x, (merit + lean * side + noise[0] > 0).long(), SCHEMA, z=z[:, None])


def linear_training() -> Training:
    """Return quick training of a linear model for ``planted_in_x`` rows."""
    return plain_training(lambda: nn.Linear(4, 2), _SETTINGS, stackable=True)


def trained(module: ModuleType | None, params: Any, seed: int, *, lean: float) -> Fitted:
    """Return a linear model trained on planted rows, defended by the training stage of ``module`` (None: not)."""
    training, rows = linear_training(), planted_in_x(500, "train", seed, lean=lean)
    if module is not None:
        context = TrainingContext(rows=500, schema=SCHEMA, settings=_SETTINGS)
        training = module.train(training, params, context)
    val = planted_in_x(500, "val", seed, lean=lean)
    (fitted,) = training.fit(training, [rows], [val], [Streams(("fairness check", seed))])
    return fitted


def _of_effect(module: ModuleType, params: Any) -> tuple[Check, ...]:
    return (
        Check(
            name="on rows with a planted disparity it halves the gap at least and beats chance, for 2 seeds",
            why=_UNFAIR_WHY,
            run=partial(_the_gap_shrinks, module, params),
        ),
        Check(
            name="on fair rows neither the gap nor the accuracy moves beyond noise, for 2 seeds",
            why=_FAIR_WHY,
            run=partial(_fair_stays_fair, module, params),
        ),
    )


def _before_and_after(module: ModuleType, params: Any, seed: int, *, lean: float) -> tuple[float, float, float, float]:
    fresh = planted_in_x(4000, "test", seed, lean=lean)
    before = parity_gap_and_accuracy(trained(None, params, seed, lean=lean).model, fresh)
    after = parity_gap_and_accuracy(trained(module, params, seed, lean=lean).model, fresh)
    return (*before, *after)


def _the_gap_shrinks(module: ModuleType, params: Any) -> None:
    for seed in range(2):
        before, _, after, accuracy = _before_and_after(module, params, seed, lean=0.8)
        assert after < before / 2, f"seed {seed}: the gap went from {before:.3f} to {after:.3f}, expected half"
        assert accuracy > 0.65, f"seed {seed}: accuracy is {accuracy:.3f}, expected above .65"


def _fair_stays_fair(module: ModuleType, params: Any) -> None:
    for seed in range(2):
        before, right, after, still_right = _before_and_after(module, params, seed, lean=0.0)
        # Rates of 500 rows, by which the defenses go, have a standard error of .045 as differences of two groups.
        assert after < before + 0.1, f"seed {seed}: the gap went from {before:.3f} to {after:.3f} on fair rows"
        assert still_right > right - 0.03, f"seed {seed}: accuracy fell from {right:.3f} to {still_right:.3f}"


def _no_better_thresholds() -> None:
    draw = np.random.default_rng(int(torch.randint(2**31, (), generator=generator("fairness check", "tables"))))
    for table in range(20):
        rows = small_table(draw)
        found = evaluated(rows, best_thresholds(rows, (0, 1), tolerance=0.2, balanced=False))
        best = max(
            right for pair in product(cuts(rows), repeat=2) for right, gap in [evaluated(rows, pair)] if gap <= 0.2
        )
        assert found == (best, found[1]), f"table {table}: {found[0]} rows are right, {best} could be"
        assert found[1] <= 0.2 + 1e-9, f"table {table}: the gap is {found[1]:.3f}, allowed is .2"


def small_table(draw: np.random.Generator) -> Scored:
    """Return 14 rows of two groups with margins that are not all different."""
    positive, group = draw.random(14) < 0.5, np.arange(14) % 2
    margin = np.round(draw.normal(size=14) + positive + 0.7 * group, 1).astype(np.float64)
    return Scored(margin=margin, positive=positive, counted=np.ones(14, dtype=np.bool_), group=group)


def cuts(rows: Scored) -> Any:
    """Return a threshold in each place where one can be."""
    return np.append(np.unique(rows.margin) - 0.05, rows.margin.max() + 1)


def evaluated(rows: Scored, thresholds: Any) -> tuple[int, float]:
    """Return how many rows are right, and how far apart the rates of the two groups are, under thresholds."""
    chosen = rows.margin > np.asarray(thresholds)[rows.group]
    rates = [chosen[rows.counted & (rows.group == group)].mean() for group in (0, 1)]
    return int((chosen == rows.positive).sum()), abs(float(rates[0] - rates[1]))


def _fairlearns_features() -> None:
    rows = planted_in_x(300, "layer", lean=0.8)
    seen = remover.fitted_layer(rows, 0, alpha=0.6).remove(rows.x)
    expected = CorrelationRemover(sensitive_feature_ids=[2, 3], alpha=0.6).fit_transform(rows.x.double().numpy())
    off = float(np.abs(seen[:, :2].numpy() - expected).max())
    assert off < 1e-5, f"the features are off by {off:.1e} from fairlearn's"
    assert not seen[:, 2:].any(), "the group's own features are not 0"
