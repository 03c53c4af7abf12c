"""The executor on a real cluster, with workers that need no run."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import psutil
import pytest
from amulet_core.components import Resources
from amulet_core.errors import RequestError
from amulet_core.sessions import Done, Failed, Setting, Task
from ray_service import SECONDS, Gate

from amulet_plugin_ray.executor import ClusterError, Service, serving
from amulet_plugin_ray.settings import RayParams

SERVICE = Service("ray_service:answer", "ray_service:problems")


def setting(**changes):
    given = {"threads": 1, "cache": "/cache", "greeting": "[]", "warn": pytest.fail}
    return Setting(**given | changes)


def task(letter, key="key", **resources):
    return Task(key, f"the job {key}", lambda: pytest.fail("done in the run's process"), letter, Resources(**resources))


def done(session, *tasks):
    """Return the outcomes of tasks, in their order."""
    for one in tasks:
        session.submit(one)
    outcomes = dict(session.next() for _ in tasks)
    return [outcomes[one.key] for one in tasks]


def joined(cluster, **changes):
    params = {"address": cluster.address, "wait_seconds": SECONDS}
    return RayParams(**params | changes)


@pytest.fixture(scope="module")
def session(cluster):
    with serving(joined(cluster), setting(), SERVICE) as session:
        yield session


def test_jobs_are_done_elsewhere_under_their_names(session):
    room = session.room
    tasks = [task(f"hello {i}", key=str(i)) for i in range(3)]
    assert room == 2 * 3 + 16
    outcomes = done(session, *tasks)
    assert [outcome.record["letter"] for outcome in outcomes] == ["hello 0", "hello 1", "hello 2"]
    assert [outcome.record["name"] for outcome in outcomes] == ["the job 0", "the job 1", "the job 2"]
    assert session.room == room


def test_room_shrinks_with_every_job_that_is_not_back(cluster, tmp_path):
    gate = Gate(tmp_path / "gate")
    with serving(joined(cluster, pending=2), setting(), SERVICE) as session:
        rooms = [session.room]
        session.submit(task(f"wait {gate.path}", key="waits"))
        rooms.append(session.room)
        done(session, task("hello"))
        rooms.append(session.room)
    assert rooms == [2, 1, 1]


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({}, {"CPU": 1.0}),
        ({"cpus": 2}, {"CPU": 2.0}),
        ({"gpus": 1}, {"CPU": 1.0, "GPU": 1.0}),
        ({"gpus": 0.5, "memory_gb": 1.5}, {"CPU": 1.0, "GPU": 0.5, "memory": 1.5e9}),
    ],
    ids=str,
)
def test_a_job_is_given_what_it_asks_for(session, asked, given):
    [outcome] = done(session, task("hello", **asked))
    assert outcome.record["resources"] == given


def test_a_job_has_a_cpu_for_each_of_its_threads(cluster):
    with serving(joined(cluster), setting(threads=2), SERVICE) as session:
        [outcome] = done(session, task("hello"))
    assert outcome.record["resources"] == {"CPU": 2.0}


def test_workers_have_the_environment_of_the_run(cluster, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AMULET_DATA", "data")
    with serving(joined(cluster), setting(cache="/the/cache"), SERVICE) as session:
        [outcome] = done(session, task("hello"))
    assert outcome.record["environment"] == {
        "AMULET_CACHE": "/the/cache",
        "AMULET_DATA": str(tmp_path / "data"),
        "AMULET_PLUGINS": "ray",
    }


def test_an_answer_that_raises_fails_its_own_job_and_no_other(session):
    failed, fine = done(session, task("raise", key="bad"), task("hello", key="good"))
    assert (failed.blame, failed.reason) == ("ray/ray", "RuntimeError: the answer is out of order")
    assert "ray_service.py" in failed.traceback
    assert isinstance(fine, Done)


def test_an_answer_that_is_no_outcome_is_said_to_be_none(session):
    [outcome] = done(session, task("babble"))
    assert outcome == Failed("ray/ray", "a worker's answer is Expecting value: line 1 column 1 (char 0)")


def test_resources_that_ray_does_not_know_fail_the_job(session):
    [outcome] = done(session, task("hello", gpus=1.5))
    assert outcome.blame == "ray/ray"
    assert outcome.reason.startswith("Ray does not take 1 CPU and 1.5 GPUs: ValueError: ")


def test_a_job_is_tried_again_when_its_worker_dies_as_often_as_allowed(cluster, tmp_path):
    once, ever = tmp_path / "once", tmp_path / "ever"
    with serving(joined(cluster, retries=1), setting(), SERVICE) as session:
        fine, failed = done(session, task(f"die {once} 1", key="once"), task(f"die {ever} 9", key="ever"))
    assert isinstance(fine, Done)
    assert (once.read_text(), ever.read_text()) == ("xx", "xx")
    assert (failed.blame, failed.reason) == (
        "ray/ray",
        "lost with its worker or its node, tried 2 times; the last: WorkerCrashedError: The worker died "
        "unexpectedly while executing this task.",
    )


def test_a_job_that_no_node_can_hold_fails_by_name_and_the_user_is_told_meanwhile(cluster):
    told = []
    with serving(joined(cluster, patience_seconds=2), setting(warn=told.append), SERVICE) as session:
        fine, failed = done(session, task("hello", key="small", gpus=1), task("hello", key="large", gpus=2))
    assert isinstance(fine, Done)
    memory = re.search(r"[\d.]+ GB", failed.reason).group()
    assert failed == Failed(
        "ray/ray",
        "no node of the cluster has 1 CPU and 2 GPUs, and none joined within 2 s: they have at most 2 CPUs, 1 GPU and "
        f"{memory} of memory. Start a node that is large enough, and run again",
    )
    assert told == [
        "ray/ray: the job large needs 1 CPU and 2 GPUs, and the cluster's nodes have at most 2 CPUs, 1 GPU and "
        f"{memory} of memory: waiting 2 s for one that is large enough"
    ]


def test_a_node_that_joins_gets_the_job_that_waited_for_it(cluster):
    told = threading.Event()
    with serving(joined(cluster), setting(warn=lambda _: told.set()), SERVICE) as session:
        session.submit(task("hello", gpus=2))
        waiting = threading.Thread(target=lambda: outcomes.append(session.next()))
        outcomes = []
        waiting.start()
        assert told.wait(SECONDS)
        node = cluster.add_node(num_cpus=1, num_gpus=2, object_store_memory=80 * 2**20, include_dashboard=False)
        waiting.join(SECONDS)
        cluster.remove_node(node)
    assert outcomes[0][1].record["resources"] == {"CPU": 1.0, "GPU": 2.0}


def test_a_job_whose_node_dies_too_often_names_the_node_and_nothing_reaches_the_terminal(cluster, doomed, capfd):
    node, gate = doomed(num_gpus=4)
    with serving(joined(cluster, retries=0), setting(), SERVICE) as session:
        session.submit(task("gate", gpus=4))
        gate.come()
        cluster.remove_node(node, allow_graceful=False)
        _, outcome = session.next()
    assert outcome.blame == "ray/ray"
    assert re.fullmatch(
        r"lost with its worker or its node, tried 1 times; the last: NodeDiedError: .*"
        rf"Node IP: {node.node_ip_address}, node ID: {node.node_id}\.",
        outcome.reason,
    )
    assert capfd.readouterr() == ("", "")


def test_a_job_that_always_runs_out_of_memory_fails_and_names_the_node(cluster):
    scarce = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "100"}
    outcomes = []
    with serving(joined(cluster, retries=1), setting(warn=lambda _: None), SERVICE) as session:
        session.submit(task("forever", gpus=4))
        node = cluster.add_node(
            num_cpus=1, num_gpus=4, object_store_memory=80 * 2**20, include_dashboard=False, env_vars=scarce
        )
        waiting = threading.Thread(target=lambda: outcomes.append(session.next()[1]))
        waiting.start()
        waiting.join(SECONDS)
    cluster.remove_node(node)
    assert outcomes[0].blame == "ray/ray"
    assert re.fullmatch(
        r"lost with its worker or its node, tried 2 times; the last: OutOfMemoryError: 1 worker\(s\) were killed due "
        r"to the node running low on memory\. Memory on the node "
        rf"\(IP: {node.node_ip_address}, ID: {node.node_id}\) was [\d.]+GB used / [\d.]+GB limit \([\d.]+\)",
        outcomes[0].reason,
    )


def test_the_problems_of_all_nodes_come_at_once_each_under_its_node(cluster):
    greeting = json.dumps(["its torch is too old", "it does not see the cache"])
    with pytest.raises(RequestError) as error, serving(joined(cluster), setting(greeting=greeting), SERVICE):
        pytest.fail("it was joined")
    shown = [re.sub(r"\([^)]*\)", "(NAME)", problem) for problem in error.value.problems]
    ip = cluster.head_node.node_ip_address
    texts = ["its torch is too old", "it does not see the cache"]
    assert shown == 2 * [
        f"executor: ray/ray: the Ray cluster at {cluster.address}: node {ip} (NAME): {text}" for text in texts
    ]
    nodes = [cluster.head_node, *cluster.worker_nodes]
    assert all(any(node.node_id[:8] in problem for problem in error.value.problems) for node in nodes)


def test_a_node_that_lacks_a_package_is_told_to_install_it(cluster):
    with pytest.raises(RequestError) as error, serving(joined(cluster), setting(), Service(problems="absent:one")):
        pytest.fail("it was joined")
    assert all(
        problem.endswith(
            "ModuleNotFoundError: No module named 'absent'. Install the same packages on all nodes, AMULET and this "
            "plugin among them"
        )
        for problem in error.value.problems
    )
    assert len(error.value.problems) == 2


ADVICE = (
    "Start it with ray start --head on one machine and ray start --address={address} on the others, this one among "
    "them (ray status says what runs)"
)


def test_an_address_where_nobody_listens_is_refused_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RequestError) as error, serving(RayParams(address=address), setting(), SERVICE):
            pytest.fail("it was joined")
    assert error.value.problems == (
        f"executor: ray/ray: the Ray cluster at {address} cannot be joined: ConnectionRefusedError: [Errno 111] "
        f"Connection refused. {ADVICE.format(address=address)}",
    )


def test_a_cluster_that_does_not_answer_is_waited_for_no_longer_than_asked(capfd):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        params = RayParams(address=address, wait_seconds=4)
        with pytest.raises(RequestError) as error, serving(params, setting(), SERVICE):
            pytest.fail("it was joined")
    assert error.value.problems == (
        f"executor: ray/ray: the Ray cluster at {address} cannot be joined: it has not answered within 4 s. "
        f"{ADVICE.format(address=address)}",
    )
    assert capfd.readouterr() == ("", "")


GUARDED = """
import logging, sys, ray
ray.init("local", num_cpus=1, include_dashboard=False, object_store_memory=80 * 2**20, logging_level=logging.ERROR)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


def test_a_cluster_that_wants_a_token_is_refused_with_what_to_set(tmp_path):
    home = os.environ | {"HOME": str(tmp_path), "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", GUARDED], env=home, text=True, **pipes) as guarded:
        address = guarded.stdout.readline().strip()
        params = RayParams(address=address, wait_seconds=SECONDS)
        with pytest.raises(RequestError) as error, serving(params, setting(), SERVICE):
            pytest.fail("it was joined")
        guarded.stdin.close()
    assert error.value.problems == (
        f"executor: ray/ray: the Ray cluster at {address} cannot be joined: it wants an authentication token. Where "
        "this account has it, set RAY_AUTH_MODE=token and run again; or set RAY_AUTH_MODE=disabled where the cluster "
        f"is started. {ADVICE.format(address=address)}",
    )


def test_auto_is_the_cluster_that_ray_finds(cluster, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    with serving(joined(cluster, address="auto"), setting(), SERVICE) as session:
        [outcome] = done(session, task("hello"))
    assert outcome.record["cluster"] == cluster.address


def test_ctrl_c_ends_the_jobs_that_run_and_leaves_the_cluster_as_it_was(cluster, session, tmp_path):
    gate, worker = Gate(tmp_path / "gate"), []

    def press():
        worker.append(psutil.Process(gate.come()))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt), serving(joined(cluster), setting(), SERVICE) as interrupted:
        done(interrupted, task(f"wait {gate.path}"))
    assert worker[0].wait(SECONDS) is None
    assert isinstance(done(session, task("hello"))[0], Done)


def test_a_cluster_that_the_program_uses_already_is_joined_and_stays(cluster):
    import ray

    ray.init(address=cluster.address, log_to_driver=False)
    try:
        with serving(joined(cluster, address=None), setting(), SERVICE) as session:
            [outcome] = done(session, task("hello"))
        assert outcome.record["cluster"] == cluster.address
        assert ray.get(ray.put("still there")) == "still there"
    finally:
        ray.shutdown()


def test_without_an_address_a_cluster_is_started_and_ends_with_the_run(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))  # where Ray leaves a token for later clusters
    with serving(RayParams(wait_seconds=SECONDS), setting(), SERVICE) as session:
        [outcome] = done(session, task("hello"))
        assert len(_raylets(tmp_path)) == 1
    assert isinstance(outcome, Done)
    assert not _raylets(tmp_path)


def test_a_cluster_that_is_gone_ends_the_session_with_what_to_do(cluster, tmp_path):
    gate = Gate(tmp_path / "gate")
    before = _drivers()
    with serving(joined(cluster), setting(), SERVICE) as session:
        session.submit(task(f"wait {gate.path}"))
        gate.come()
        (driver,) = _drivers() - before  # other tests' sessions have theirs
        driver.kill()
        with pytest.raises(ClusterError) as error:
            session.next()
    assert str(error.value) == (
        "the connection to the Ray cluster was lost: its process was killed by SIGKILL, and said last: nothing. What "
        "was finished is in the cache: see that the cluster's head and this machine's node run, and run again"
    )


def _drivers():
    return {one for one in psutil.Process().children() if "amulet_plugin_ray.driver" in one.cmdline()}


def _raylets(home):
    """Return the nodes that were started with this home folder: other tests start some meanwhile."""
    found = set()
    for one in psutil.process_iter(["name"]):
        with suppress(psutil.Error):
            if one.info["name"] == "raylet" and one.environ().get("HOME") == str(home):
                found.add(one.pid)
    return found
