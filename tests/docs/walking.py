"""A page walked as its reader would: files written, commands and Python run in order, what they print compared."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fenced import ROOT, Block, Document, commands_of

FIGURE = re.compile(r"[+−-]?\d+(?:[.,]\d+)*(?:e[−-]\d+)?")
SIGN = re.compile(r"[▲▼=?~·!] (?=[+−])")
PLAIN = ["--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--quiet", "--target"]
"""How pip installs a package of a page: into a folder, from what this machine has."""


@dataclass
class Walk:
    """Where the reader is, what is installed and exported, and what the last block printed."""

    home: Path
    place: Path
    environment: dict[str, str]
    names: dict[str, object] = field(default_factory=dict)
    said: str = ""

    @property
    def site(self) -> Path:
        """The folder that pip installs into."""
        return self.home / "site-packages"


def walk(document: Document, home: Path, environment: dict[str, str]) -> Walk:
    """Do what a page's marked blocks say, in a folder of its own; what goes wrong is an AssertionError."""
    place = home / "work"
    place.mkdir()
    paths = os.pathsep.join((str(home / "site-packages"), str(ROOT)))
    kept = {name: value for name, value in environment.items() if name not in ("AMULET_DATA", "PYTHONWARNINGS")}
    walked = Walk(
        home, place, kept | {"PYTHONPATH": paths, "AMULET_PLUGINS": "", "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    )
    for block in document.every_block:
        step = _step(block)
        if step is not None:
            step(walked, block)
    return walked


def is_walked(document: Document) -> bool:
    """Tell whether a page has something to run."""
    return any(block.mark == "run" for block in document.every_block)


def _step(block: Block) -> Callable[[Walk, Block], None] | None:
    if block.file:
        return _write
    if block.mark == "run":
        return _execute if block.language == "python" else _command
    return _compare if block.mark.startswith("output") else None


def _write(walked: Walk, block: Block) -> None:
    path = walked.place / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")


def _execute(walked: Walk, block: Block) -> None:
    printed = io.StringIO()
    with contextlib.chdir(walked.place), contextlib.redirect_stdout(printed):
        exec(compile(block.text, "page", "exec"), walked.names)
    walked.said = printed.getvalue()


def _command(walked: Walk, block: Block) -> None:
    for line in commands_of(block):
        words = shlex.split(line)
        if words[0] == "cd":
            walked.place = (walked.place / words[1]).resolve()
        elif words[0] == "export":
            walked.environment |= dict(one.split("=", 1) for one in words[1:])
        else:
            walked.said = _ran(walked, line, words)


def _ran(walked: Walk, line: str, words: list[str]) -> str:
    if words[:2] == ["pip", "install"]:
        _offered(walked)
        words = ["pip", "install", *PLAIN, str(walked.site), "--upgrade", "."]
    module = {"amulet": "amulet_core.commands.cli"}.get(words[0], words[0])
    program = [sys.executable, *([] if module == "python" else ["-m", module]), *words[1:]]
    done = subprocess.run(
        program, cwd=walked.place, env=walked.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _offered(walked: Walk) -> None:
    """Select the plugins of the package that is about to be installed, and none of the developer's machine."""
    project = tomllib.loads((walked.place / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    walked.environment["AMULET_PLUGINS"] = ",".join(project["entry-points"]["amulet.v1"])


def _compare(walked: Walk, block: Block) -> None:
    other_figures = block.mark.endswith("other figures")
    shown, said = (_lines(text, masked=other_figures) for text in (block.text, walked.said))
    pattern = "".join(".*?" if line == "..." else re.escape(line) + r"\n" for line in shown)
    assert re.fullmatch(pattern, "".join(f"{line}\n" for line in said), re.DOTALL), (
        f"the page shows\n{block.text}\nand what came was\n{walked.said}"
    )


def _lines(text: str, *, masked: bool) -> list[str]:
    if masked:
        text = re.sub(r"[ -]{2,}", " ", FIGURE.sub("#", SIGN.sub("", text)))
    return [line.rstrip() for line in text.strip("\n").splitlines()]
