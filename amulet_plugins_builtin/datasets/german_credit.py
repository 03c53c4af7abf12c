"""Statlog German credit (Hofmann, 1994; CC BY 4.0): 1,000 applicants; its labels are the codes of its codebook."""

import numpy as np

from amulet_core.data import Data
from amulet_plugins_builtin.catalogue.datasets import GermanCreditParams
from amulet_plugins_builtin.datasets.tables import Category, Column, Group, Number, Table, age_groups, read, to_data

SEXES = ("female", "male")
FEMALE_STATUSES = ("A92", "A95")
CLASSES = ("bad", "good")


def _codes(attribute: int, first: int, last: int) -> tuple[str, ...]:
    return tuple(f"A{attribute}{value}" for value in range(first, last + 1))


# Amounts (in marks), durations (in months) and years have no official limit: these are round numbers. A41 to A410 are
# the codebook's purposes; nobody has A47, "vacation", nor the status A95, "single woman".
COLUMNS: tuple[Column, ...] = (
    Category("status", _codes(1, 1, 4)),
    Number("month", 1, 72, mutable=True),
    Category("credit_history", _codes(3, 0, 4)),
    Category("purpose", _codes(4, 0, 10)),
    Number("credit_amount", 0, 20_000, mutable=True),
    Category("savings", _codes(6, 1, 5)),
    Category("employment", _codes(7, 1, 5)),
    Number("investment_as_income_percentage", 1, 4),
    Category("other_debtors", _codes(10, 1, 3)),
    Number("residence_since", 1, 4),
    Category("property", _codes(12, 1, 4)),
    Category("installment_plans", _codes(14, 1, 3)),
    Category("housing", _codes(15, 1, 3)),
    Number("number_of_credits", 1, 4),
    Category("skill_level", _codes(17, 1, 4)),
    Number("people_liable_for", 1, 2),
    Category("telephone", _codes(19, 1, 2)),
    Category("foreign_worker", _codes(20, 1, 2)),
    Category("personal_status", _codes(9, 1, 5), sensitive=True),
    Number("age", 18, 100, sensitive=True),
)


def german_credit(params: GermanCreditParams) -> Data:
    """Return German credit: y 1 is a good risk; z is sex and age group (to 25, over 25: Kamiran and Calders, 2009).

    Sex is known only within ``personal_status``, which is left out of x by default. An applicant may choose how much
    to ask for and for how long; all else the bank can look up.
    """
    frame = read("german_credit")
    male = ~frame["personal_status"].isin(FEMALE_STATUSES)
    groups = (
        Group("sex", SEXES, male.to_numpy().astype(np.int64), column="personal_status"),
        age_groups(frame["age"], upper=(25,)),
    )
    y = (frame["credit"] == 1).to_numpy().astype(np.int64)
    return to_data(Table(frame=frame, columns=COLUMNS, groups=groups, classes=CLASSES, y=y), params)
