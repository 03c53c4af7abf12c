"""The jobs of a run on a Ray cluster, as an AMULET executor. Light: Ray itself is imported in a process of its own."""

from collections.abc import Iterator

from amulet_core import Component, hookimpl
from amulet_core.components import Executor, Reference

from amulet_plugin_ray.settings import RayParams


@hookimpl
def amulet_components() -> Iterator[Component]:
    """Yield the descriptor of the executor."""
    yield Executor(
        name="ray",
        summary="Jobs on a Ray cluster, of one machine or many, whose nodes may come and go during the run.",
        target="amulet_plugin_ray.executor:executor",
        params=RayParams,
        in_process=False,
        references=(
            Reference(title="Ray: A Distributed Framework for Emerging AI Applications", where="arXiv:1712.05889"),
        ),
    )
