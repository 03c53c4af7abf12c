import subprocess
import sys

import pytest
from amulet_core.discovery.registry import discover
from pydantic import ValidationError

from amulet_plugin_ray.line import command
from amulet_plugin_ray.settings import RayParams


@pytest.mark.parametrize("module", ["amulet_plugin_ray", "amulet_plugin_ray.executor"])
def test_the_run_imports_no_ray(module):
    code = f"import sys, {module}; print(sorted({{'ray', 'torch', 'numpy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_cluster_that_is_started_sends_no_statistics_whatever_the_user_has_set(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    _, environment = command(retries=3)
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"


def test_the_executor_is_found_by_its_name():
    found = discover().find("executor", "ray/ray")
    assert (found.id, found.component.in_process) == ("ray/ray", False)


@pytest.mark.parametrize("address", [None, "auto", "127.0.0.1:6379", "head.cluster-1.example:6380"])
def test_an_address_is_auto_or_a_host_and_a_port(address):
    assert RayParams(address=address).address == address


@pytest.mark.parametrize("address", ["", "local", "head", "head:", "head:port", "http://head:6379", "a b:1"])
def test_another_address_is_refused(address):
    with pytest.raises(ValidationError, match="Value error, it must be auto or host:port "):
        RayParams(address=address)


def test_the_ray_client_is_refused_with_the_reason_and_the_way_round():
    with pytest.raises(ValidationError) as error:
        RayParams(address="ray://head:10001")
    assert error.value.errors()[0]["msg"] == (
        "Value error, the Ray client (ray://) is not supported: a connection that is lost for 30 s ends all jobs. "
        "Start the run on a machine of the cluster, with auto or the head's host:port (the port is 6379 unless ray "
        "start was told another)"
    )
