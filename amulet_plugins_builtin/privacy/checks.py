"""Checks of DP-SGD: its account against published numbers, its gradient against clipping row by row."""

import math

import torch
from torch import Tensor, nn
from torch.func import grad, stack_module_state, vmap

from amulet_core.checks import Check
from amulet_core.data import Data, make_data
from amulet_core.schema import DataSchema, Feasible, Sensitive
from amulet_core.settings import TrainingSettings
from amulet_core.streams import generator, isolated
from amulet_core.training.losses import AXES, as_function, only_model
from amulet_core.training.parts import plain_training, weighted_cross_entropy
from amulet_core.training.values import Batch, Bundle, Problem, Streams, TrainingContext
from amulet_plugins_builtin.catalogue.privacy import DpSgdParams
from amulet_plugins_builtin.privacy.accounting import PrivacySpent, epsilon_spent, noise_for
from amulet_plugins_builtin.privacy.clipping import ClippedNoisyGradient
from amulet_plugins_builtin.privacy.dp_sgd import train

_SCHEMA = DataSchema(
    modality="tabular",
    shape=(4,),
    classes=("no", "yes"),
    sensitive=(Sensitive(name="group", categories=("a", "b")),),
    feasible=Feasible(low=-5.0, high=5.0),
)


def dp_sgd() -> tuple[Check, ...]:
    """Return the checks of ``dp-sgd``."""
    return (
        Check(
            name="Renyi's epsilon is the published one for noise 1.5, rate .04, 2250 steps, delta 1e-5",
            why="another conversion or sampling assumption would state a privacy that training does not give",
            run=_epsilon_is_the_published_one,
        ),
        Check(
            name="the noise for epsilon 8 over 90 epochs at rate .04 is the published 1.416",
            why="a target epsilon would be missed",
            run=_noise_is_the_published_one,
        ),
        Check(
            name="without noise the gradient is that of clipping each row's gradient by itself",
            why="norms that miss a layer leave rows unclipped, and epsilon is then a fiction",
            run=_ghost_clipping_equals_brute_force,
        ),
        Check(
            name="the noise of an empty batch has deviation noise_multiplier x max_grad_norm / expected batch size",
            why="less noise than accounted for voids epsilon",
            run=_noise_has_its_deviation,
        ),
        Check(
            name="a separable task is still learnt at a generous epsilon, and the account keeps to the target",
            why="a defense that never learns would look private for the wrong reason",
            run=_a_separable_task_is_learnt,
        ),
    )


def clipped_row_by_row(problem: Problem, batch: Batch, *, max_grad_norm: float, expected: float) -> dict[str, Tensor]:
    """Return the clipped sum over ``expected`` from every row's own gradient: the definition, slow and plain.

    Abadi et al. 1607.00133, algorithm 1, without noise. The norm spans all parameters of the bundle; 1e-6 is added to
    it, as opacus does.
    """
    params = {name: value[0].detach() for name, value in problem.params.items()}
    fixed = {name: value[0] for name, value in problem.fixed.items()}
    frozen = as_function(problem.skeleton, params | fixed)

    def loss(own: dict[str, Tensor], row: Batch) -> Tensor:
        draws = {name: draw[None] for name, draw in row.draws.items()}
        one = Batch(row.x[None], row.y[None], row.z[None], row.w[None], draws)
        return problem.objective(as_function(problem.skeleton, own | fixed), frozen, one).sum()

    gradients = vmap(grad(loss), in_dims=(None, AXES))(params, only_model(batch))
    norms = torch.stack([value.flatten(1).norm(dim=1) for value in gradients.values()]).norm(dim=0)
    keep = (max_grad_norm / (norms + 1e-6)).clamp(max=1)
    return {name: torch.tensordot(keep, value, 1)[None] / expected for name, value in gradients.items()}


def _epsilon_is_the_published_one() -> None:
    found = epsilon_spent(1.5, 0.04, steps=2250, delta=1e-5)["rdp"]
    assert math.isclose(found, 7.32911117143, abs_tol=1e-8), f"epsilon is {found}, published 7.32911117143"


def _noise_is_the_published_one() -> None:
    found = noise_for(8.0, delta=1e-5, sample_rate=0.04, steps=2250, accountant="rdp")
    assert abs(found - 1.416) <= 1e-3, f"noise is {found}, published 1.416 (within .001)"


def _planted(n: int, *key: str | int) -> Data:
    """Return rows whose class is the sign of their first feature."""
    x = torch.randn(n, 4, generator=generator("dp-sgd check", *key)).clamp(-5, 5)
    return make_data(x, (x[:, 0] > 0).long(), _SCHEMA, z=torch.zeros(n, 1, dtype=torch.int64))


def _network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def _problem(noise: torch.Generator) -> Problem:
    with isolated("dp-sgd check", "network"):
        bundle = Bundle({"model": _network()})
    stacked, fixed = stack_module_state([bundle])
    params = {name: value.detach().requires_grad_() for name, value in stacked.items()}
    return Problem(bundle.to("meta"), params, fixed, weighted_cross_entropy, [noise])


def _ghost_clipping_equals_brute_force() -> None:
    data = _planted(16, "clipping")
    batch = Batch(data.x[None], data.y[None], data.z[None], torch.linspace(0, 4, 16)[None], {})
    problem = _problem(torch.Generator())
    found = ClippedNoisyGradient(0.0, 0.3, expected_batch_size=16).start(problem)(batch)
    for name, expected in clipped_row_by_row(problem, batch, max_grad_norm=0.3, expected=16).items():
        error = float((found[name] - expected).abs().max())
        assert error < 1e-6, f"{name} is off by {error:.2e} from clipping row by row, expected below 1e-6"


def _noise_has_its_deviation() -> None:
    empty = _planted(1).take(torch.zeros(0, dtype=torch.int64))
    batch = Batch(empty.x[None], empty.y[None], empty.z[None], empty.w[None], {})
    step = ClippedNoisyGradient(2.0, 3.0, expected_batch_size=10).start(_problem(torch.Generator().manual_seed(0)))
    drawn = torch.cat([value.flatten() for _ in range(100) for value in step(batch).values()])
    found, allowed = float(drawn.std()), 4 * 0.6 / math.sqrt(2 * len(drawn))
    assert abs(found - 0.6) < allowed, f"the noise's deviation is {found:.4f}, expected .6 within {allowed:.4f}"


def _a_separable_task_is_learnt() -> None:
    rows = _planted(500, "learning")
    settings = TrainingSettings(epochs=10, learning_rate=0.02)
    plain = plain_training(_network, settings, stackable=True)
    private = train(
        plain, DpSgdParams(epsilon=8, accountant="rdp"), TrainingContext(rows=500, schema=_SCHEMA, settings=settings)
    )
    (fitted,) = private.fit(private, [rows], [rows], [Streams(("dp-sgd check",))])
    found = float((fitted.model(rows.x).argmax(1) == rows.y).float().mean())
    spent: PrivacySpent = fitted.evidence["privacy"]
    assert found > 0.8, f"accuracy is {found:.3f} on a separable task, expected above .8"
    assert 7.9 < spent.epsilon_rdp <= 8, f"epsilon spent is {spent.epsilon_rdp:.3f}, expected at most 8 and close to it"
