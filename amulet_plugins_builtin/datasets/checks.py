"""Known-answer checks of the data sets that are shipped: what was published of them, and the bounds declared."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch

from amulet_core.checks import Check
from amulet_core.data import Data
from amulet_core.planning.facts import facts_of, hash_of_rows
from amulet_plugins_builtin.catalogue.datasets import AdultParams, CompasParams, GermanCreditParams, PixelGroupParams
from amulet_plugins_builtin.datasets.adult import adult
from amulet_plugins_builtin.datasets.compas import compas
from amulet_plugins_builtin.datasets.digits import digits
from amulet_plugins_builtin.datasets.german_credit import german_credit

Load = Callable[[], Data]


@dataclass(frozen=True)
class Published:
    """What is known of a data set: the shape of a row, rows by class and by group, and the SHA-256 of all rows."""

    shape: tuple[int, ...]
    classes: tuple[int, ...]
    groups: dict[str, tuple[int, ...]]
    content: str


# UCI gives 48,842 people, 11,687 of them above $50,000 (23.93 %), and these counts of sex and race.
ADULT: Final = Published(
    shape=(83,),
    classes=(37155, 11687),
    groups={
        "sex": (16192, 32650),
        "race": (470, 1519, 4685, 406, 41762),
        "age": (9627, 24671, 12741, 1803),
    },
    content="6ad8e6449ae2e7ab0e025f416089df0b3e1dc26b8c6a045f33d6f5d463cc287a",
)
# ProPublica's notebook keeps 6,172 defendants: 45.51 % reoffend; these counts of sex, race and age.
COMPAS: Final = Published(
    shape=(7,),
    classes=(3363, 2809),
    groups={"sex": (1175, 4997), "race": (3175, 31, 2103, 509, 11, 343), "age": (1632, 3339, 1201)},
    content="db775bfd75a32272abe1fa02dd50c90648098719b1aad70620af09a6f4846284",
)
# The codebook gives 700 good risks, 310 women; 190 applicants of up to 25 years (Kamiran and Calders, 2009).
GERMAN_CREDIT: Final = Published(
    shape=(57,),
    classes=(300, 700),
    groups={"sex": (310, 690), "age": (190, 810)},
    content="99edaa8c9ca8dacdb4f784ae9669733b408d5641dbea9fa567018de246764579",
)
# UCI's test split, which scikit-learn ships: 1,797 digits.
DIGITS: Final = Published(
    shape=(1, 8, 8),
    classes=(178, 182, 177, 183, 181, 182, 181, 179, 174, 180),
    groups={},
    content="303af064d07edf575b74d4423ac07c26847c12e69f63c3b0d9291549ea0f8782",
)


def adult_checks() -> tuple[Check, ...]:
    """Return the checks of ``adult``."""
    return _shipped("adult", lambda: adult(AdultParams()), ADULT)


def compas_checks() -> tuple[Check, ...]:
    """Return the checks of ``compas``."""
    return _shipped("compas", lambda: compas(CompasParams()), COMPAS)


def german_credit_checks() -> tuple[Check, ...]:
    """Return the checks of ``german-credit``."""
    return _shipped("german-credit", lambda: german_credit(GermanCreditParams()), GERMAN_CREDIT)


def digits_checks() -> tuple[Check, ...]:
    """Return the checks of ``digits``."""
    return _shipped("digits", lambda: digits(PixelGroupParams()), DIGITS)


def _shipped(name: str, load: Load, known: Published) -> tuple[Check, ...]:
    return (
        Check(
            f"{name} has the rows, classes and groups that were published",
            "results on other rows would bear its name",
            partial(is_as_published, load, known),
        ),
        Check(
            f"all rows of {name} lie in their bounds, and have one value of each one-hot group",
            "attacks and normalisation go by the bounds that are declared",
            partial(is_feasible, load),
        ),
    )


def is_as_published(load: Load, known: Published) -> None:
    """Compare shape, counts and the hash of all rows."""
    data = load()
    facts = facts_of(data)
    names = [one.name for one in data.schema.sensitive]
    found = Published(
        data.schema.shape, facts.class_rows, dict(zip(names, facts.group_rows, strict=True)), hash_of_rows(data)
    )
    assert found == known, f"found {found}, expected {known}"


def is_feasible(load: Load) -> None:
    """Look at every row: nothing beyond the bounds, one value of each one-hot group."""
    data = load()
    feasible, x = data.schema.feasible, data.x.flatten(1)
    low, high = (torch.as_tensor(bound).expand(x.shape[1]) for bound in (feasible.low, feasible.high))
    outside = int(((x < low) | (x > high)).any(1).sum())
    assert outside == 0, f"{outside} rows leave their bounds, expected none"
    broken = [group for group in feasible.one_hot if not bool((x[:, list(group)].sum(1) == 1).all())]
    assert not broken, f"the one-hot groups {broken} have rows without exactly one value, expected none"
