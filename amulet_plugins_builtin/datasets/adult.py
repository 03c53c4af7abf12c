"""UCI Adult (Becker and Kohavi, 1996; CC BY 4.0): 48,842 people of the US census survey of 1994, both splits pooled."""

from amulet_core.data import Data
from amulet_plugins_builtin.catalogue.datasets import AdultParams
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
RACES = ("Amer-Indian-Eskimo", "Asian-Pac-Islander", "Black", "Other", "White")
CLASSES = ("<=50K", ">50K")

_WORKCLASSES = "Federal-gov Local-gov Never-worked Private Self-emp-inc Self-emp-not-inc State-gov Without-pay unknown"
_MARITAL_STATUSES = (
    "Divorced Married-AF-spouse Married-civ-spouse Married-spouse-absent Never-married Separated Widowed"
)
_OCCUPATIONS = (
    "Adm-clerical Armed-Forces Craft-repair Exec-managerial Farming-fishing Handlers-cleaners Machine-op-inspct "
    "Other-service Priv-house-serv Prof-specialty Protective-serv Sales Tech-support Transport-moving unknown"
)
_COUNTRIES = (
    "Cambodia Canada China Columbia Cuba Dominican-Republic Ecuador El-Salvador England France Germany Greece "
    "Guatemala Haiti Holand-Netherlands Honduras Hong Hungary India Iran Ireland Italy Jamaica Japan Laos Mexico "
    "Nicaragua Outlying-US(Guam-USVI-etc) Peru Philippines Poland Portugal Puerto-Rico Scotland South Taiwan Thailand "
    "Trinadad&Tobago United-States Vietnam Yugoslavia unknown"
)

# Bounds are those of the survey's fields: people over 16, top-coded at 90 years, 99 hours and 99,999 dollars. Losses
# have a rounder, lower limit: within 99,999 dollars all of them would lie in the first twentieth of the range.
COLUMNS: tuple[Column, ...] = (
    Category("workclass", tuple(_WORKCLASSES.split())),
    Number("education-num", 1, 16),
    Category("marital-status", tuple(_MARITAL_STATUSES.split())),
    Category("occupation", tuple(_OCCUPATIONS.split())),
    Category("relationship", ("Husband", "Not-in-family", "Other-relative", "Own-child", "Unmarried", "Wife")),
    Number("capital-gain", 0, 99_999, mutable=True),
    Number("capital-loss", 0, 5_000, mutable=True),
    Number("hours-per-week", 1, 99, mutable=True),
    Category("native-country", tuple(_COUNTRIES.split())),
    Category("sex", SEXES, sensitive=True),
    Category("race", RACES, sensitive=True),
    Number("age", 17, 90, sensitive=True),
)


def adult(params: AdultParams) -> Data:
    """Return Adult: y 1 is an income over $50,000; z is sex, race and age group (to 25, to 45, to 65, over 65).

    x is in years, hours a week and dollars, with one-hot categories; an unknown value is a category of its own. The
    level of education is a number only, as its name says the same. What a person reports without proof may be
    falsified (hours, gains and losses); all else is immutable. The survey's sampling weight is not used.
    """
    frame = read("adult")
    groups = (
        Group("sex", SEXES, codes(frame["sex"], SEXES)),
        Group("race", RACES, codes(frame["race"], RACES)),
        age_groups(frame["age"], upper=(25, 45, 65)),
    )
    y = codes(frame["income"], CLASSES)
    return to_data(Table(frame=frame, columns=COLUMNS, groups=groups, classes=CLASSES, y=y), params)
