"""What differentially private training spends: epsilon from noise, and noise from a target epsilon."""

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, TypedDict

import numpy as np
from opacus.accountants import PRVAccountant, RDPAccountant
from opacus.accountants.utils import get_noise_multiplier
from pydantic import Field

from amulet_core.schema import Finite, Frozen
from amulet_plugins_builtin.catalogue.privacy import Accountant

LARGEST: Final = 1000.0
"""The largest epsilon that is accounted for: beyond it nothing is promised, and PRV composition needs gigabytes."""


TO_CITE: Final = (
    "epsilon_prv: a valid bound, as its numerical error of at most 0.01 is added, and as a rule the tighter one; "
    "epsilon_rdp, a bound by other means, is the conservative check"
)
"""Which epsilon of an account to cite: opacus' PRV accountant returns the upper end of what it computes."""


class EpsilonSpent(TypedDict):
    """Epsilon by Renyi DP (looser) and by numerical composition of privacy loss variables (tighter)."""

    rdp: float
    prv: float


class PrivacySpent(Frozen):
    """The privacy account of a model: (epsilon, delta) for adding or removing one training row.

    It holds given the output of the parts of the recipe in ``conditional_on``, which saw private rows themselves.
    """

    epsilon_rdp: Finite
    epsilon_prv: Finite
    delta: Finite
    noise_multiplier: Finite
    sample_rate: Finite
    steps: int = Field(ge=1)
    max_grad_norm: Finite
    neighbouring: Literal["add/remove one row"] = "add/remove one row"
    conditional_on: tuple[str, ...] = ()
    to_cite: str = TO_CITE


@functools.lru_cache(maxsize=256)
def epsilon_spent(noise_multiplier: float, sample_rate: float, *, steps: int, delta: float) -> EpsilonSpent:
    """Return the epsilon at ``delta`` of ``steps`` Gaussian mechanisms on Poisson samples of rate ``sample_rate``.

    Sources: Mironov et al. 1908.10530 (RDP; converted as Canonne et al. 2004.00010); Gopi et al. 2106.02848 (PRV).

    Raises:
        ValueError: if the noise is so small that epsilon by Renyi DP exceeds ``LARGEST``.
    """
    rdp, prv = RDPAccountant(), PRVAccountant()
    rdp.history = [(noise_multiplier, sample_rate, steps)]
    prv.history = [(noise_multiplier, sample_rate, steps)]
    with _quiet():
        loose = float(rdp.get_epsilon(delta=delta))
        if not loose <= LARGEST:
            raise ValueError(
                f"dp-sgd: the noise is too small for a meaningful epsilon: noise_multiplier "
                f"{noise_multiplier:g} spends {loose:.3g} (Renyi DP) at delta {delta:g} in {steps} steps of sampling "
                f"rate {sample_rate:.3g}, more than {LARGEST:g}; raise noise_multiplier, or give epsilon instead"
            )
        return {"rdp": loose, "prv": float(prv.get_epsilon(delta=delta))}


@functools.lru_cache(maxsize=256)
def noise_for(
    target_epsilon: float, *, delta: float, sample_rate: float, steps: int, accountant: Accountant = "prv"
) -> float:
    """Return the noise multiplier whose epsilon is at most ``target_epsilon``, and less by at most .01 (or .1 %).

    Raises:
        ValueError: if no noise reaches the target.
    """
    try:
        with _quiet():
            return float(
                get_noise_multiplier(
                    target_epsilon=target_epsilon,
                    target_delta=delta,
                    sample_rate=sample_rate,
                    steps=steps,
                    accountant=accountant,
                    epsilon_tolerance=max(0.01, target_epsilon / 1000),
                )
            )
    except ValueError as error:
        raise ValueError(
            f"dp-sgd: no noise gives epsilon {target_epsilon:g} at delta {delta:g} in {steps} steps of sampling rate "
            f"{sample_rate:.3g} by the {accountant} accountant ({error}); raise epsilon, or train in fewer steps"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what is expected: log 0 at sampling rate 1, and a hint that Renyi's bound is loose for tiny epsilons."""
    with np.errstate(divide="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the (largest|smallest) alpha")
        yield
