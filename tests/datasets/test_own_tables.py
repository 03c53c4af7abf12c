"""A user's own tables: what becomes of each column, and what is said of every mistake."""

import gzip
import sys
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
import torch
from pydantic import Field

from amulet_core.configuration.checked import checked
from amulet_core.data import Data
from amulet_core.discovery.entries import Entry
from amulet_core.errors import RequestError
from amulet_core.testing import component_checks
from amulet_plugins_builtin.catalogue.own_datasets import COMPONENTS, TableFileParams
from amulet_plugins_builtin.datasets.samples import TABLE
from amulet_plugins_builtin.datasets.samples import TABLE_SETTINGS as SETTINGS
from amulet_plugins_builtin.datasets.table_file import table_file

TEXT = TABLE.replace("clerk", ' "clerk"')


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("AMULET_DATA", str(folder))
    return folder


def load(folder: Path, text: str = TEXT, **settings: object) -> Data:
    (folder / "table.csv").write_text(text)
    return table_file(TableFileParams(**SETTINGS | settings))


def refused(folder: Path, text: str = TEXT, **settings: object) -> list[str]:
    """Return the problems, without the name of the file that each begins with."""
    with pytest.raises(RequestError) as raised:
        load(folder, text, **settings)
    start = f"table-file: {folder / 'table.csv'}: "
    assert all(problem.startswith(start) for problem in raised.value.problems)
    return [problem.removeprefix(start) for problem in raised.value.problems]


def test_every_column_becomes_what_was_said_of_it(folder: Path) -> None:
    data = load(folder, TEXT.replace(' "clerk"', "clerk"))
    schema = data.schema
    assert schema.features == ("age", "job=a, b", "job=clerk", "job=cook", "hours")
    assert data.x.tolist() == [[30, 0, 0, 1, 40], [40, 0, 1, 0, 38.5], [51, 0, 0, 1, 0], [62, 1, 0, 0, 12]]
    assert (schema.classes, data.y.tolist()) == (("no", "yes"), [0, 1, 1, 0])
    assert [(one.name, one.categories) for one in schema.sensitive] == [("sex", ("f", "m"))]
    assert data.z.tolist() == [[0], [1], [0], [1]]
    assert data.id.tolist() == [0, 1, 2, 3]
    feasible = schema.feasible
    assert (feasible.low, feasible.high) == ((0, 0, 0, 0, 0), (100, 1, 1, 1, 60))
    assert (feasible.immutable, feasible.one_hot, feasible.integer) == ((0, 1, 2, 3), ((1, 2, 3),), (0,))


def test_parquet_and_csv_and_gzip_give_the_same_bits(folder: Path) -> None:
    text = TEXT.replace(' "clerk"', "clerk")
    expected = load(folder, text)
    (folder / "table.csv.gz").write_bytes(gzip.compress(text.encode()))
    pd.read_csv(folder / "table.csv").to_parquet(folder / "table.parquet")
    for name in ("table.csv.gz", "table.parquet"):
        data = table_file(TableFileParams(path=name, **SETTINGS))
        assert torch.equal(data.x, expected.x)
        assert torch.equal(data.y, expected.y)
        assert torch.equal(data.z, expected.z)
        assert data.schema == expected.schema


def test_a_parquet_file_keeps_what_it_does_not_know_unknown(folder: Path) -> None:
    frame = pd.DataFrame({"a": [1, None, 3, 4], "b": [True, False, None, False], "label": [0, 1, 1, 1]})
    frame.to_parquet(folder / "table.parquet")
    settings = {"path": "table.parquet", "categorical": ("b",), "bounds": {"a": (0, 5)}}
    data = table_file(TableFileParams(missing="drop", **settings))
    assert data.schema.features == ("a", "b=False", "b=True")
    assert data.x.tolist() == [[1, 0, 1], [4, 1, 0]]
    assert (data.id.tolist(), data.schema.classes) == ([0, 3], ("0", "1"))
    with pytest.raises(RequestError) as raised:
        table_file(TableFileParams(**settings))
    assert str(raised.value) == (
        f"table-file: {folder / 'table.parquet'}: there are unknown values in a (1, first in row 2), b (1, first in row "
        "3): fill them, or set missing to drop to leave out their rows (2 of 4 would be kept)"
    )


def test_dropped_rows_leave_the_others_their_ids(folder: Path) -> None:
    text = TEXT.replace("40, ", "?,").replace("51,", "NA,")
    data = load(folder, text + "20,cook,1,f,yes\n", missing="drop")
    assert data.id.tolist() == [0, 3, 4]


def test_a_relative_path_starts_in_the_data_folder_and_then_in_the_working_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = TEXT.replace(' "clerk"', "clerk")
    (tmp_path / "mine.csv").write_text(text)
    assert len(table_file(TableFileParams(path="mine.csv", **SETTINGS))) == 4
    (folder / "mine.csv").write_text(text + "20,cook,1,f,yes\n")
    assert len(table_file(TableFileParams(path="mine.csv", **SETTINGS))) == 5
    assert len(table_file(TableFileParams(path=str(tmp_path / "mine.csv"), **SETTINGS))) == 4


def test_a_missing_file_is_an_error_with_every_place_looked_at(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError) as raised:
        table_file(TableFileParams(path="no.csv"))
    assert str(raised.value) == (
        f"table-file: there is no {folder / 'no.csv'} and no {tmp_path / 'no.csv'} (AMULET_DATA names the first folder): correct path, or put it there"
    )
    monkeypatch.delenv("AMULET_DATA")
    with pytest.raises(RequestError) as raised:
        table_file(TableFileParams(path="no.csv"))
    assert str(raised.value) == (
        f"table-file: there is no {tmp_path / 'no.csv'} (AMULET_DATA is not set): correct path, or put it there"
    )


GOOD = TEXT.replace(' "clerk"', "clerk")


@pytest.mark.parametrize(
    ("text", "settings", "problems"),
    [
        (
            GOOD,
            {"label": "lable", "sensitive": ("sx",), "drop": ("zip",)},
            [
                'label names the column "lable", which is not there; did you mean "label"?',
                'sensitive names the column "sx", which is not there; did you mean "sex"?',
                'drop names the column "zip", which is not there.',
                "the columns are age, job, hours, sex, label",
            ],
        ),
        (
            GOOD.replace("cook,40", ",40").replace("clerk,38.5", "?,NA").replace("62,", "1e9,"),
            {},
            [
                "there are unknown values in job (2, first in line 2), hours (1, first in line 3): fill them, or set "
                "missing to drop to leave out their rows (2 of 4 would be kept)",
                "the column age leaves its bounds 0 to 100 (the file holds 51 to 1e+09) in line 5",
            ],
        ),
        (
            GOOD.replace("51,", "inf,").replace("62,", "130,"),
            {"categorical": (), "bounds": {"hours": (1, 40)}, "immutable": ()},
            [
                'in 1 of 4 rows the column age is no finite number (first: "inf" in line 4): correct them, or name '
                "them in unknown if they say that a value is unknown",
                'in 4 of 4 rows the column job is no finite number (first: "cook" in line 2): name it in categorical '
                "or in drop, or correct them",
                "the column hours leaves its bounds 1 to 40 (the file holds 0 to 40) in line 4",
            ],
        ),
        (
            GOOD,
            {"bounds": {}, "sensitive": ("sex", "age"), "sensitive_in_x": True, "categorical": ("job", "sex")},
            [
                "the column age has no bounds (the file holds 30 to 62): declare them in bounds, name it in "
                "categorical or in drop, or set other_bounds to from-file",
                "the column hours has no bounds (the file holds 0 to 40): declare them in bounds, name it in "
                "categorical or in drop, or set other_bounds to from-file",
            ],
        ),
        (
            GOOD.replace("yes", "no").replace(",m,", ",f,"),
            {"categories": {"job": ("cook", "clerk")}},
            [
                "the label label has 1 different values (no): expected 2 to 1000",
                "the sensitive column sex has one value only (f): leave it out",
                "the column job holds values that are not declared: a, b",
            ],
        ),
        (
            GOOD,
            {"classes": ("yes", "maybe")},
            ["the column label holds values that are not declared: no"],
        ),
        (
            GOOD,
            {"drop": ("age", "job", "hours")},
            ["no column is left for x: drop fewer, or set sensitive_in_x"],
        ),
        (
            GOOD.replace("40,f", "40,f,9").replace(",m,yes", ""),
            {},
            [
                'the header has 5 columns, and line 2 has 6, line 3 has 3: quote cells that hold ",", and give every '
                "line as many cells as the header"
            ],
        ),
        ("a,b,a\n1,2,3\n", {}, ["several columns have one name: a"]),
        ("a,,b\n1,2,3\n", {}, ["its first line must name every column"]),
        (
            "age;job;label\n1,5;cook;no\n2;cook;yes,no,yes\n",
            {},
            [
                "its header reads as one column, 'age;job;label', with the delimiter \",\": set delimiter to "
                '";" if that parts its cells'
            ],
        ),
        (
            GOOD,
            {"delimiter": "\t"},
            [
                "its header reads as one column, 'age,job,hours,sex,label', with the delimiter \"\\t\" (tab): set "
                'delimiter to "," if that parts its cells'
            ],
        ),
        (
            "age|job|label\n1|cook|no\n",
            {"delimiter": ";"},
            [
                "its header reads as one column, 'age|job|label', with the delimiter \";\": a table needs a column to be "
                'predicted and another, parted by ",", ";", "\\t" (tab)'
            ],
        ),
        ("", {}, ["its first line must name every column"]),
        ("age,label\n", {}, ["it has no rows"]),
        (
            "age,sex,label\n?,f,yes\n30,?,no\n",
            {"missing": "drop", "categorical": (), "bounds": {}, "immutable": (), "other_bounds": "from-file"},
            [
                "every row has an unknown value: leave out the columns that are mostly unknown",
            ],
        ),
        (
            GOOD.replace("40,f", "7,f").replace("38.5", "7").replace("cook,0", "cook,7").replace("12", "7"),
            {"bounds": {}, "other_bounds": "from-file"},
            ["the column hours is 7 in every row: name it in drop, or declare its bounds"],
        ),
        (
            "a,b,label\n1000000000,3,x\n1000000001,4,y\n",
            {"bounds": {"a": (1e9, 1e9 + 1), "b": (0, 1e39)}, "categorical": (), "immutable": (), "sensitive": ()},
            [
                "the bounds 1000000000.0 to 1000000001.0 of the column a are not two numbers in single precision, in "
                "which models compute: change its unit, or subtract a constant from it",
                "the bounds 0.0 to 1e+39 of the column b are not two numbers in single precision, in which models "
                "compute: change its unit, or subtract a constant from it",
            ],
        ),
    ],
)
def test_every_mistake_is_named_at_once(
    folder: Path, text: str, settings: dict[str, object], problems: list[str]
) -> None:
    assert refused(folder, text, **settings) == problems


def column(cells: list[str], **settings: object) -> tuple[str, dict[str, object]]:
    """Return a table with these cells in the column ``own``, and settings for it."""
    lines = "".join(f'"{cell}",{i % 7},{"no" if i % 2 else "yes"}\n' for i, cell in enumerate(cells))
    plain = {"sensitive": (), "categorical": (), "immutable": (), "bounds": {"hours": (0, 60)}}
    return f"own,hours,label\n{lines}", plain | settings


def test_a_column_of_identifiers_is_no_category(folder: Path) -> None:
    text, settings = column([f"C-{i}" for i in range(1, 1101)], categorical=("own",))
    assert refused(folder, text, **settings) == [
        "the column own has 1,100 different values in 1,100 rows, as an identifier or free text has, and is no "
        "category: name it in drop, or list its values in categories if they are some"
    ]
    assert load(folder, text, **settings | {"categorical": (), "drop": ("own",)}).schema.features == ("hours",)
    declared = {"categories": {"own": tuple(f"C-{i}" for i in range(1, 1101))}}
    assert load(folder, text, **settings | declared).schema.width == 1101


@pytest.mark.parametrize(("rows", "distinct"), [(99, 50), (102, 51), (200, 100)])
def test_a_column_of_many_values_is_a_category_where_rows_share_them(folder: Path, rows: int, distinct: int) -> None:
    text, settings = column([f"C-{i % distinct}" for i in range(rows)], categorical=("own",))
    assert load(folder, text, **settings).schema.width == distinct + 1
    fewer = text.splitlines(keepends=True)[: distinct + 1]
    if distinct > 50:
        (problem,) = refused(folder, "".join(fewer), **settings)
        assert problem.startswith(f"the column own has {distinct} different values in {distinct} rows, as an ident")


def test_values_that_differ_in_case_or_blanks_alone_are_refused(folder: Path) -> None:
    labels, sexes = ("No", "NO", "yes  sir", "Yes Sir", "maybe"), ("F", "f", "m", "m ", "m")
    lines = [f"{i},cook,1,{sex},{label}" for i, (sex, label) in enumerate(zip(sexes, labels, strict=True))]
    text = "\n".join(["age,job,hours,sex,label", *lines])
    assert refused(folder, text) == [
        'the column label writes one value in several ways: "NO" and "No", "Yes Sir" and "yes  sir": make them one in '
        "the file, or name each in classes if they are several",
        'the column sex writes one value in several ways: "F" and "f": make them one in the file',
    ]
    named = load(folder, text.replace("F", "f"), classes=tuple(sorted(labels)))
    assert named.schema.classes == tuple(sorted(labels))


def lines_of(counts: dict[str, int]) -> str:
    """Return a table with so many lines of each kind: hours, sex and label."""
    lines = [f"{i % 50},{line}" for i, line in enumerate(line for line, n in counts.items() for _ in range(n))]
    return "\n".join(["age,hours,sex,label", *lines])


@pytest.mark.parametrize(
    ("counts", "note"),
    [
        (
            {"40,f,no": 900, "?,f,no": 600, "40,m,yes": 780, "?,m,yes": 20, "40,m,?": 700},
            "1,680 of 3,000 rows are kept (missing: drop): 700 lack label, 620 lack hours; the shares of label change: "
            "no 65.2 % to 53.6 %, yes 34.8 % to 46.4 %; the shares of sex change: f 50 % to 53.6 %, m 50 % to 46.4 %",
        ),
        (
            {
                "40,f,no": 990,
                "?,m,no": 10,
                "40,f,yes": 990,
                "?,f,yes": 10,
                "40,m,yes": 990,
                "40,m,no": 1010,
                "?,m,so": 1,
            },
            "3,980 of 4,001 rows are kept (missing: drop): 21 lack hours; the shares of label change: so 0.025 % to 0 %; "
            "the shares of sex change by less than a point",
        ),
    ],
)
def test_what_was_dropped_for_want_of_values_is_noted_with_what_it_changes(
    folder: Path, counts: dict[str, int], note: str
) -> None:
    plain = {"categorical": (), "immutable": (), "missing": "drop"}
    assert load(folder, lines_of(counts), **plain).notes == (f"table-file: table.csv: {note}",)


def test_of_a_table_that_is_kept_nothing_is_noted(folder: Path) -> None:
    assert load(folder, GOOD, missing="drop").notes == ()


def test_the_shares_of_a_number_that_is_grouped_are_not_told(folder: Path) -> None:
    settings = {"sensitive": ("age",), "groups": {"age": (40,)}, "categorical": ("job", "sex"), "missing": "drop"}
    (note,) = load(folder, GOOD.replace("40,clerk", "?,clerk"), **settings).notes
    assert note == (
        "table-file: table.csv: 3 of 4 rows are kept (missing: drop): 1 lack age; the shares of label change: yes 50 % to "
        "33.3 %, no 50 % to 66.7 %"
    )


def test_a_category_that_is_written_in_several_ways_is_noted(folder: Path) -> None:
    text = GOOD.replace("51,cook", "51,Cook")
    assert load(folder, text).notes == (
        'table-file: table.csv: the column job writes one value in several ways: "Cook" and "cook": make them one in the '
        "file, or list each in categories if they are several",
    )
    assert load(folder, text, categories={"job": ("cook", "Cook", "clerk", "a, b")}).notes == ()


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (
            [f"C-{i}" for i in range(1200)],
            'in 1,200 of 1,200 rows the column own is no finite number (first: "C-0" in line 2): its 1,200 different '
            "values are no categories: name it in drop",
        ),
        (
            [f"{i},299.57" for i in range(1, 61)],
            'in 60 of 60 rows the column own is no finite number (first: "1,299.57" in line 2): write its numbers '
            "without thousands separators, as in 35299.57",
        ),
        (
            ["1.299,57", "17,5", ",5", "38"],
            'in 3 of 4 rows the column own is no finite number (first: "1.299,57" in line 2): write its numbers with a '
            "decimal point, as in 35299.57",
        ),
        (
            ["soon", "17,000", "18", "19", "20"],
            'in 2 of 5 rows the column own is no finite number (first: "soon" in line 2): correct them, or name them in '
            "unknown if they say that a value is unknown",
        ),
    ],
)
def test_what_to_do_about_a_column_of_no_numbers_depends_on_what_it_holds(
    folder: Path, cells: list[str], problem: str
) -> None:
    text, settings = column(cells)
    assert refused(folder, text, **settings)[0] == problem


def test_numbers_of_which_each_stands_once_are_not_advised_to_be_categories(folder: Path) -> None:
    text, settings = column([str(i) for i in range(60)])
    assert refused(folder, text, **settings) == [
        "the column own has no bounds (the file holds 0 to 59): declare them in bounds, name it in drop (if it is an "
        "identifier, it must not be an input), or set other_bounds to from-file"
    ]


def test_cells_that_are_no_numbers_are_counted_in_all_rows(folder: Path) -> None:
    text, settings = column(["a", "b", "c", "?", "a", "d"])
    text = text.replace('"b",1', '"b",?').replace('"c",2', '"c",?')
    assert refused(folder, text, **settings, missing="drop") == [
        'in 5 of 6 rows the column own is no finite number (first: "a" in line 2): name it in categorical or in drop, '
        "or correct them"
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "table.csv",
            b"a,label\n1,1\nZ\xfcrich,1\n",
            'is no UTF-8 text (line 3 holds the byte 0xfc): save it as UTF-8; a spreadsheet calls it "CSV UTF-8"',
        ),
        (
            "table.csv.gz",
            gzip.compress("a,label\n1,Zü\n".encode("latin-1"), mtime=0),  # or workers collect other tests
            'is no UTF-8 text (line 2 holds the byte 0xfc): save it as UTF-8; a spreadsheet calls it "CSV UTF-8"',
        ),
        (
            "table.csv",
            "a,label\n1,Zü".encode()[:-1],
            'is no UTF-8 text (line 2 holds the byte 0xc3): save it as UTF-8; a spreadsheet calls it "CSV UTF-8"',
        ),
        ("table.csv", b'a,label\n"1,2\n', "cannot be read: unexpected end of data"),
        ("table.csv.gz", b"a,label\n1,2\n", "cannot be read: Not a gzipped file (b'a,')"),
        ("table.pkl", b"\x80\x04.", "is of no kind that is read, which are .csv, .csv.gz, .parquet"),
        (
            "table.XLSX",
            b"PK",
            'is of no kind that is read, which are .csv, .csv.gz, .parquet; save the sheet as "CSV UTF-8" and name that',
        ),
        (
            "table.tsv",
            b"a\tlabel",
            "is of no kind that is read, which are .csv, .csv.gz, .parquet; if it is a table in text, name it .csv and "
            "give its delimiter",
        ),
    ],
)
def test_a_file_that_is_no_table_is_an_error(folder: Path, name: str, content: bytes, reason: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(RequestError) as raised:
        table_file(TableFileParams(path=name))
    assert str(raised.value) == f"table-file: {folder / name} {reason}"


def test_a_damaged_parquet_file_is_an_error(folder: Path) -> None:
    (folder / "table.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(
        RequestError, match=r"^table-file: .*table\.parquet cannot be read: .*Parquet magic bytes not found"
    ):
        table_file(TableFileParams(path="table.parquet"))


def test_nested_values_are_named(folder: Path) -> None:
    pd.DataFrame({"a": [[1], [2]], "label": [b"x", b"y"]}).to_parquet(folder / "table.parquet")
    with pytest.raises(RequestError) as raised:
        table_file(TableFileParams(path="table.parquet"))
    start = f"table-file: {folder / 'table.parquet'}: the column"
    assert (
        str(raised.value)
        == f"{start} a holds no plain values, but list\n{start} label holds no plain values, but bytes"
    )


def test_without_pyarrow_the_error_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (folder / "table.parquet").write_bytes(b"")
    with pytest.raises(RequestError) as raised:
        table_file(TableFileParams(path="table.parquet"))
    assert str(raised.value) == (
        f"{folder / 'table.parquet'}: Parquet files are read by pyarrow, which cannot be imported (import of pyarrow "
        "halted; None in sys.modules): pip install 'amulet-framework[parquet]', or give a CSV file"
    )


@pytest.mark.parametrize(
    ("ends", "labels", "places"),
    [
        ((40,), ("up to 40", "over 40"), [0, 0, 1, 1]),
        ((30, 51.5), ("up to 30", "over 30 to 51.5", "over 51.5"), [0, 1, 1, 2]),
    ],
)
def test_a_sensitive_number_is_grouped_by_declared_ends(
    folder: Path, ends: tuple[float, ...], labels: tuple[str, ...], places: list[int]
) -> None:
    data = load(folder, GOOD, sensitive=("age",), categorical=("job", "sex"), groups={"age": ends})
    assert data.schema.sensitive[0].categories == labels
    assert data.z[:, 0].tolist() == places


def test_a_sensitive_column_of_many_values_asks_for_groups(folder: Path) -> None:
    text = "age,label\n" + "".join(f"{age},{age % 2}\n" for age in range(60))
    assert refused(
        folder, text, sensitive=("age",), sensitive_in_x=True, bounds={"age": (0, 60)}, categorical=(), immutable=()
    ) == [
        "the sensitive column age has 60 different values: if they are numbers, give the ends of groups, such as "
        "groups: {age: [25, 45]}"
    ]


def test_bounds_from_the_file_are_its_lowest_and_highest_numbers(folder: Path) -> None:
    data = load(folder, GOOD, bounds={"age": (0, 100)}, other_bounds="from-file")
    assert (data.schema.feasible.low[4], data.schema.feasible.high[4]) == (0, 40)
    assert (data.schema.feasible.low[0], data.schema.feasible.high[0]) == (0, 100)


def test_sensitive_columns_are_inputs_only_on_request(folder: Path) -> None:
    assert "sex=f" not in load(folder, GOOD).schema.features
    with_ = load(folder, GOOD, sensitive_in_x=True, categorical=("job", "sex"))
    assert with_.schema.features[-2:] == ("sex=f", "sex=m")
    assert with_.schema.one_hot_of(0) == with_.schema.columns("sex")
    assert load(folder, GOOD).schema.sensitive[0].features == ()


def test_declared_categories_stand_in_their_order_also_where_no_row_has_them(folder: Path) -> None:
    jobs = ("cook", "pilot", "clerk", "a, b")
    data = load(folder, GOOD, categories={"job": jobs}, classes=("yes", "no"))
    assert data.schema.features[1:5] == tuple(f"job={job}" for job in jobs)
    assert data.y.tolist() == [1, 0, 0, 1]


def test_classes_that_are_numbers_are_sorted_by_size(folder: Path) -> None:
    text = "a,label\n1,10\n2,9\n3,100\n"
    settings = {"sensitive": (), "categorical": (), "immutable": (), "bounds": {"a": (0, 5)}}
    assert load(folder, text, **settings).schema.classes == ("9", "10", "100")


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        (
            {"sensitive": ["label", "a", "a"], "groups": {"b": [1], "c": [2, 1]}, "classes": ["x", "x"]},
            [
                "params.classes: it names x more than once, got ['x', 'x']",
                "params.sensitive: it names a more than once; it names the label label: leave it out here, got "
                "['label', 'a', 'a']",
                "params.groups.c: the ends of groups must ascend, and be one at least, got [2, 1]",
            ],
        ),
        (
            {"sensitive": ["a"], "groups": {"b": [1]}},
            ["params.groups: it names b, and sensitive does not: name it there too, or leave it out here"],
        ),
        (
            {"categorical": ["a"], "bounds": {"a": [0, 1]}, "categories": {"c": ["x"]}, "drop": ["label"]},
            [
                "params.categories: it names c, and categorical does not: name it there too, or leave it out here",
                "params.bounds: it names a, and so does categorical: leave it out here or there",
                "params.drop: it names the label label: leave it out here, got ['label']",
            ],
        ),
        (
            {"bounds": {"b": [3, 2], "c": 5}, "immutable": ["b", "b"], "sensitive": "sex", "categorical": {"a": 1}},
            [
                "params.sensitive: expected a list, such as [sex], got 'sex'",
                "params.categorical: expected a list, got {'a': 1}",
                "params.bounds.b: bounds must be a lower and a higher number, got [3, 2]",
                "params.bounds.c: expected a list, got 5",
                "params.immutable: it names b more than once, got ['b', 'b']",
            ],
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_where_they_stand(
    settings: dict[str, object], problems: list[str]
) -> None:
    found: list[str] = []
    assert checked(TableFileParams, settings, "params", found) is None
    assert found == problems


def test_settings_come_back_from_json() -> None:
    given = TableFileParams(**SETTINGS, sensitive_in_x=True)
    assert TableFileParams.model_validate_json(given.model_dump_json()) == given


class FromFile(TableFileParams):
    """Settings whose defaults, which the kit takes, fit a table without further words."""

    other_bounds: Literal["error", "from-file"] = Field(default="from-file", description="as for any table")


(COMPONENT,) = [one.model_copy(update={"params": FromFile}) for one in COMPONENTS if one.name == "table-file"]
CHECKS = component_checks(Entry(COMPONENT, plugin="builtin", distribution="amulet-framework", version="0"))


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_the_conformance_checks_hold(check, tmp_path_factory, monkeypatch: pytest.MonkeyPatch) -> None:
    # The checks of a component share one call, hence one file.
    folder = tmp_path_factory.getbasetemp() / "conformance of tables"
    folder.mkdir(exist_ok=True)
    (folder / "table.csv").write_text("a,b,label\n1,2.5,yes\n2,3.5,no\n")
    monkeypatch.setenv("AMULET_DATA", str(folder))
    check.run()
