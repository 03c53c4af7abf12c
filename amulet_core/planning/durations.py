"""How long jobs took, so that later ones can be estimated. Light."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from amulet_core.planning.jobs import Job
from amulet_core.storage.writing import replace_text

DURATIONS: Final = "durations"
"""The folder of a cache where recordings are."""
_FILES: Final = 100
"""Only the latest recordings are read: machines and code change."""


@dataclass(frozen=True)
class Duration:
    """What jobs of one kind took: how much work was timed, its seconds together, the largest memory of a process.

    Work is counted in jobs where these are alike in all settings, else in their ``size``.
    """

    work: float
    seconds: float
    memory_mb: float

    def and_(self, other: "Duration") -> "Duration":
        """Return both together."""
        return Duration(self.work + other.work, self.seconds + other.seconds, max(self.memory_mb, other.memory_mb))


def recorded(durations: dict[str, Duration], job: Job, *, seconds: float, memory_mb: float) -> None:
    """Add what a job took to ``durations``, under all that it is like."""
    for name, work in _likenesses(job):
        one = Duration(work, seconds, memory_mb)
        durations[name] = durations[name].and_(one) if name in durations else one


def write_durations(folder: Path, run: str, durations: Mapping[str, Duration]) -> None:
    """Keep what the jobs of a run took; ``run`` names it.

    Raises:
        OSError: if the folder cannot be written.
    """
    rows = {name: [one.work, round(one.seconds, 4), round(one.memory_mb, 1)] for name, one in durations.items()}
    if rows:
        replace_text(folder / f"{run}.json", json.dumps(rows))


def read_durations(folder: Path) -> dict[str, Duration]:
    """Return what the jobs of the latest runs took; what cannot be read is passed over, as it is only an estimate."""
    found: dict[str, Duration] = {}
    for path in sorted(folder.glob("*.json"), key=_written)[-_FILES:]:
        try:
            rows = {name: Duration(*row) for name, row in json.loads(path.read_text(encoding="utf-8")).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            continue
        for name, one in rows.items():
            found[name] = found[name].and_(one) if name in found else one
    return found


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed meanwhile
        return 0.0


def estimated(durations: Mapping[str, Duration], jobs: Iterable[Job]) -> list[Duration | None]:
    """Return what each job will take, by the jobs most like it; None where nothing like it was ever timed."""
    return [_estimate(durations, job) for job in jobs]


def _estimate(durations: Mapping[str, Duration], job: Job) -> Duration | None:
    for name, work in _likenesses(job):
        if name in durations:
            found = durations[name]
            return Duration(work, found.seconds / found.work * work, found.memory_mb)
    return None


def _likenesses(job: Job) -> list[tuple[str, float]]:
    """Return the names under which a job is timed, and how much work it is under each."""
    return [(_short(like), job.size if place else 1.0) for place, like in enumerate(job.like)]


def _short(like: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(like, sort_keys=True).encode()).hexdigest()[:24]
