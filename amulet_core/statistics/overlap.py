"""What repeats that share rows cost in precision. Imports nothing heavy: it is told before anything runs."""

import math


def widening(repeats: int, *, overlap: float) -> float:
    """Return how many times wider an interval of ``repeats`` differences is made because the repeats share rows.

    The variance of the mean is (1/J + overlap) * S^2 instead of S^2 / J (Nadeau & Bengio 2003, section 3).
    """
    return math.sqrt(1 + repeats * overlap)
