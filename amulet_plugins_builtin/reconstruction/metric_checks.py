"""The checks of the metric of data reconstruction: values and limits counted by hand, and what is withheld."""

import torch

from amulet_core.checks import Check
from amulet_core.data import bounds
from amulet_core.games.reconstruction import ReconstructionResult
from amulet_core.scores import Value, Withheld
from amulet_core.streams import isolated
from amulet_core.vocabulary import Reconstructed
from amulet_plugins_builtin.catalogue.reconstruction import ReconstructionMetricParams
from amulet_plugins_builtin.reconstruction import metric, planted


def metric_checks() -> tuple[Check, ...]:
    """Return the checks of the metric."""
    return (
        Check("errors are those counted by hand", "verdicts rest on them", counts_by_hand),
        Check("similarities of images are those counted by hand", "errors do not tell a picture", sees_by_hand),
        Check("intervals are those counted by hand", "without them no difference is a finding", spreads_by_hand),
        Check(
            "what cannot be measured is withheld",
            "a ratio of attacks of different kinds, or a similarity of tables, is no number",
            withholds,
        ),
    )


def result(*, kind: Reconstructed = "row") -> ReconstructionResult:
    """Return a result of three rows in units of which the errors are known: .01, .04 and (no member) .09."""
    low, high = bounds(planted.TABLE)
    truth = low + 0.5 * (high - low).expand(3, 3)
    apart = torch.tensor([[0.1], [0.2], [0.3]]) * (high - low)
    return ReconstructionResult(
        kind=kind,
        verdict="row",
        x=truth + apart,
        truth=truth,
        of=torch.arange(3),
        member=torch.tensor([True, True, False]),
        class_mean=truth + 0.2 * (high - low),
        zero=truth - 0.4 * (high - low),
        nearest_train=torch.tensor([0.1, 0.2, 0.3]),
        nearest_held_out=torch.tensor([0.4, 0.4, 0.4]),
        data_schema=planted.TABLE,
    )


def counts_by_hand() -> None:
    """Compare a planted result with its values on paper."""
    scores = metric.measure(result(), ReconstructionMetricParams())
    expected = {
        "relative_error": 0.025 / 0.04,
        "mse": 0.025,
        "mse_non_members": 0.09,
        "mse_of_class_mean": 0.04,
        "mse_of_zero": 0.16,
        "psnr": 16.0206,
        "psnr_non_members": 10.4576,
        "nearest_train_over_held_out": 0.375,
        "nearest_train_over_held_out_non_members": 0.75,
    }
    for name, value in expected.items():
        _by_hand(name, scores[name].estimate, value)


def sees_by_hand() -> None:
    """Compare an even image with a brighter one, and one of a single bright pixel with its negative.

    Of even ones there is only luminance: (2 * .2 * .6 + C1) / (.2^2 + .6^2 + C1). The bright pixel has the weight
    m = 1 / (1 + 4 exp(-1 / 4.5) + 4 exp(-2 / 4.5)) of the window of 3 x 3, the variances are m (1 - m), the covariance
    its negative.
    """
    schema = planted.IMAGES.model_copy(update={"shape": (1, 3, 3)})
    even, bright = torch.full((1, 1, 3, 3), 0.2), torch.zeros(1, 1, 3, 3)
    bright[..., 1, 1] = 1.0
    change = {
        "x": torch.cat([even, bright]),
        "truth": torch.cat([even + 0.4, 1 - bright]),
        "of": torch.arange(2),
        "member": torch.tensor([True, False]),
        "class_mean": torch.zeros(2, 1, 3, 3),
        "zero": torch.zeros(2, 1, 3, 3),
        "data_schema": schema,
    }
    nearest = {name: torch.ones(2) for name in ("nearest_train", "nearest_held_out")}
    scores = metric.measure(result().model_copy(update=change | nearest), ReconstructionMetricParams())
    for name, value in {"ssim": 0.60010, "ssim_non_members": -0.33431}.items():
        _by_hand(name, scores[name].estimate, value)


def spreads_by_hand() -> None:
    """Compare limits for 40 errors, .01 and .04 in turn: mean .025, standard error .0024019, t quantile 2.0227.

    The bootstrap's ratio to the constant .04 is nearly normal, with 1.96 standard errors of .015 / sqrt(40) / .04.
    """
    few = result()
    at = torch.arange(40) % 2
    change = {name: getattr(few, name)[at] for name in ("x", "truth", "class_mean", "zero")}
    change |= {"of": torch.arange(40), "member": torch.ones(40, dtype=torch.bool)}
    change |= {name: torch.ones(40) for name in ("nearest_train", "nearest_held_out")}
    with isolated("check", "intervals"):
        scores = metric.measure(few.model_copy(update=change), ReconstructionMetricParams())
    for name, limits, slack in (("mse", (0.020142, 0.029858), 1e-5), ("relative_error", (0.5088, 0.7412), 0.02)):
        for found, value in zip((scores[name].low, scores[name].high), limits, strict=True):
            _by_hand(f"a limit of {name}", found, value, slack=slack)


def _by_hand(name: str, found: float, value: float, *, slack: float = 1e-4) -> None:
    if abs(found - value) > slack * max(1, abs(value)):
        raise AssertionError(f"{name} is {found:.5f}, by hand it is {value:.5f}")


def withholds() -> None:
    """See that a table has no structural similarity, and another kind than the verdict's no relative error."""
    scores = metric.measure(result(kind="class"), ReconstructionMetricParams())
    shown = [name for name in ("relative_error", "ssim") if isinstance(scores[name], Value)]
    if shown or not isinstance(scores["ssim"], Withheld):
        raise AssertionError(f"shown: {', '.join(shown)}; expected: both withheld")
