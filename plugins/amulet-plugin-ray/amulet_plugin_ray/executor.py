"""The executor: sends jobs to Ray's own process, and takes outcomes from it. Light: imports no Ray."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from amulet_core.errors import RequestError
from amulet_core.sessions import Failed, Outcome, Setting, Task, outcome_of

from amulet_plugin_ray.line import CutError, Line, command, line_to
from amulet_plugin_ray.messages import Joining, Need, News, Order
from amulet_plugin_ray.settings import ID, RayParams

_PASSED_ON: Final = ("AMULET_PLUGINS", "ATEN_CPU_CAPABILITY")
_GB: Final = 10**9


@dataclass(frozen=True)
class Service:
    """What the nodes do, each a ``module:function``: answer a letter, and list what keeps them from serving a run."""

    answer: str = "amulet_core.worker:answer"
    problems: str = "amulet_core.worker:problems"


class ClusterError(RuntimeError):
    """The cluster is gone in the middle of a run."""


@contextmanager
def executor(params: RayParams, setting: Setting) -> Iterator["RaySession"]:
    """Yield a session whose jobs are done on a Ray cluster.

    Raises:
        RequestError: if the cluster cannot be joined, or with all that keeps its nodes from serving the run.
    """
    with serving(params, setting, Service()) as session:
        yield session


@contextmanager
def serving(params: RayParams, setting: Setting, service: Service) -> Iterator["RaySession"]:
    """Yield a session whose jobs are done by a ``service`` on the nodes of a Ray cluster."""
    joining = _joining(params, setting, service)
    with line_to(*command(retries=params.retries)) as line:
        yield RaySession(line, setting, room=_join(line, joining))


class RaySession:
    """Counts what the cluster holds; all else is done by Ray's own process."""

    def __init__(self, line: Line, setting: Setting, *, room: int) -> None:
        """Start with no jobs on a cluster that may hold ``room`` of them."""
        self._line, self._threads, self._warn = line, setting.threads, setting.warn
        self._holds, self._held = room, 0

    @property
    def room(self) -> int:
        """Count the tasks it would take now."""
        return self._holds - self._held

    def submit(self, task: Task) -> None:
        """Take a task."""
        asked = task.resources
        need = Need(cpus=max(self._threads, asked.cpus), gpus=asked.gpus, memory=int(asked.memory_gb * _GB))
        self._line.send(Order(key=task.key, label=task.label, letter=task.letter, need=need))
        self._held += 1

    def next(self) -> tuple[str, Outcome]:
        """Wait for a task to end; return its key and outcome.

        Raises:
            ClusterError: if the cluster is gone.
        """
        news = _first(self._line, "ended", self._warn)
        self._holds, self._held = news.room, self._held - 1
        return news.key, _outcome(news.texts[0])


def _outcome(text: str) -> Outcome:
    try:
        return outcome_of(text)
    except ValueError as error:
        return Failed(ID, f"a worker's answer is {error}")


def _first(line: Line, kind: str, warn: Callable[[str], None]) -> News:
    while True:
        try:
            news = line.receive()
        except CutError as error:
            raise ClusterError(
                f"the connection to the Ray cluster was lost: {str(error).rstrip('.')}. What was finished "
                "is in the cache: see that the cluster's head and this machine's node run, and run again"
            ) from error
        if news.kind == kind:
            return news
        for text in news.texts:
            warn(text)


def _join(line: Line, joining: Joining) -> int:
    """Have Ray's process join the cluster; return how many jobs it may hold."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        line.cut()

    timer = threading.Timer(joining.wait_seconds, give_up)
    timer.start()
    line.send(joining)
    try:
        news = line.receive()
        timer.cancel()
        reached = news.kind == "reached"
        news = line.receive() if reached else news
    except CutError as error:
        why = f"it has not answered within {joining.wait_seconds:g} s" if late.is_set() else str(error)
        raise RequestError(_unreachable(joining.address, why)) from error
    finally:
        timer.cancel()
    if news.kind == "refused" and reached:
        raise RequestError(*(f"executor: {ID}: {_named(joining.address)}: {text}" for text in news.texts))
    if news.kind == "refused":
        raise RequestError(*(_unreachable(joining.address, text) for text in news.texts))
    return news.room


def _unreachable(address: str | None, why: str) -> str:
    if address is None:
        return f"executor: {ID}: Ray cannot be started on this machine: {why}"
    head = "HOST:6379" if address == "auto" else address
    return (
        f"executor: {ID}: {_named(address)} cannot be joined: {why.rstrip('.')}. Start it with "
        f"ray start --head on one machine and ray start --address={head} on the others, this one among "
        "them (ray status says what runs)"
    )


def _named(address: str | None) -> str:
    return {None: "the Ray cluster of this machine", "auto": "the Ray cluster that runs on this machine (auto)"}.get(
        address, f"the Ray cluster at {address}"
    )


def _joining(params: RayParams, setting: Setting, service: Service) -> Joining:
    return Joining(
        **params.model_dump() | {"address": params.address or _address_in_use()},
        threads=setting.threads,
        greeting=setting.greeting,
        answer=service.answer,
        problems=service.problems,
        environment=_environment(setting),
        paths=_paths(),
    )


def _address_in_use() -> str | None:
    """Return the address of the cluster that this program uses already. That stays as it is: Ray's process joins it."""
    if "ray" not in sys.modules:
        return None
    import ray

    return str(ray.get_runtime_context().gcs_address) if ray.is_initialized() else None


def _environment(setting: Setting) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if data := os.environ.get("AMULET_DATA"):
        passed["AMULET_DATA"] = str(Path(data).expanduser().resolve())
    return {"AMULET_CACHE": setting.cache, **passed}


def _paths() -> tuple[str, ...]:
    """Return the folders that this program imports from, beyond those of its Python installation."""
    installed = [Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)]
    folders = [Path(folder).resolve() for folder in sys.path]
    own = [one for one in folders if one.is_dir() and not any(one.is_relative_to(prefix) for prefix in installed)]
    return tuple(dict.fromkeys(map(str, own)))
