"""The CPU time of ``amulet list`` with 30 more plugins of 5 components each, beside that of what it must import.

Run it as ``python benchmarks/listing.py``; nothing is installed, the plugins live in a temporary folder.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PLUGINS = 30
ROUNDS = 11
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import pydantic, pluggy, importlib_metadata": ["-c", "import pydantic, pluggy, importlib_metadata"],
    "the same, with pydantic's lazy parts used once": [
        "-c",
        """
import pluggy, importlib_metadata
from pydantic import BaseModel, ConfigDict, Field, model_validator
class Used(BaseModel):
    number: int = Field(ge=0)
""",
    ],
    "amulet list": ["-m", "amulet_core.commands.cli", "list"],
}
MODULE = '''"""A plugin of the benchmark."""

from pydantic import Field

from amulet_core.components import Attack, Dataset, Defense, Measure, Metric, Model, Params, Reference
from amulet_core.hooks import hookimpl

PAPER = (Reference(title="A paper about plugins", where="arXiv:0000.00000"),)


class Settings(Params):
    """Settings of the attack."""

    steps: int = Field(default=10, ge=1, le=1000, description="how many steps to take")
    rate: float = Field(default=0.1, gt=0, description="how far to go in a step")


class Strength(Params):
    """Settings of the defense."""

    weight: float = Field(default=1.0, ge=0, description="how much of it")


@hookimpl
def amulet_components():
    """Yield five components."""
    at = "{name}.heavy:act"
    yield Attack(name="attack", summary="An attack of a plugin", target=at, params=Settings, risk="evasion",
                 access="white-box", references=PAPER)
    yield Defense(name="defense", summary="A defense of a plugin", target=at, params=Strength, risk="evasion",
                  stages={{"training": at}}, references=PAPER)
    yield Metric(name="metric", summary="A metric of a plugin", target=at, risk="evasion",
                 measures=(Measure(name="value", summary="what it measures", better="higher"),))
    yield Dataset(name="dataset", summary="A data set of a plugin", target=at, licence="CC0-1.0")
    yield Model(name="model", summary="A model of a plugin", target=at)
'''


def main() -> None:
    """Print the median CPU time of each command, and the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(PLUGINS):
            make_plugin(Path(folder), f"fake{number:02}")
        seconds = measure(Path(folder))
    for command, taken in seconds.items():
        print(f"{taken:6.3f} s  {command}")
    bare, imports, used, listing = seconds.values()
    print(f"amulet list over bare python: {listing - bare:.3f} s")
    print(f"amulet list / imports: {listing / imports:.2f}; / imports with pydantic used once: {listing / used:.2f}")


def make_plugin(folder: Path, name: str) -> None:
    """Make an importable package with the metadata of an installed one."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(MODULE.format(name=name))
    metadata = folder / f"amulet_plugin_{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: amulet-plugin-{name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[amulet.v1]\n{name} = {name}\n")


def measure(folder: Path) -> dict[str, float]:
    """Return the median CPU seconds of each command, taken in turn so that all meet the same machine."""
    hidden = {"AMULET_PLUGINS", "PYTHONDONTWRITEBYTECODE"}  # installed packages have byte code
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), str(Path(__file__).parents[1])])
    samples: dict[str, list[float]] = {command: [] for command in COMMANDS}
    for warm in [False] + [True] * ROUNDS:
        for command, arguments in COMMANDS.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            run = [sys.executable, *arguments]
            shown = subprocess.run(run, check=True, capture_output=True, env=environment, text=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if command == "amulet list" and "fake29/attack" not in shown.stdout:
                raise SystemExit(f"the plugins were not listed:\n{shown.stdout}{shown.stderr}")
            if warm:  # the first round writes byte code
                samples[command].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {command: statistics.median(taken) for command, taken in samples.items()}


if __name__ == "__main__":
    main()
