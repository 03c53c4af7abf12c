"""The jobs that the cluster holds: each ends once, with the outcome of the worker or with what became of it."""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import ray
from amulet_core.sessions import Failed, outcome_json

from amulet_plugin_ray.failures import failure, short
from amulet_plugin_ray.messages import Joining, Need, News, Order
from amulet_plugin_ray.placing import at_most, has_place, needed, room_for, workplaces
from amulet_plugin_ray.settings import ID


@dataclass(frozen=True)
class Held:
    """A job on the cluster."""

    order: Order
    ref: Any


class Jobs:
    """Hands jobs to the cluster and tells how they end. For one thread."""

    def __init__(
        self,
        function: Any,
        joining: Joining,
        tell: Callable[[News], None],
        ended: Callable[[str, Any, Future[str]], None],
    ) -> None:
        """Start with none. ``ended(key, ref, future)`` is called, in any thread, when Ray is done with one."""
        self._function, self._joining, self._tell, self._ended = function, joining, tell, ended
        self._held: dict[str, Held] = {}
        self._homeless: dict[Need, float] = {}
        self._nodes = [node["Resources"] for node in workplaces(ray.nodes())]

    @property
    def room(self) -> int:
        """Count the jobs that the cluster may hold."""
        return self._joining.pending or room_for(self._nodes, threads=self._joining.threads)

    def submit(self, order: Order) -> None:
        """Hand a job to the cluster."""
        need = order.need
        memory = {"memory": need.memory} if need.memory else {}
        try:
            function = self._function.options(num_cpus=need.cpus, num_gpus=need.gpus, name=order.label, **memory)
            ref = function.remote(self._joining.answer, order.letter)
        except ValueError as error:  # Ray has rules of its own, such as whole GPUs above one
            self._end(order.key, Failed(ID, f"Ray does not take {needed(need)}: {short(error)}"))
            return
        self._held[order.key] = Held(order, ref)
        future = ref.future()
        future.add_done_callback(lambda done: self._ended(order.key, ref, done))

    def settle(self, key: str, ref: Any, future: Future[str]) -> None:
        """Tell how a job ended, unless it was given up before."""
        held = self._held.get(key)
        if held is None or held.ref != ref:
            return
        del self._held[key]
        try:
            self._tell(News(kind="ended", key=key, texts=(str(json.loads(future.result())),), room=self.room))
        except ray.exceptions.RayError as error:
            self._end(key, failure(error, tries=1 + self._joining.retries))

    def look(self) -> None:
        """See which nodes there are, and give up the jobs that have waited too long for one that is large enough."""
        self._nodes = [node["Resources"] for node in workplaces(ray.nodes())]
        now, held = time.monotonic(), {job.order.need: job.order.label for job in self._held.values()}
        for need, label in held.items():
            if has_place(need, self._nodes):
                self._homeless.pop(need, None)
            elif need not in self._homeless:
                self._homeless[need] = now
                self._tell(News(kind="warning", texts=(self._waits(need, label),)))
            elif now - self._homeless[need] >= self._joining.patience_seconds:
                self._give_up(need)

    def drop(self) -> None:
        """End all jobs, whatever their state."""
        for job in self._held.values():
            ray.cancel(job.ref, force=True)
        self._held.clear()

    def _waits(self, need: Need, label: str) -> str:
        return (
            f"{ID}: {label} needs {needed(need)}, and the cluster's nodes have at most {at_most(self._nodes)}: "
            f"waiting {self._joining.patience_seconds:g} s for one that is large enough"
        )

    def _give_up(self, need: Need) -> None:
        reason = (
            f"no node of the cluster has {needed(need)}, and none joined within {self._joining.patience_seconds:g} s: "
            f"they have at most {at_most(self._nodes)}. Start a node that is large enough, and run again"
        )
        for key in [key for key, job in self._held.items() if job.order.need == need]:
            ray.cancel(self._held.pop(key).ref, force=True)
            self._end(key, Failed(ID, reason))

    def _end(self, key: str, failed: Failed) -> None:
        self._tell(News(kind="ended", key=key, texts=(outcome_json(failed),), room=self.room))
