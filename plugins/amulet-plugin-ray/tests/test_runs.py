"""Whole runs: the same results as without a cluster, whatever happens to it."""

import json
import os
import re
import signal
import subprocess
import sys

import amulet_core as amulet
import psutil
import pytest
from amulet_core.errors import RequestError
from ray_service import SECONDS

RUN = """
import json, sys
import amulet_core as amulet
amulet.run(json.loads(sys.argv[1]))
"""


def found(results):
    """Return what must be equal, bit for bit: all but who did it, when and where."""
    told = results.model_dump(mode="json", exclude={"provenance"})
    del told["config"]["executor"]
    return told


def on(cluster, config, **params):
    executor = {"name": "ray/ray", "params": {"address": cluster.address, "wait_seconds": SECONDS} | params}
    return config | {"executor": executor}


@pytest.fixture
def expected(toy, tmp_path):
    results = amulet.run(toy, cache=tmp_path / "inline")
    assert all(cell.status == "ok" for cell in results.cells)
    return found(results)


def test_results_are_those_of_inline(cluster, toy, expected):
    results = amulet.run(on(cluster, toy))
    assert results.provenance.reused == 0
    assert found(results) == expected


def test_a_node_that_dies_in_the_middle_loses_nothing(cluster, toy, expected, doomed):
    node, gate = doomed(num_cpus=3)
    with subprocess.Popen([sys.executable, "-c", RUN, json.dumps(on(cluster, toy))], env=_environment()) as run:
        gate.come()
        cluster.remove_node(node, allow_graceful=False)
        assert run.wait(SECONDS) == 0
    results = amulet.run(on(cluster, toy))
    assert results.provenance.reused == len(results.cells)
    assert found(results) == expected


def test_a_driver_that_is_killed_goes_on_where_it_was(cluster, toy, expected, doomed):
    node, gate = doomed(num_cpus=3)
    with subprocess.Popen([sys.executable, "-c", RUN, json.dumps(on(cluster, toy))], env=_environment()) as run:
        worker = psutil.Process(gate.come())
        run.send_signal(signal.SIGKILL)
    worker.wait(SECONDS)  # the cluster ends what nobody waits for
    cluster.remove_node(node, allow_graceful=False)
    assert found(amulet.run(on(cluster, toy))) == expected


def test_a_node_with_another_processor_is_refused_by_name(cluster, toy):
    sizes = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    node = cluster.add_node(num_cpus=1, **sizes, env_vars={"ATEN_CPU_CAPABILITY": "default"})
    try:
        with pytest.raises(RequestError) as error:
            amulet.run(on(cluster, toy))
    finally:
        cluster.remove_node(node)
    [problem] = error.value.problems
    assert re.match(rf"executor: ray/ray: the Ray cluster at {cluster.address}: node .*{node.node_id[:8]}\): ", problem)
    assert re.search(r"does not fit the run: the processor is \S+ DEFAULT here and \S+ \w+ there$", problem)


def _environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
