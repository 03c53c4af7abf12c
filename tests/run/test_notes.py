"""What is said of the data: in a dry run, at the start of a run, and in the report."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from amulet_core.commands import cli
from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import Registry
from amulet_core.performing.ground import lay_ground, load_data
from amulet_core.planning.facts import facts_of
from amulet_core.planning.layout import layout_of

NOTE = (
    "table-file: loans.csv: 600 of 700 rows are kept (missing: drop): 100 lack income; the shares of approved change: "
    "no 50 % to 58.3 %, yes 50 % to 41.7 %; the shares of sex change by less than a point"
)


@pytest.fixture
def loans(config: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Write a table of which a seventh lacks a number, and return a configuration for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AMULET_CACHE", str(tmp_path / "cache"))
    kinds = [("f", "no")] * 175 + [("m", "no")] * 175 + [("f", "yes")] * 175 + [("m", "yes")] * 175
    cells = ["" if 350 <= i < 400 or 525 <= i < 575 else f"{i}" for i in range(700)]
    lines = [f"{cell},{sex},{label}" for cell, (sex, label) in zip(cells, kinds, strict=True)]
    Path("loans.csv").write_text("\n".join(["income,sex,approved", *lines]))
    params = {"path": "loans.csv", "label": "approved", "sensitive": ["sex"], "bounds": {"income": [0, 700]}}
    raw = config(dataset={"name": "table-file", "params": params | {"missing": "drop"}}, risks=["utility"], seeds=1)
    return raw | {"defenses": [], "model": "mlp"}


def command(raw: dict[str, Any], registry: Registry, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(cli, "discover", lambda **_: registry)
    Path("loans.yaml").write_text(yaml.safe_dump(raw))
    return cli.main(["run", "loans.yaml", *arguments])


def test_notes_of_the_data_are_told_in_dry_runs_at_the_start_of_runs_and_in_the_report(
    loans: dict[str, Any], registry: Registry, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):  # the second forecast reads the facts that the first one kept
        assert command(loans, registry, monkeypatch, "--dry-run") == 0
        shown = capsys.readouterr().out.splitlines()
        assert shown[1:5] == [
            "data: 600 rows without exact duplicates, 1 feature",
            "classes: no 350, yes 250",
            "sex: f 300, m 300",
            "",
        ]
        assert f"warning: {NOTE}" in shown
    assert command(loans, registry, monkeypatch) == 0
    told = capsys.readouterr().err.splitlines()
    assert told.count(f"warning: {NOTE}") == 1
    assert told[0] == f"warning: {NOTE}"
    assert NOTE in Path("amulet-loans/report.html").read_text()


def test_a_small_class_is_told_in_dry_runs_and_at_the_start_of_runs(
    loans: dict[str, Any], registry: Registry, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("loans.csv").read_text().replace("699,m,yes", "699,m,maybe")
    Path("loans.csv").write_text(text)
    small = (
        'warning: the class "maybe" has 1 of 600 rows (0.17 %), on average 0.083 of the 50 rows of train: too few to say '
        "much of it; merge it with another class in the file, or leave its rows out"
    )
    assert command(loans, registry, monkeypatch, "--dry-run") == 0
    assert small in capsys.readouterr().out.splitlines()
    command(loans, registry, monkeypatch)
    assert small in capsys.readouterr().err.splitlines()


def test_no_component_is_handed_the_notes(loans: dict[str, Any], registry: Registry) -> None:
    request = resolve(loans, registry)
    data = load_data(request)
    assert facts_of(data).notes == data.notes == (NOTE,)
    ground = lay_ground(data, request, layout_of(request, data.schema))
    assert ground.data.notes == ()
    assert ground.rows(torch.tensor([0, 1])).notes == ()
