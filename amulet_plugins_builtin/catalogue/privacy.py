"""The built-in privacy defenses: their descriptors and parameters. Imports nothing heavy."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from amulet_core.components import Component, Defense, Measure, Metric, NoParams, Params, Reference
from amulet_core.planned import Planned

Accountant = Literal["prv", "rdp"]


class DpSgdParams(Params):
    """The settings of DP-SGD: the noise follows from a target epsilon, or is given itself."""

    epsilon: float | None = Field(
        default=8.0, gt=0, le=100, description="the target epsilon; left out where noise_multiplier is given"
    )
    noise_multiplier: float | None = Field(
        default=None, gt=0, le=1000, description="the noise's deviation over max_grad_norm, in place of epsilon"
    )
    delta: float = Field(default=1e-5, gt=0, lt=1, description="the delta at which epsilon holds, below 1 / rows")
    max_grad_norm: float = Field(
        default=1.0, gt=0, le=1000, description="the L2 norm to which the gradient of each row is clipped"
    )
    accountant: Accountant = Field(
        default="prv", description="which accountant turns epsilon into noise; both report the epsilon spent"
    )
    learning_rate: float | None = Field(
        default=None, gt=0, le=10, description="the optimiser's step size (none: that of the training settings)"
    )
    batch_size: int | None = Field(
        default=None, ge=1, description="the expected rows of a batch (none: the training settings' batch size)"
    )
    conditional_on: tuple[str, ...] = Field(
        default=(),
        max_length=10,
        description="what sees private rows outside the accountant in this chain: epsilon holds given its output",
    )

    @model_validator(mode="before")
    @classmethod
    def _noise_replaces_the_default_target(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("noise_multiplier") is not None:
            return {"epsilon": None, **given}
        return given

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.epsilon is None) == (self.noise_multiplier is None):
            found = (
                "neither"
                if self.epsilon is None
                else f"epsilon {self.epsilon:g} and noise_multiplier {self.noise_multiplier:g}"
            )
            raise ValueError(
                f"give either epsilon (a target) or noise_multiplier, not both and not none; found {found}"
            )
        return self


def row_problems(params: DpSgdParams, *, batch_size: int, rows: int) -> list[str]:
    """List why so many training rows cannot be trained on privately in batches of such a size."""
    problems = []
    if batch_size > rows:
        problems.append(f"batch_size {batch_size} exceeds the {rows} training rows; lower it")
    if params.delta * rows >= 1:
        problems.append(
            f"delta {params.delta:g} is not below 1 / {rows} rows: releasing one whole row at random would satisfy it"
        )
    return problems


def _impossible(params: DpSgdParams, planned: Planned) -> list[str]:
    return row_problems(params, batch_size=params.batch_size or planned.training.batch_size, rows=planned.train)


_PACKAGE = "amulet_plugins_builtin.privacy"

COMPONENTS: tuple[Component, ...] = (
    Defense(
        name="dp-sgd",
        summary="Differentially private SGD: Poisson batches, clipped gradients, Gaussian noise, accounted epsilon.",
        target=f"{_PACKAGE}.dp_sgd:train",
        stages={"training": f"{_PACKAGE}.dp_sgd:train"},
        params=DpSgdParams,
        risk="membership-inference",
        sok="PD1",
        produces=("privacy",),
        accounts_privacy=True,
        impossible=_impossible,
        checks=f"{_PACKAGE}.checks:dp_sgd",
        references=(
            Reference(title="Abadi et al.: Deep Learning with Differential Privacy", where="arXiv:1607.00133"),
            Reference(title="Mironov et al.: Renyi DP of the Sampled Gaussian Mechanism", where="arXiv:1908.10530"),
            Reference(title="Gopi et al.: Numerical Composition of Differential Privacy", where="arXiv:2106.02848"),
            Reference(title="Li et al.: Large Language Models Can Be Strong DP Learners", where="arXiv:2110.05679"),
            Reference(title="Yousefpour et al.: Opacus", where="arXiv:2109.12298"),
        ),
    ),
    Metric(
        name="privacy-audit",
        summary="A lower bound on epsilon from guesses about audit rows, beside the epsilon that is claimed.",
        target=f"{_PACKAGE}.audit:measure",
        params=NoParams,
        risk="privacy-audit",
        measures=(
            Measure(
                name="audited_epsilon",
                summary="the largest epsilon that the guesses contradict at the claimed delta: a one-sided lower bound",
                better="lower",
            ),
            Measure(name="claimed_epsilon", summary="the epsilon that the defense accounts for", better="lower"),
            Measure(
                name="p_of_claim",
                summary="the largest chance of so many right guesses if the claim holds, not corrected",
                better="higher",
            ),
            Measure(name="right_guesses", summary="share of the guesses that are right", better="lower"),
        ),
        checks=f"{_PACKAGE}.audit_checks:metric",
        references=(
            Reference(
                title="Steinke, Nasr, Jagielski: Privacy Auditing with One (1) Training Run", where="arXiv:2305.08846"
            ),
        ),
    ),
)
