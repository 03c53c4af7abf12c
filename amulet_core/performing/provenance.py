"""Where results come from: software, hardware, and what defenses left behind. Outside the equality of results."""

import os
import platform
import resource
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from importlib_metadata import version

from amulet_core.configuration.request import Request
from amulet_core.results import Provenance

_LIBRARIES = ("numpy", "torch", "scipy", "scikit-learn", "pandas", "opacus", "fairlearn", "pydantic", "pluggy")


def provenance(
    request: Request,
    *,
    started: datetime,
    complete: bool,
    reused: int,
    data_sha256: str,
    timings: Mapping[str, float],
    evidence: Mapping[str, Any],
    warnings: tuple[str, ...],
) -> Provenance:
    """Describe the machine, the libraries and every component used by a run that started then and ends now."""
    now = datetime.now(UTC)
    uses = request.uses
    return Provenance(
        started=started.isoformat(timespec="seconds"),
        finished=now.isoformat(timespec="seconds"),
        seconds=round((now - started).total_seconds(), 3),
        complete=complete,
        reused=reused,
        data_sha256=data_sha256,
        platform=platform.platform(),
        python=platform.python_version(),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        peak_memory_mb=round(peak_memory_mb(), 1),
        threads_per_job=request.threads_per_job,
        libraries={name: version(name) for name in _LIBRARIES},
        plugins=dict(
            sorted({use.entry.plugin: f"{use.entry.distribution} {use.entry.version}" for use in uses}.items())
        ),
        components=tuple(use.member() for use in uses),
        timings={label: round(value, 3) for label, value in timings.items()},
        evidence=dict(evidence),
        warnings=warnings,
    )


def _cpu() -> str:
    import torch

    return f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, or of any child that has ended, in MB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(own, children) / (1024 * 1024 if sys.platform == "darwin" else 1024)
