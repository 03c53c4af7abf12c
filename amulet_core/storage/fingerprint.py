"""What results depend on beside a configuration: code, numeric libraries, processor. Imports none of them."""

import hashlib
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from importlib_metadata import version

from amulet_core.discovery.entries import Entry
from amulet_core.errors import RequestError

_NUMERIC: Final = ("numpy", "torch", "scipy", "scikit-learn", "pandas", "opacus", "fairlearn")
_WITHOUT_RESULTS: Final = ("commands", "matrix", "published", "report", "scaffold", "testing")
"""Folders of the core whose code no result of a job depends on: editing a report must not cost a training."""
_NOTED: Final = "__amulet_code__"
_AVX512: Final = {"avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"}
_AVX2: Final = {"avx2", "fma"}


def environment() -> dict[str, str]:
    """Return what the bits of every result depend on: code of the core, versions, processor. Equal ones, equal bits."""
    return {
        "amulet": code_of("amulet_core"),
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name) for name in _NUMERIC},
        "processor": f"{platform.machine()} {capability()}",
        "device": "cpu",
    }


def code_of(package: str) -> str:
    """Return the SHA-256 of the Python files of a package (or of a module that is none), without importing it.

    Raises:
        RequestError: if they were edited since this process first asked: what is imported is no longer what is there.
    """
    digest = hashlib.sha256()
    for name, content in _sources(package):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    found, module = digest.hexdigest(), sys.modules.get(package)
    # Noted on the module, so that it is forgotten with it: a module imported anew has the new code.
    if module is not None and vars(module).setdefault(_NOTED, found) != found:
        raise RequestError(
            f"the code of {package} was edited since this process imported it, so its results would be kept as those "
            "of the new code: start Python again."
        )
    return found


def note_code(uses: Iterable[Entry]) -> None:
    """Note the code of components as it is now, when they have just been imported: see ``code_of``.

    Raises:
        RequestError: if some of it was edited since an earlier call.
    """
    for package in {"amulet_core", *(package for entry in uses for package in packages_of(entry))}:
        code_of(package)


def packages_of(entry: Entry) -> tuple[str, ...]:
    """Return the top-level packages that hold the code of a component, and its descriptor."""
    targets = (entry.module, *entry.component.targets)
    return tuple(dict.fromkeys(target.partition(":")[0].partition(".")[0] for target in targets if target))


def capability() -> str:
    """Return the vector instructions that torch uses on this processor, as torch names them."""
    given = os.environ.get("ATEN_CPU_CAPABILITY", "")  # torch minds the case
    try:
        flags = _flags(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:  # only Linux has it
        flags = set()
    if not flags:
        from torch.backends import cpu

        return cpu.get_cpu_capability()
    best = "avx512" if flags >= _AVX512 else "avx2" if flags >= _AVX2 else "default"
    order = ["default", "avx2", "avx512"]
    return (min(best, given, key=order.index) if given in order else best).upper()


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """List what two environments do not have in common, in words: what is here, and what is there."""
    names = {"amulet": "the code of amulet_core", "processor": "the processor", "device": "the device"}
    return [
        f"{names.get(name, name)} is {_shown(here.get(name))} here and {_shown(there.get(name))} there"
        for name in dict.fromkeys((*here, *there))
        if here.get(name) != there.get(name)
    ]


def _shown(value: str | None) -> str:
    if value is None:
        return "absent"
    return value[:12] if len(value) == hashlib.sha256().digest_size * 2 else value


def _flags(cpuinfo: str) -> set[str]:
    line = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "")
    return set(line.partition(":")[2].split())


def _sources(package: str) -> Iterator[tuple[str, bytes]]:
    spec = find_spec(package)
    if spec is None:
        return
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not folders and spec.origin and Path(spec.origin).suffix == ".py":
        yield package, Path(spec.origin).read_bytes()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(folder).as_posix()
            if package != "amulet_core" or name.partition("/")[0] not in _WITHOUT_RESULTS:
                yield name, path.read_bytes()
