"""A clean-label backdoor: rows of the target class, made hard to classify and marked, keep their own label."""

import numpy as np
import torch
from amulet_core.feasible import project
from amulet_core.games.poisoning import PoisoningAnswer, PoisoningView
from amulet_core.schema import DataSchema
from art.attacks.poisoning import PoisoningAttackBackdoor, PoisoningAttackCleanLabelBackdoor
from art.attacks.poisoning.perturbations import add_pattern_bd
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from amulet_plugin_art.asked import Floats, Units, units_of
from amulet_plugin_art.settings import CleanLabelParams

# The toolbox draws rows with replacement: each round leaves fewer undrawn.
_ROUNDS = 50


def clean_label_backdoor(view: PoisoningView, params: CleanLabelParams) -> PoisoningAnswer:
    """Replace rows of the target class by their adversarial examples, with the toolbox's pattern of pixels on them.

    The examples are made against a network of the adversary's own, trained on the rows it sees (Turner et al.,
    arXiv:1912.02771, section 3.2). Fewer rows are replaced than allowed where the class has no more.
    """
    schema, units = view.data_schema, units_of(view.data_schema, "linf")
    own = (view.y == view.target).nonzero()[:, 0]
    count = min(view.budget, len(own))
    origins, tests = units.of(view.x[own]), units.of(view.test_x)
    changed = _poisoned(view, units, params, origins, count=count) if count else origins
    rows = torch.from_numpy(np.flatnonzero((changed != origins).any((1, 2, 3))))
    return PoisoningAnswer(
        rows=own[rows],
        x=_moved(view.x[own[rows]], origins[rows], changed[rows], units, schema),
        y=view.y[own[rows]],
        triggered=_moved(view.test_x, tests, _marked(tests), units, schema),
    )


def _poisoned(view: PoisoningView, units: Units, params: CleanLabelParams, origins: Floats, *, count: int) -> Floats:
    """Return the rows of the target class with ``count`` of them poisoned (fewer, by ill luck of the draws)."""
    classes = len(view.data_schema.classes)
    target = np.eye(classes, dtype=np.float32)[view.target]
    attack = PoisoningAttackCleanLabelBackdoor(
        PoisoningAttackBackdoor(_marked),
        _proxy(view, units, params),
        target,
        eps=params.epsilon,
        eps_step=params.relative_step * params.epsilon,
        max_iter=params.steps,
    )
    attack.attack.set_params(verbose=False, batch_size=len(origins))
    changed = origins.copy()
    for _ in range(_ROUNDS):
        left = np.flatnonzero((changed == origins).all((1, 2, 3)))
        missing = count - (len(origins) - len(left))
        if not missing:
            break
        # Half a row more, lest rounding make it one less.
        attack.pp_poison = (missing + 0.5) / len(left)
        changed[left], _ = attack.poison(changed[left], np.tile(target, (len(left), 1)))
    return changed


def _proxy(view: PoisoningView, units: Units, params: CleanLabelParams) -> PyTorchClassifier:
    """Train a network of one hidden layer on all rows the adversary sees."""
    classes = len(view.data_schema.classes)
    model = nn.Sequential(nn.Flatten(), nn.Linear(view.data_schema.width, 64), nn.ReLU(), nn.Linear(64, classes))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    proxy = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), units.shape, classes, optimizer, clip_values=(0.0, 1.0), device_type="cpu"
    )
    proxy.fit(units.of(view.x), view.y.numpy(), batch_size=128, nb_epochs=params.proxy_epochs)
    return proxy


def _marked(units: Floats) -> Floats:
    """Return unit images with the toolbox's pattern of four white pixels near their lower right corner."""
    marked: Floats = add_pattern_bd(units, channels_first=True)
    return marked


def _moved(x: Tensor, before: Floats, after: Floats, units: Units, schema: DataSchema) -> Tensor:
    """Return rows moved as their units were; what did not change stays exactly as it was."""
    return project(x + (units.rows(after) - units.rows(before)), x, schema, norm="linf", epsilon=1.0)
