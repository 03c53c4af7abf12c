"""A real cluster of two nodes, a small plugin that is quick to train, and gates at which a node's job can be met."""

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from ray_service import Gate

TOY = '''
"""Data, a model and an attack that cost next to nothing."""

from amulet_core import hookimpl
from amulet_core.components import Attack, Dataset, Model
from ray_service import wait_at_gate


def blobs(params):
    import torch
    from amulet_core.data import make_data
    from amulet_core.schema import DataSchema, Feasible

    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (1500,), generator=generator)
    x = (torch.randn(1500, 4, generator=generator) * 0.2 + (y * 0.5)[:, None]).clamp(-4, 4)
    feasible = Feasible(low=-4.0, high=4.0)
    return make_data(x, y, DataSchema(modality="tabular", shape=(4,), classes=("no", "yes"), feasible=feasible))


def linear(params, schema):
    from torch import nn

    wait_at_gate()
    return nn.Linear(schema.width, len(schema.classes))


def nudge(view, params):
    import torch
    from amulet_core.games.evasion import EvasionAnswer

    return EvasionAnswer(x=torch.stack([view.x] * len(view.epsilons)))


@hookimpl
def amulet_components():
    here = __name__
    yield Dataset(name="blobs", summary="Two clouds of points.", target=f"{here}:blobs", licence="none")
    yield Model(name="linear", summary="A linear classifier.", target=f"{here}:linear", stackable=True)
    yield Attack(
        name="nudge", summary="Changes nothing at all.", target=f"{here}:nudge", risk="evasion", access="white-box"
    )
'''


@pytest.fixture(autouse=True)
def only_this_plugin(monkeypatch):
    monkeypatch.setenv("AMULET_PLUGINS", "ray")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("AMULET_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def cluster():
    """A head with one CPU, and a node with two CPUs and a GPU (in name)."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    sizes = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **sizes})
    cluster.add_node(num_cpus=2, num_gpus=1, memory=4 * 10**9, **sizes)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def doomed(cluster, tmp_path):
    """A function that adds a node whose jobs wait at a gate for ever, and returns the node and the gate."""
    nodes = []

    def add(**more):
        gate = Gate(tmp_path / "gate")
        sizes = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
        node = cluster.add_node(**{"num_cpus": 1} | sizes | more, env_vars={"GATE": str(gate.path)})
        nodes.append(node)
        return node, gate

    yield add
    for node in nodes:
        if node in cluster.worker_nodes:
            cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A configuration that uses the small plugin, which is installed for this test."""
    site = tmp_path / "site"
    metadata = site / "amulet_plugin_toy-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "toy_components.py").write_text(TOY)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: amulet-plugin-toy\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[amulet.v1]\ntoy = toy_components\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("AMULET_PLUGINS", "ray,toy")
    yield {
        "dataset": "blobs",
        "model": "toy/linear",
        "training": {"epochs": 2, "batch_size": 50, "learning_rate": 0.05},
        "data": {"train": 50, "val": 20, "test": 200, "aux": 50},
        "risks": {"evasion": {"attacks": ["nudge"]}},
        "seeds": 6,
        "stack": 2,
    }
    sys.modules.pop("toy_components", None)
