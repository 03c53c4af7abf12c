"""The metric of data reconstruction: errors beside those of answers that need no victim, and nearest rows."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from amulet_core.games.reconstruction import ReconstructionResult
from amulet_core.scores import Scores, Value, Withheld
from amulet_plugins_builtin.catalogue.reconstruction import ReconstructionMetricParams
from amulet_plugins_builtin.reconstruction.similarity import ssim
from amulet_plugins_builtin.reconstruction.units import to_units

FEWEST = 30
"""With fewer rows than this no interval is given: errors of rows are skewed, and both kinds need many of them."""
_LEVEL = 0.95
_NO_ROWS = "there are no such rows among those to be reconstructed"


def measure(result: ReconstructionResult, params: ReconstructionMetricParams) -> Scores:
    """Return the values declared in the catalogue; ``mse`` and those like it are on features scaled to 0 .. 1.

    Intervals are two-sided, 95 %, over the rows and given the answers: t for errors and similarities, cut to what these
    can be (at most 1), a bootstrap of rows for the relative error. PSNR (10 log10(1 / mse)) is that of the mean error,
    not the mean over images.
    """
    error, of_mean, of_zero = (_errors(result, of) for of in (result.x, result.class_mean, result.zero))
    inside = result.member
    return Scores(
        values=(
            _relative(result, error[inside], of_mean[inside], params),
            _mean("mse", error[inside]),
            _mean("mse_non_members", error[~inside]),
            _mean("mse_of_class_mean", of_mean[inside]),
            _mean("mse_of_zero", of_zero[inside]),
            _psnr("psnr", error[inside]),
            _psnr("psnr_non_members", error[~inside]),
            _similar("ssim", result, inside),
            _similar("ssim_non_members", result, ~inside),
            _nearest(result, members=True),
            _nearest(result, members=False),
        ),
        details={"reconstructed": f"{len(result.x)} inputs of the kind {result.kind}"},
    )


def _errors(result: ReconstructionResult, answer: Tensor) -> Tensor:
    """Return each row's mean squared error ``[m]`` over its features, in units."""
    schema = result.data_schema
    apart = to_units(answer[result.of], schema) - to_units(result.truth, schema)
    return apart.double().square().flatten(1).mean(1)


def _relative(
    result: ReconstructionResult, error: Tensor, of_mean: Tensor, params: ReconstructionMetricParams
) -> Value | Withheld:
    name = "relative_error"
    if result.kind != result.verdict:
        reason = f"the column's verdict is about attacks of the kind {result.verdict}, this one's is {result.kind}"
        return Withheld(name=name, reason=f"{reason} (threat.verdict)")
    if not len(error):
        return Withheld(name=name, reason="no training row was to be reconstructed")
    if not of_mean.sum():
        return Withheld(name=name, reason="the class mean is exact: every row is equal to it")
    estimate, few = float(error.sum() / of_mean.sum()), len(error) < FEWEST
    if few:
        method = f"ratio of two mean errors; no interval from {len(error)} rows (fewer than {FEWEST})"
        return Value(name=name, estimate=estimate, method=method, n=len(error))
    low, high = _bootstrapped(error.numpy(), of_mean.numpy(), params.resamples)
    return Value(name=name, estimate=estimate, low=low, high=high, method="bootstrap of rows", n=len(error))


def _bootstrapped(error: NDArray[np.float64], of_mean: NDArray[np.float64], resamples: int) -> tuple[float, float]:
    draws = np.random.default_rng(int(torch.randint(2**62, ())))
    counts = draws.multinomial(len(error), np.full(len(error), 1 / len(error)), size=resamples)
    ratios = (counts @ error) / np.maximum(counts @ of_mean, np.finfo(float).tiny)
    low, high = np.quantile(ratios, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def _mean(name: str, error: Tensor, *, least: float = 0.0) -> Value | Withheld:
    n = len(error)
    if not n:
        return Withheld(name=name, reason=_NO_ROWS)
    estimate = float(error.mean())
    if n < FEWEST:
        return Value(name=name, estimate=estimate, method=f"mean; no interval from {n} rows (fewer than {FEWEST})", n=n)
    reach = float(stats.t.ppf((1 + _LEVEL) / 2, n - 1)) * float(error.std()) / math.sqrt(n)
    low, high = max(least, estimate - reach), max(estimate, min(1.0, estimate + reach))
    return Value(name=name, estimate=estimate, low=low, high=high, method="t", n=n)


def _psnr(name: str, error: Tensor) -> Value | Withheld:
    if not len(error) or not error.sum():
        return Withheld(name=name, reason="infinite: the rows are exact" if len(error) else _NO_ROWS)
    estimate = 10 * math.log10(1 / float(error.mean()))
    return Value(name=name, estimate=estimate, method="of the mean error; no interval", n=len(error))


def _similar(name: str, result: ReconstructionResult, rows: Tensor) -> Value | Withheld:
    if result.data_schema.modality != "image" or min(result.data_schema.shape[-2:]) < 3:
        return Withheld(name=name, reason="structural similarity is one of images of 3 x 3 pixels or more")
    if not rows.any():
        return Withheld(name=name, reason=_NO_ROWS)
    pairs = (result.x[result.of[rows]], result.truth[rows])
    found = ssim(*(to_units(one, result.data_schema) for one in pairs))
    return _mean(name, found, least=-1.0)


def _nearest(result: ReconstructionResult, *, members: bool) -> Value | Withheld:
    """Compare the answers about members, or about others; one about a class counts once, among the members'."""
    name = "nearest_train_over_held_out" + ("" if members else "_non_members")
    if not len(result.nearest_held_out):
        return Withheld(name=name, reason="no class has both training and held-out rows")
    if result.kind == "class" and not members:
        return Withheld(name=name, reason="an answer about a class shows training rows and others alike")
    shown = result.of[result.member == members].unique()
    if not len(shown):
        return Withheld(name=name, reason=_NO_ROWS)
    held_out = float(result.nearest_held_out[shown].mean())
    if not held_out:
        return Withheld(name=name, reason="every reconstruction is equal to a held-out row")
    return Value(
        name=name,
        estimate=float(result.nearest_train[shown].mean()) / held_out,
        method="ratio of mean distances to equally many rows of the same classes; no interval",
        n=len(shown),
    )
