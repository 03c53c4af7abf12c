"""ProPublica's COMPAS data (Larson et al., 2016): 6,172 defendants of Broward County, without names or dates.

The embedded rows are those that ProPublica's own analysis keeps: a screening within 30 days of the arrest, a known
outcome, no ordinary traffic offence, and a score. The score itself is left out: it is another model's output.
"""

from amulet_core.data import Data
from amulet_plugins_builtin.catalogue.datasets import CompasParams
from amulet_plugins_builtin.datasets.tables import (
    Category,
    Column,
    Group,
    Number,
    Table,
    age_groups,
    codes,
    read,
    to_data,
)

SEXES = ("Female", "Male")
RACES = ("African-American", "Asian", "Caucasian", "Hispanic", "Native American", "Other")
CLASSES = ("no new offence", "new offence within two years")

# The counts have no official limit: these are round numbers above any that a record is likely to show.
COLUMNS: tuple[Column, ...] = (
    Number("juv_fel_count", 0, 25, mutable=True),
    Number("juv_misd_count", 0, 25, mutable=True),
    Number("juv_other_count", 0, 25, mutable=True),
    Number("priors_count", 0, 50, mutable=True),
    Category("c_charge_degree", ("F", "M")),
    Category("sex", SEXES, sensitive=True),
    Category("race", RACES, sensitive=True),
    Number("age", 18, 100),
)


def compas(params: CompasParams) -> Data:
    """Return COMPAS: y 1 is a new offence within two years; z is sex, race and age group (to 25, to 45, over 45).

    x counts earlier offences, and gives the degree of the charge (felony or misdemeanour) and the age in years. Unlike
    sex and race, age is an input by default: without it only 530 rows are distinct. A record may miss offences or hold
    false ones, so an adversary may change the counts; charge and age are immutable.
    """
    frame = read("compas")
    groups = (
        Group("sex", SEXES, codes(frame["sex"], SEXES)),
        Group("race", RACES, codes(frame["race"], RACES)),
        age_groups(frame["age"], upper=(25, 45)),
    )
    y = frame["two_year_recid"].to_numpy(dtype="int64")
    return to_data(Table(frame=frame, columns=COLUMNS, groups=groups, classes=CLASSES, y=y), params)
