"""Output noise in the manner of MemGuard (arXiv:1909.10594): released probabilities keep the predicted class alone.

The noise is a function of the bits of the probabilities: asking again gives the same answer, so nothing averages out.
The function is public and has no key: whoever tabulates it can read the probabilities back where there are few classes.
"""

import torch
from torch import Tensor

from amulet_plugins_builtin.catalogue.membership_defenses import OutputNoiseParams

# The odd constants of splitmix64 (Steele et al. 2014, doi:10.1145/2660193.2660195), as signed 64-bit integers.
_GOLDEN, _FIRST, _SECOND = -7046029254386353131, -4658895280553007687, -7723592293110705685
_MANTISSA_LEFT = 13


def release(probabilities: Tensor, params: OutputNoiseParams) -> Tensor:
    """Return what is released for each row, ``[n, classes]``: noise with the same likeliest class, or the row itself.

    The noise is uniform on the simplex, among the points whose likeliest class is the row's. It replaces the row with
    probability min(1, budget / distance), so that the expected L1 distance is within the budget, as in the second phase
    of MemGuard. Its first phase, the search for noise that fools one attack classifier, is left out: to attacks that
    take what is released for probabilities, with shadow models behind the same noise too, only the predicted class is
    left. It does not hide the probabilities from an attack that inverts this function: of two classes a table of all
    margins gives them back. Where rounding would change the predicted class, the row is released as it is.
    """
    label = probabilities.argmax(1)
    draws = _uniform(probabilities)
    noise = _with_top(-torch.log(draws[:, 1:]), label)
    distance = (noise - probabilities.double()).abs().sum(1)
    replaced = draws[:, 0] * distance < params.budget
    released = noise.to(probabilities.dtype)
    replaced &= released.argmax(1) == label
    return torch.where(replaced[:, None], released, probabilities)


def _with_top(exponential: Tensor, label: Tensor) -> Tensor:
    """Return points of the simplex from exponential draws ``[n, classes]``, the largest moved to ``label``."""
    point = exponential / exponential.sum(1, keepdim=True)
    top = point.argmax(1, keepdim=True)
    here = label[:, None]
    return point.scatter(1, top, point.gather(1, here)).scatter(1, here, point.gather(1, top))


def _uniform(probabilities: Tensor) -> Tensor:
    """Return draws in (0, 1), float64 ``[n, classes + 1]``, a function of each row's probabilities alone.

    The lowest 13 of the 23 bits of each mantissa play no part: they change with the batch that a row is asked in.
    """
    bits = probabilities.float().contiguous().view(torch.int32).long() >> _MANTISSA_LEFT
    place = torch.arange(probabilities.shape[1] + 1) * _GOLDEN
    key = _mixed(bits + place[1:]).sum(1, keepdim=True)
    mantissa = _shifted(_mixed(_mixed(key) + place), 11)
    return (mantissa.double() + 0.5) / 2**53


def _mixed(word: Tensor) -> Tensor:
    """Return 64-bit words scrambled by the finaliser of splitmix64."""
    word = (word ^ _shifted(word, 30)) * _FIRST
    word = (word ^ _shifted(word, 27)) * _SECOND
    return word ^ _shifted(word, 31)


def _shifted(word: Tensor, by: int) -> Tensor:
    """Shift to the right without the sign, which torch's shift repeats."""
    shifted: Tensor = (word >> by) & (2 ** (64 - by) - 1)
    return shifted
