"""Written plugins as if they had been installed: their folders on the import path, beside their metadata."""

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from amulet_core.discovery.registry import discover
from amulet_core.scaffold.command import new_plugin


@dataclass(frozen=True)
class Written:
    """A plugin that ``amulet new`` wrote, and that is found."""

    name: str
    folder: Path
    registry: object

    @property
    def entry(self):
        (entry,) = [entry for entry in self.registry.entries if entry.id == f"{self.name}/{self.name}"]
        return entry


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a plugin and put it on the path, as an editable installation would."""

    def written(kind, name, risk=None, mistake=None):
        folder = tmp_path / name
        new_plugin(kind, name, risk=risk, folder=str(folder), registry=discover(select=""))
        if mistake:
            file, right, wrong = mistake
            text = (folder / file).read_text()
            assert right in text
            (folder / file).write_text(text.replace(right, wrong))
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        points = project["entry-points"]["amulet.v1"]
        (metadata / "entry_points.txt").write_text(
            "[amulet.v1]\n" + "".join(f"{own} = {target}\n" for own, target in points.items())
        )
        monkeypatch.syspath_prepend(str(folder))
        return Written(name, folder, discover(select=name, strict=True))

    before = set(sys.modules)
    yield written
    for name in set(sys.modules) - before:
        if name.startswith("amulet_plugin_"):
            del sys.modules[name]
