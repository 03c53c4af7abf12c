"""The checks a component ships: each compares it with a known answer or a planted truth, for users and authors."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One check: ``name`` is a sentence that holds, ``why`` says what would go wrong otherwise.

    ``run()`` returns nothing, or raises AssertionError with what was found and what was expected. It raises
    unittest.SkipTest with the reason where it cannot be made, as files are not there: no failure, to pytest neither.
    """

    name: str
    why: str
    run: Callable[[], None]
