"""Joining a Ray cluster and leaving it as it was. Imports Ray: for Ray's own process alone."""

import json
import logging
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import ray
from amulet_core.errors import cause_of
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from amulet_plugin_ray.failures import short
from amulet_plugin_ray.messages import Joining
from amulet_plugin_ray.placing import workplaces
from amulet_plugin_ray.remote import call

_STORE_BYTES: Final = 100 * 2**20
"""The object store of a cluster that is started here: no more than lines of JSON go through it."""

_REFUSAL: Final = (
    "it wants an authentication token. Where this account has it, set RAY_AUTH_MODE=token and run again; or set "
    "RAY_AUTH_MODE=disabled where the cluster is started"
)


class NotJoinedError(Exception):
    """The cluster cannot be joined; the text is the cause."""


@contextmanager
def joined(joining: Joining) -> Iterator[None]:
    """Join the cluster, or start one of this machine, and leave it, or end it, afterwards.

    Raises:
        NotJoinedError: if it cannot be joined.
    """
    own = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    more: dict[str, Any] = own if joining.address is None else {}
    try:
        if joining.address not in (None, "auto"):
            _knock(str(joining.address), seconds=joining.wait_seconds)
        ray.init(address=joining.address or "local", log_to_driver=False, logging_level=logging.ERROR, **more)
    except Exception as error:
        # Ray says no more than that it failed to connect, and has the refusal of a missing token underneath.
        refused = "InvalidAuthToken" in str(error.__cause__)
        raise NotJoinedError(_REFUSAL if refused else cause_of(error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def performer(joining: Joining) -> Any:
    """Return ``call`` as a Ray function that has the run's environment wherever it is performed."""
    environment = dict(joining.environment)
    if joining.paths and len({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}) == 1:
        environment["PYTHONPATH"] = ":".join([*joining.paths, "${PYTHONPATH}"])
    # An exception of the function itself is not Ray's to retry: it would come again.
    remote = ray.remote(max_retries=joining.retries, retry_exceptions=False, runtime_env={"env_vars": environment})
    return remote(call)


def problems_of_nodes(function: Any, joining: Joining) -> list[str]:
    """Ask every node what keeps it from serving the run; return all that was said, and who said nothing."""
    nodes = sorted(workplaces(ray.nodes()), key=lambda node: (node["NodeManagerAddress"], node["NodeID"]))
    if not nodes:
        return ["it has no node with a CPU to work with"]
    asked = {_ask(function, joining, node): node for node in nodes}
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=joining.wait_seconds)
    for ref in silent:
        ray.cancel(ref, force=True)
    found = {asked[ref]["NodeID"]: _said(ref) for ref in answered}
    late = [f"it has not answered within {joining.wait_seconds:g} s: look at its load, or raise wait_seconds"]
    return [f"{_name(node)}: {text}" for node in nodes for text in found.get(node["NodeID"], late)]


def _ask(function: Any, joining: Joining, node: Mapping[str, Any]) -> Any:
    # No CPU is asked for: a node that is busy with other work can still say whether it fits.
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    ask = function.options(num_cpus=0, scheduling_strategy=there, name="amulet: does this node fit the run?")
    return ask.remote(joining.problems, joining.greeting)


def _said(ref: Any) -> Sequence[str]:
    try:
        found: list[str] = json.loads(ray.get(ref))
    except (ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError):
        return []  # the cluster notices some seconds late that a node is gone: that one will get no job
    except ray.exceptions.RayTaskError as error:
        return [f"{cause_of(error.cause)}. Install the same packages on all nodes, AMULET and this plugin among them"]
    except ray.exceptions.RayError as error:
        return [short(error)]
    return found


def _name(node: Mapping[str, Any]) -> str:
    return f"node {node['NodeManagerAddress']} ({node['NodeManagerHostname']}, {node['NodeID'][:8]})"


def _knock(address: str, *, seconds: float) -> None:
    """See that somebody listens there: Ray would try for two minutes."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=seconds).close()
