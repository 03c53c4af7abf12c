"""Make an embedded table of its source: ``python tools/make_tables.py adult|compas|german-credit SOURCE TARGET``.

The sources are CSV files (compressed or not) with the column names of the originals: UCI Adult
(CC BY 4.0, both splits, unknown values empty), ProPublica's compas-scores-two-years, and Statlog German credit
(CC BY 4.0). The same source gives the same bytes.
"""

import sys
from collections.abc import Callable
from lzma import PRESET_EXTREME, compress
from pathlib import Path

import pandas as pd

ADULT = (
    *("age", "workclass", "education-num", "marital-status", "occupation", "relationship", "race", "sex"),
    *("capital-gain", "capital-loss", "hours-per-week", "native-country", "income"),
)
COMPAS = (
    *("sex", "age", "race", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count"),
    *("c_charge_degree", "two_year_recid"),
)


def adult(source: pd.DataFrame) -> pd.DataFrame:
    """Keep the columns in use, and name unknown values; ``education`` says in words what ``education-num`` says."""
    return source[list(ADULT)].replace("", "unknown")


def compas(source: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows that ProPublica's analysis keeps, and of them no name, no date and no score."""
    days = pd.to_numeric(source["days_b_screening_arrest"])
    kept = (
        days.between(-30, 30)
        & (source["is_recid"] != -1)
        & (source["c_charge_degree"] != "O")
        & (source["score_text"] != "N/A")
    )
    return source.loc[kept, list(COMPAS)]


def german_credit(source: pd.DataFrame) -> pd.DataFrame:
    """Keep everything: the source holds only what is used."""
    return source


TABLES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "adult": adult,
    "compas": compas,
    "german-credit": german_credit,
}


def main(arguments: list[str]) -> int:
    """Make one table and say how large it is; 2 when the arguments are wrong."""
    if len(arguments) != 3 or arguments[0] not in TABLES:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    name, source, target = arguments
    table = TABLES[name](pd.read_csv(source, keep_default_na=False))
    packed = compress(table.to_csv(index=False, lineterminator="\n").encode(), preset=9 | PRESET_EXTREME)
    Path(target).write_bytes(packed)
    sys.stdout.write(f"{target}: {len(table):,} rows, {len(packed):,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
