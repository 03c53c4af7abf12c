"""Which nodes have room for a job, and the words for what it takes and for what they have. Light."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from amulet_plugin_ray.messages import Need

_GB: Final = 10**9
Resources = Mapping[str, float]
"""What a node has, by Ray's names: CPU, GPU, memory (bytes)."""


def workplaces(nodes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the nodes, of those that ``ray.nodes()`` lists, that are alive and have a CPU to work with."""
    return [node for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) > 0]


def has_place(need: Need, nodes: Iterable[Resources]) -> bool:
    """Tell whether a node, with nothing else on it, is large enough for a job."""
    asked = {"CPU": need.cpus, "GPU": need.gpus, "memory": need.memory}
    return any(all(node.get(name, 0.0) >= amount for name, amount in asked.items()) for node in nodes)


def room_for(nodes: Iterable[Resources], *, threads: int) -> int:
    """Count the jobs to hold at once: twice as many as can run, and some for a node that joins."""
    return 2 * sum(int(node.get("CPU", 0.0)) // threads for node in nodes) + 16


def needed(need: Need) -> str:
    """Say what a job takes."""
    parts = [_count(need.cpus, "CPU")]
    parts += [_count(need.gpus, "GPU")] * (need.gpus > 0)
    parts += [f"{need.memory / _GB:.3g} GB of memory"] * (need.memory > 0)
    return _joined(parts)


def at_most(nodes: Collection[Resources]) -> str:
    """Say how much of each kind the nodes have at most."""
    most = {name: max((node.get(name, 0.0) for node in nodes), default=0.0) for name in ("CPU", "GPU", "memory")}
    memory = f"{most['memory'] / _GB:.3g} GB of memory"
    return _joined([_count(most["CPU"], "CPU"), _count(most["GPU"], "GPU"), memory])


def _count(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def _joined(parts: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
