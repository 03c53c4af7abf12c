"""Known-answer and power checks of the defenses against poisoning, on planted rows."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.data import Data
from amulet_core.games.poisoning import PoisoningAnswer, PoisoningView
from amulet_core.streams import generator
from amulet_core.training.values import Training, TrainingContext
from amulet_plugins_builtin.catalogue.poisoning import BadnetsParams
from amulet_plugins_builtin.catalogue.poisoning_defenses import (
    ActivationClusteringParams,
    FinePruningParams,
    OutlierRemovalParams,
    SpectralSignaturesParams,
)
from amulet_plugins_builtin.poisoning import (
    activation_clustering,
    badnets,
    fine_pruning,
    outlier_removal,
    planted,
    spectral_signatures,
)
from amulet_plugins_builtin.poisoning.knn_shapley import knn_shapley

Protect = Callable[[Training, TrainingContext], Training]

_SOURCE = 1
_HARMLESS = "it costs less than .02 accuracy on clean rows"
_WHY_HARMLESS = "a defense is measured on clean models too: what it costs there is part of its price"
_WHY_POWER = "a defense that leaves the backdoor in does nothing"


def outlier_removal_checks() -> tuple[Check, ...]:
    """Return the checks of ``outlier-removal``."""

    def protect(training: Training, context: TrainingContext) -> Training:
        return outlier_removal.train(training, OutlierRemovalParams(), context)

    return (
        Check(
            "the values are the Shapley values by all 256 subsets of 8 rows, for K = 1, 3, 5, 8, and sum to v(N)",
            "an approximation, or the recursion one place off, ranks other rows last",
            equal_the_definition,
        ),
        Check(
            "rows with flipped labels in two separate clouds are valued lowest, all of them",
            "the rows that are removed must be those that do harm",
            ranks_flipped_rows_last,
        ),
        _power(protect),
        Check(_HARMLESS, _WHY_HARMLESS, lambda: costs_little(protect)),
    )


def fine_pruning_checks() -> tuple[Check, ...]:
    """Return the checks of ``fine-pruning``."""

    def protect(training: Training, context: TrainingContext) -> Training:
        return fine_pruning.train(training, FinePruningParams(), context)

    return (
        _power(protect),
        Check(_HARMLESS, _WHY_HARMLESS, lambda: costs_little(protect)),
        Check(
            "pruned units stay pruned through fine-tuning",
            "tuning that revives them revives what they were pruned for",
            lambda: keeps_units_pruned(protect),
        ),
        Check(
            "units of known activity are pruned least active first, as many as accuracy allows",
            "another order prunes what clean rows need and keeps what they leave to a backdoor",
            prunes_the_least_active_units,
        ),
    )


def activation_clustering_checks() -> tuple[Check, ...]:
    """Return the checks of ``activation-clustering``."""
    params = ActivationClusteringParams()

    def protect(training: Training, context: TrainingContext) -> Training:
        return activation_clustering.train(training, params, context)

    return (
        Check(
            "of two clouds of activations the small one that stands apart is suspected, and no part of a single cloud",
            "suspecting the large cloud would keep the poison and drop the rest",
            lambda: suspects_the_small_cloud(
                partial(activation_clustering.small_cluster, draws=generator("clusters check"), params=params)
            ),
        ),
        _power(protect),
        _power_among_ten(protect, poison=30),
        Check(_HARMLESS, _WHY_HARMLESS, lambda: costs_little(protect)),
    )


def spectral_signatures_checks() -> tuple[Check, ...]:
    """Return the checks of ``spectral-signatures``."""

    def protect(training: Training, context: TrainingContext) -> Training:
        return spectral_signatures.train(training, SpectralSignaturesParams(), context)

    return (
        Check(
            "scores are the squared projections on the top direction, here known, whatever the mean",
            "without centring, the top direction is that of the mean, and poison does not stand out",
            projects_on_the_top_direction,
        ),
        _power(protect),
        _power_among_ten(protect, poison=18),
        Check(_HARMLESS, _WHY_HARMLESS, lambda: costs_little(protect)),
    )


def _power(protect: Protect) -> Check:
    return Check(
        "a planted backdoor that works on 9 of 10 inputs works on fewer than 3 of 10 with it, at little cost",
        _WHY_POWER,
        lambda: removes_the_backdoor(protect),
    )


def _power_among_ten(protect: Protect, *, poison: int) -> Check:
    return Check(
        f"of ten classes, a backdoor from one to another in {poison} of 600 rows works on 9 of 10 inputs, and on fewer "
        "than 3 of 10 with it",
        "of ten classes the target is a tenth of the rows: poison is a large share of it, of two classes a small one",
        lambda: removes_the_backdoor_among_ten(protect, poison=poison),
    )


def removes_the_backdoor_among_ten(protect: Protect, *, poison: int) -> None:
    """Train on rows of ten classes of which one has a trigger that makes it another, with and without the defense."""
    train, test, val = (planted.ten_pictures(rows=rows, seed=seed) for seed, rows in enumerate((600, 300, 200)))
    game = planted.poisoned(_from_one_class, train, test, budget=poison)
    _expect_removed(protect, game, val, source=_SOURCE)


def _from_one_class(view: PoisoningView) -> PoisoningAnswer:
    """Set a trigger in rows of one class alone, as in the papers' experiments (airplane to bird, 0 to 1)."""
    rows = (view.y == _SOURCE).nonzero()[: view.budget, 0]
    x, triggered = (
        badnets.triggered(given, view.data_schema, BadnetsParams()) for given in (view.x[rows], view.test_x)
    )
    y = torch.full((len(rows),), view.target)
    return PoisoningAnswer(rows=rows, x=x, y=y, triggered=triggered, source=_SOURCE)


def removes_the_backdoor(protect: Protect) -> None:
    """Train on rows with a planted backdoor, with and without the defense."""
    train, test, val = _rows()
    game = planted.poisoned(partial(badnets.attack, params=BadnetsParams()), train, test, budget=30)
    _expect_removed(protect, game, val)


def _expect_removed(protect: Protect, game: planted.Poisoned, val: Data, *, source: int | None = None) -> None:
    plain = planted.training(game.rows.schema)
    before = game.success(planted.fitted(plain, game.rows, val).model, source=source)
    model = planted.fitted(protect(plain, planted.context(game.rows)), game.rows, val).model
    after, accuracy = game.success(model, source=source), game.accuracy(model)
    assert before > 0.9, f"undefended success rate {before:.3f}, expected above .9 (the backdoor is planted)"
    assert after < 0.3, f"defended success rate {after:.3f}, expected below .3"
    assert accuracy > 0.95, f"defended accuracy {accuracy:.3f}, expected above .95"


def costs_little(protect: Protect) -> None:
    """Train on clean rows, with and without the defense."""
    train, test, val = _rows()
    plain = planted.training(train.schema)
    models = [planted.fitted(how, train, val).model for how in (plain, protect(plain, planted.context(train)))]
    before, after = (float((model(test.x).argmax(1) == test.y).float().mean()) for model in models)
    assert after > before - 0.02, f"accuracy went from {before:.3f} to {after:.3f} on clean rows, expected .02 less"


def equal_the_definition() -> None:
    """Compare the recursion with the definition, and its sum with the value of all rows."""
    draws = generator("shapley check")
    x, y = torch.rand(8, 3, generator=draws), torch.randint(0, 3, (8,), generator=draws)
    val_x, val_y = torch.rand(6, 3, generator=draws), torch.randint(0, 3, (6,), generator=draws)
    near = torch.cdist(val_x.double(), x.double()).argsort(dim=1)
    for neighbours in (1, 3, 5, 8):
        found = torch.from_numpy(knn_shapley(x, y, val_x, val_y, neighbours=neighbours))
        expected = planted.shapley_by_subsets(x, y, val_x, val_y, neighbours=neighbours)
        off = float((found - expected).abs().max())
        assert off < 1e-12, f"K = {neighbours}: values are off by {off:.2e} from those by all subsets, expected 0"
        hits = (y[near[:, :neighbours]] == val_y[:, None]).double().sum(1) / neighbours
        off = abs(float(found.sum() - hits.mean()))
        assert off < 1e-12, f"K = {neighbours}: the values' sum is off by {off:.2e} from v(N), expected 0"


def ranks_flipped_rows_last() -> None:
    """Flip labels in two clouds that do not touch."""
    draws = generator("blobs check")
    truth = torch.arange(200) % 2
    x = 0.3 * torch.randn(200, 2, generator=draws) + 4 * truth[:, None]
    flipped = torch.randperm(200, generator=draws)[:20]
    y = truth.clone()
    y[flipped] = 1 - y[flipped]
    val_y = torch.arange(100) % 2
    val_x = 0.3 * torch.randn(100, 2, generator=draws) + 4 * val_y[:, None]
    values = knn_shapley(x, y, val_x, val_y, neighbours=5)
    lowest = set(values.argsort()[:20].tolist())
    right = len(lowest & set(flipped.tolist()))
    assert right == 20, f"{right} of 20 flipped rows are among the 20 lowest values, expected all"


def keeps_units_pruned(protect: Protect) -> None:
    """Count the zero columns of the head against the evidence."""
    train, _, val = _rows()
    plain = planted.training(train.schema)
    fitted = planted.fitted(protect(plain, planted.context(train)), train, val)
    (weight,) = [value for name, value in fitted.model.state_dict().items() if name == "head.weight"]
    found, expected = int((weight == 0).all(0).sum()), fitted.evidence["fine-pruning"].pruned
    assert 0 < expected == found, f"{found} units are without weight, and {expected} were pruned; expected equal counts"


def prunes_the_least_active_units() -> None:
    """Prune three units: without unit 1 or 0 all rows of a class are wrong, which costs half of the accuracy."""
    data = planted.units_of_known_activity()
    for drop, expected in ((0.0, [2]), (0.4, [2]), (0.5, [2, 1, 0])):
        found = fine_pruning.idle_units(planted.ThreeUnits(), data, accuracy_drop=drop).tolist()
        assert found == expected, f"at a drop of {drop:g} units {found} are pruned, expected {expected}"


def suspects_the_small_cloud(suspect: Callable[[Tensor], Tensor]) -> None:
    """Split activations whose clouds are known."""
    draws = generator("clouds check")
    clouds = torch.randn(100, 20, generator=draws, dtype=torch.float64)
    found = int(suspect(clouds).sum())
    assert found == 0, f"{found} rows of a single cloud are suspected, expected 0"
    clouds[:20, 0] += 12
    found, wrong = int(suspect(clouds)[:20].sum()), int(suspect(clouds)[20:].sum())
    assert (found, wrong) == (20, 0), f"{found} of 20 rows apart and {wrong} others are suspected, expected 20 and 0"


def projects_on_the_top_direction() -> None:
    """Compare the scores with those of rows that vary along one known direction, far from the origin."""
    along = torch.tensor([3.0, -1.0, 2.0, -4.0, 0.0], dtype=torch.float64)
    direction = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
    far = torch.tensor([-80.0, 60.0, 50.0], dtype=torch.float64)
    found = spectral_signatures.scores(far + along[:, None] * direction)
    off = float((found - along.square()).abs().max())
    assert off < 1e-9, f"scores are off by {off:.2e} from the squared projections, expected 0"


def _rows() -> tuple[Data, Data, Data]:
    train, test, val = (planted.images(rows=rows, seed=seed) for seed, rows in enumerate((600, 300, 200)))
    return train, test, val
