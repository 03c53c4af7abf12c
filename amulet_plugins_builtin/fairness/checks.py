"""Checks of the fairness defenses and metric, on rows whose unfairness was planted."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from amulet_core.checks import Check
from amulet_core.data import Data, make_data
from amulet_core.games.behavior import BehaviorResult
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator, isolated
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Streams, Training, TrainingContext
from amulet_plugins_builtin.catalogue.fairness import (
    AdversarialDebiasingParams,
    GroupFairnessParams,
    ReweighingParams,
)
from amulet_plugins_builtin.fairness.adversarial_debiasing import reverse, train
from amulet_plugins_builtin.fairness.metric import group_fairness
from amulet_plugins_builtin.fairness.reweighing import reweigh

_SCHEMA = DataSchema(
    modality="tabular",
    shape=(2,),
    classes=("refused", "hired"),
    sensitive=(Sensitive(name="group", categories=("a", "b")),),
    feasible=Feasible(low=-6.0, high=6.0),
)


def reweighing() -> tuple[Check, ...]:
    """Return the checks of ``reweighing``."""
    return (
        Check(
            name="the paper's example of ten applicants gets the paper's weights",
            why="weights the wrong way round would deepen the disparity",
            run=_the_papers_weights,
        ),
        Check(
            name="under the weights the groups are hired equally often, and the sum of weights is kept",
            why="a changed sum would change the step size of training",
            run=_weighted_parity,
        ),
    )


def adversarial_debiasing() -> tuple[Check, ...]:
    """Return the checks of ``adversarial-debiasing``."""
    return (
        Check(
            name="the model's gradient is the task's minus strength x the adversary's, whose own is not turned",
            why="a wrong sign would train the model to reveal the group",
            run=_the_gradient_is_reversed,
        ),
        Check(
            name="on rows with a planted disparity it closes part of the gap and stays accurate, for 3 seeds",
            why="a defense without effect would be measured as harmless",
            run=_the_gap_shrinks,
        ),
        Check(
            name="at strength 0 the model is bit for bit the undefended one",
            why="a difference would be blamed on debiasing though it is none of its doing",
            run=_strength_zero_changes_nothing,
        ),
    )


def group_fairness_checks() -> tuple[Check, ...]:
    """Return the checks of ``group-fairness``."""
    return (
        Check(
            name="predicting the group is unfair to the full, predicting one class for all is fair",
            why="both ends of the scale must be where they belong",
            run=_the_ends_of_the_scale,
        ),
        Check(
            name="between equally treated groups the interval holds 0 in at least 17 of 20 draws",
            why="an interval that misses the truth would report unfairness where there is none",
            run=_equal_treatment_is_within_the_interval,
        ),
    )


def planted(n: int, *key: str | int) -> Data:
    """Return rows whose label leans on merit and, unfairly, on the group, which the second feature gives away."""
    draw = generator("fairness check", *key)
    z, merit = torch.randint(2, (n,), generator=draw), torch.randn(n, generator=draw)
    noise = 0.3 * torch.randn(3, n, generator=draw)
    side = (2 * z - 1).float()
    y = (merit + 0.8 * side + noise[0] > 0).long()
    x = torch.stack([merit + noise[1], side + noise[2]], 1).clamp(-6, 6)
    return make_data(x, y, _SCHEMA, z=z[:, None])


def planted_training(*, strength: float | None) -> Training:
    """Return quick training for ``planted`` rows: undefended, or debiased with a strength."""
    settings = TrainingSettings(epochs=15, learning_rate=0.01)
    plain = plain_training(
        lambda: nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2)), settings, stackable=True
    )
    if strength is None:
        return plain
    context = TrainingContext(rows=600, schema=_SCHEMA, settings=settings)
    return train(plain, AdversarialDebiasingParams(strength=strength), context)


def parity_gap_and_accuracy(model: nn.Module, rows: Data) -> tuple[float, float]:
    """Return how far apart the groups are hired, and how often the model is right."""
    hired = model(rows.x).argmax(1)
    rates = [float(hired[rows.z[:, 0] == group].float().mean()) for group in (0, 1)]
    return abs(rates[0] - rates[1]), float((hired == rows.y).float().mean())


def _model(seed: int, *, strength: float | None) -> nn.Module:
    training, rows = planted_training(strength=strength), planted(600, seed)
    (fitted,) = training.fit(training, [rows], [rows], [Streams(("fairness check", seed))])
    return fitted.model


def _the_papers_weights() -> None:
    # Kamiran & Calders 2012, section 5.2: 5 women (2 hired), 5 men (4 hired).
    z, y = torch.tensor([0] * 5 + [1] * 5), torch.tensor([1, 1, 0, 0, 0, 1, 1, 1, 1, 0])
    found = reweigh(make_data(torch.zeros(10, 2), y, _SCHEMA, z=z[:, None]), ReweighingParams()).w
    expected = torch.tensor([1.5, 1.5, 2 / 3, 2 / 3, 2 / 3, 0.75, 0.75, 0.75, 0.75, 2.0])
    assert torch.allclose(found, expected, atol=1e-6), f"weights are {found.tolist()}, the paper's {expected.tolist()}"


def _weighted_parity() -> None:
    rows = reweigh(planted(500, "parity"), ReweighingParams())
    share = [_weighted_share(rows, group) for group in (0, 1)]
    assert abs(share[0] - share[1]) < 1e-6, f"weighted shares are {share[0]:.6f} and {share[1]:.6f}, expected equal"
    total = float(rows.w.double().sum())
    assert abs(total - 500) < 1e-3, f"the weights sum to {total:.4f}, expected 500"


def _weighted_share(rows: Data, group: int) -> float:
    own = rows.z[:, 0] == group
    return float((rows.w * rows.y)[own].double().sum() / rows.w[own].double().sum())


def _the_gradient_is_reversed() -> None:
    strength = 2.5
    with isolated("fairness check", "gradient"):
        model, adversary = nn.Linear(2, 2).double(), nn.Linear(2, 2).double()
    rows = planted(50, "gradient")
    logits, z = model(rows.x.double()), rows.z[:, 0]
    task = cross_entropy(logits, rows.y)
    turned = task + cross_entropy(adversary(reverse(log_softmax(logits, -1), strength)), z)
    straight = cross_entropy(adversary(log_softmax(logits, -1)), z)

    def gradients(loss: Tensor, of: nn.Module) -> Tensor:
        parts = torch.autograd.grad(loss, list(of.parameters()), retain_graph=True)
        return torch.cat([part.flatten() for part in parts])

    expected = gradients(task, model) - strength * gradients(straight, model)
    off = float((gradients(turned, model) - expected).abs().max())
    assert off < 1e-9, f"the model's gradient is off by {off:.2e} from task - {strength} x adversary"
    off = float((gradients(turned, adversary) - gradients(straight, adversary)).abs().max())
    assert off < 1e-9, f"the adversary's gradient is off by {off:.2e} from its own loss's"


def _the_gap_shrinks() -> None:
    for seed in range(3):
        fresh = planted(4000, "test", seed)
        before, _ = parity_gap_and_accuracy(_model(seed, strength=None), fresh)
        after, accuracy = parity_gap_and_accuracy(_model(seed, strength=3.0), fresh)
        assert after < before - 0.1, f"seed {seed}: the gap went from {before:.3f} to {after:.3f}, expected .1 less"
        assert accuracy > 0.75, f"seed {seed}: accuracy is {accuracy:.3f}, expected above .75"


def _strength_zero_changes_nothing() -> None:
    plain, debiased = (_model(0, strength=strength).state_dict() for strength in (None, 0.0))
    changed = [name for name, value in plain.items() if not torch.equal(value, debiased[name])]
    assert not changed, f"the weights {changed} differ from the undefended model's, expected none to"


def _result(predictions: Tensor, y: Tensor, z: Tensor) -> BehaviorResult:
    probabilities = torch.nn.functional.one_hot(predictions, 2).float()
    return BehaviorResult(probabilities=probabilities, y=y, z=z[:, None], attribute=0, data_schema=_SCHEMA)


def _the_ends_of_the_scale() -> None:
    z, y = torch.arange(200) % 2, torch.arange(200) // 100
    for predictions, expected in ((z, 1.0), (torch.ones_like(z), 0.0)):
        scores = group_fairness(_result(predictions, y, z), GroupFairnessParams())
        found = [scores[name].estimate for name in ("demographic_parity_difference", "equalized_odds_difference")]
        assert found == [expected] * 2, f"parity and odds differences are {found}, expected {expected} twice"


def _equal_treatment_is_within_the_interval() -> None:
    draw, covered = generator("fairness check", "coverage"), 0
    for _ in range(20):
        predictions, y, z = (torch.randint(2, (200,), generator=draw) for _ in range(3))
        value = group_fairness(_result(predictions, y, z), GroupFairnessParams(permutations=20))
        covered += value["demographic_parity_difference"].low == 0
    assert covered >= 17, f"the interval held 0 in {covered} of 20 draws, expected at least 17"
