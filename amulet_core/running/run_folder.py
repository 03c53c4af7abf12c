"""The output folder of a run: one configuration, one writer, and what an interrupted run goes on with. Light."""

import errno
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from amulet_core.configuration.request import Request
from amulet_core.errors import RequestError
from amulet_core.storage.writing import replace_text

CONFIG: Final = "config.json"
JOURNAL: Final = "journal.jsonl"
PROVENANCE: Final = "provenance.json"
RESULT_FILES: Final = ("results.csv", "conflicts.csv", "results.json", PROVENANCE, "report.html")
_LOCKLESS: Final = (
    "the output folder {folder} is on a file system without locks, which keep two runs from writing into one folder: "
    "choose another with --out."
)
_WITHOUT_RESULTS: Final = ("executor", "reporters")
"""What a run may be gone on with differently: neither changes a result."""


@contextmanager
def run_folder(folder: Path, request: Request) -> Iterator[Path]:
    """Make the output folder, hold it for this run alone, keep the resolved configuration there, and yield it.

    What it yields is absolute: a component may change the working folder.

    Raises:
        RequestError: if it cannot be written, if another run writes into it, or holds another configuration's results.
    """
    from filelock import FileLock, Timeout

    kept = folder.absolute()
    holder = kept / ".running"
    lock = FileLock(kept / ".lock", timeout=0, fallback_to_soft=False)  # a mere file would outlive a killed run
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RequestError(_held(folder, holder)) from None
    except NotImplementedError:
        raise RequestError(_LOCKLESS.format(folder=folder)) from None
    except OSError as error:
        lockless = error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
        raise RequestError(_LOCKLESS.format(folder=folder) if lockless else _unwritable(folder, error)) from error
    try:
        check_folder(folder, request)
        try:
            replace_text(holder, f"process {os.getpid()} on {platform.node()}")
            replace_text(folder / CONFIG, json.dumps(request.canonical(), indent=1, ensure_ascii=False) + "\n")
        except OSError as error:
            raise RequestError(_unwritable(folder, error)) from error
        yield kept
    finally:
        with suppress(OSError):  # it says who writes, no more
            holder.unlink()
        lock.release()


def located(config: str | Path, out: str | Path | None) -> tuple[Path, Path]:
    """Return a configuration file and the folder for its results; a run's own folder stands for both.

    Raises:
        RequestError: if a folder is given that no run has written into.
    """
    path = Path(config)
    if not path.is_dir():
        return path, Path(out) if out is not None else Path(f"amulet-{path.stem}")
    if not (path / CONFIG).is_file():
        raise RequestError(
            f"{path} is a folder without {CONFIG}, hence not of a run: name a YAML or TOML file, or a run's folder."
        )
    return path / CONFIG, Path(out) if out is not None else path


def _held(folder: Path, holder: Path) -> str:
    try:
        who = f" ({holder.read_text(encoding='utf-8')})"
    except OSError:
        who = ""
    return f"another run is writing into the output folder {folder}{who}: wait for it, or choose another with --out."


def _unwritable(folder: Path, error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or error
    return f"the output folder {folder} cannot be written: {reason}. Choose another with --out."


def check_folder(folder: Path, request: Request) -> None:
    """See that the folder holds nothing but an earlier state of the same run.

    Raises:
        RequestError: if it holds the results of another configuration, or folders where results go.
    """
    folders = [name for name in (*RESULT_FILES, CONFIG, JOURNAL) if (folder / name).is_dir()]
    if folders:
        raise RequestError(
            f"the output folder {folder} has folders called {', '.join(folders)}: choose another with --out."
        )
    begun = _config(folder / CONFIG, ()) if _size(folder / JOURNAL) else {}
    earlier = [one for one in (begun, _config(folder / "results.json", ("config",))) if one]
    if any(_of_results(one) != _of_results(request.canonical()) for one in earlier):
        raise RequestError(
            f"the output folder {folder} holds the results of another configuration: "
            "choose another with --out, or remove it."
        )


def check_data(folder: Path, content: str) -> None:
    """See that the folder holds no results of other data than those whose SHA-256 is ``content``.

    The configuration names a file, not what is in it. Results of before the SHA-256 was kept are not checked.

    Raises:
        RequestError: if it does.
    """
    try:
        found = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    earlier = found.get("data_sha256") if isinstance(found, dict) else ""
    if earlier and earlier != content:
        raise RequestError(
            f"the output folder {folder} holds results of other data: their SHA-256 was {earlier[:12]}… and is now "
            f"{content[:12]}…, so the data set, or how it is read, has changed since. Choose another with --out, or "
            "remove it."
        )


def _config(path: Path, at: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the configuration in a file; nothing if there is no file; what no configuration equals if it has none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for name in at:
            found = found[name]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    return found if isinstance(found, dict) else {"unreadable": path.name}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _of_results(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in _WITHOUT_RESULTS}
