"""The executor `processes`, with real subprocesses that misbehave in every way a worker can."""

import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest
from fake_workers import finish, pid_of, task, unmeasured

from amulet_core.sessions import Done, Failed
from amulet_plugins_builtin.executors.workers import Command


def test_many_jobs_are_each_answered_once_by_a_few_workers(bench):
    with bench.session() as session:
        outcomes = finish(session, [task(f"{n}") for n in range(60)])
    assert set(outcomes) == {f"{n}" for n in range(60)}
    assert {pid_of(outcome) for outcome in outcomes.values()} == set(bench.pids)
    assert len(bench.pids) == 2
    assert bench.warnings == []


def test_two_workers_work_at_the_same_time(bench):
    meet = bench.fifo("meet")
    with bench.session() as session:
        outcomes = finish(session, [task("a", meet=meet, mode="r"), task("b", meet=meet, mode="w")])
    assert pid_of(outcomes["a"]) != pid_of(outcomes["b"])


@pytest.mark.parametrize(
    ("cores", "params", "most"), [(1, {}, 1), (2, {}, 2), (5, {}, 5), (5, {"workers": 3}, 3), (0, {"workers": 1}, 1)]
)
def test_room_is_what_the_cores_and_the_user_allow(bench, cores, params, most):
    with bench.session(cores=cores, **params) as session:
        for taken in range(most):
            assert session.room == most - taken
            session.submit(task(f"{taken}"))
        assert session.room == 0
        session.next()
        assert session.room == 1
    assert bench.warnings == []


def test_more_workers_than_cores_are_refused_with_a_warning(bench):
    with bench.session(cores=2, workers=7) as session:
        assert session.room == 2
    assert bench.warnings == [
        "builtin/processes: 2 of 7 workers are used: this process may use 2 cores, and a job has 1"
    ]


def test_no_worker_is_started_before_there_is_a_job_for_it(bench):
    with bench.session():
        assert bench.pids == []
    with bench.session() as session:
        finish(session, [task("a")])
    assert len(bench.pids) == 1


def test_an_outcome_that_nobody_waits_for_cannot_be_had(bench):
    with bench.session() as session, pytest.raises(IndexError):
        session.next()


def test_an_answer_may_be_longer_than_a_pipe(bench):
    with bench.session() as session:
        outcomes = finish(session, [task("a", long=3_000_000)])
    assert len(outcomes["a"].record["long"]) == 3_000_000


@pytest.mark.parametrize(
    ("end", "how"),
    [
        ({"kill": 9}, "was killed by SIGKILL"),
        ({"kill": 9, "half": True}, "was killed by SIGKILL"),
        ({"kill": 11}, "was killed by SIGSEGV"),
        ({"exit": 0}, "ended with exit code 0"),
    ],
)
def test_a_job_whose_worker_died_is_done_by_a_new_one(bench, end, how):
    with bench.session() as session:
        outcomes = finish(session, [task("a", once=str(bench.folder / "once"), **end)])
    assert pid_of(outcomes["a"]) == bench.pids[-1]
    assert bench.pids[-1] != bench.pids[0]
    assert bench.warnings == [f"builtin/processes: job a: the worker that did it {how}; it is tried again"]


def test_a_job_is_tried_again_on_a_new_worker_even_if_another_is_idle(bench):
    meet = bench.fifo("meet")
    with bench.session() as session:
        finish(session, [task("a", meet=meet, mode="r"), task("b", meet=meet, mode="w")])
        outcomes = finish(session, [task("c", once=str(bench.folder / "once"), kill=9)])
    assert [pid_of(outcomes["c"])] == bench.pids[2:]


def test_whether_workers_can_start_is_found_out_once(bench):
    with bench.session(workers=1, retries=3) as session:
        finish(session, [task("a", exit=1)])
    tries, probes = 4, 1
    assert len(bench.pids) == tries + probes


def test_a_worker_that_dies_after_its_answer_harms_no_job(bench):
    with bench.session(workers=1) as session:
        outcomes = finish(session, [task(f"{n}", last=True) for n in range(5)])
    assert [pid_of(outcomes[f"{n}"]) for n in range(5)] == bench.pids
    assert len(set(bench.pids)) == 5


@pytest.mark.parametrize(
    ("end", "retries", "reason"),
    [
        (
            {"kill": 9},
            1,
            "the worker that did it was killed by SIGKILL (tried 2 times); it held N GB of memory when last seen; the kernel "
            "may have run out of memory: use fewer workers, or set memory_gb to see which jobs take it",
        ),
        (
            {"kill": 11},
            0,
            "the worker that did it was killed by SIGSEGV; it held N GB of memory when last seen; see in the traceback what "
            "it said last",
        ),
        (
            {"exit": 3},
            2,
            "the worker that did it ended with exit code 3 (tried 3 times); it held N GB of memory when last seen; see in "
            "the traceback what it said last",
        ),
        (
            {"exit": 0, "silent": True},
            0,
            "the worker that did it ended with exit code 0; it held N GB of memory when last seen; it said nothing",
        ),
    ],
)
def test_a_job_that_kills_its_workers_fails_by_name_and_nothing_else_does(bench, end, retries, reason):
    others = [task(f"{n}") for n in range(20)]
    with bench.session(retries=retries) as session:
        words = {} if end.pop("silent", False) else {"moan": "I have had enough\n"}
        outcomes = finish(session, [task("bad", **words, **end), *others])
    bad = outcomes.pop("bad")
    assert isinstance(bad, Failed)
    said = "".join(words.values()).strip()
    assert (bad.blame, unmeasured(bad.reason), bad.traceback) == ("builtin/processes", reason, said)
    assert all(isinstance(outcome, Done) for outcome in outcomes.values())
    assert len(bench.warnings) == retries


def test_a_job_alone_that_kills_its_workers_does_not_pass_for_a_worker_that_cannot_start(bench):
    with bench.session() as session:
        outcomes = finish(session, [task("a", exit=1), task("b", exit=1), task("c")])
    assert isinstance(outcomes["c"], Done)
    assert all("ended with exit code 1 (tried 2 times)" in outcomes[key].reason for key in "ab")


def test_last_words_are_those_said_since_the_job_began_and_reach_the_user_too(bench, capsys):
    with bench.session(workers=1, retries=0) as session:
        outcomes = finish(session, [task("a", moan="all is well\n"), task("b", moan="not any more\n", kill=9)])
    assert outcomes["b"].traceback == "not any more"
    assert capsys.readouterr().err == "all is well\nnot any more\n"


def test_a_worker_that_died_while_it_was_idle_is_not_blamed_on_the_next_job(bench):
    with bench.session(workers=1, retries=0) as session:
        finish(session, [task("a")])
        psutil.Process(bench.pids[0]).kill()
        session.workers[0].process.wait()
        outcomes = finish(session, [task("b")])
    assert pid_of(outcomes["b"]) == bench.pids[1]


@pytest.mark.parametrize(
    "said",
    [
        "hello",
        "{}",
        "[1]",
        '"done"',
        '{"kind": "done"}',
        '{"kind": "unheard of"}',
        '{"kind": "done", "record": {}}\n{}',
    ],
)
def test_an_answer_that_is_no_outcome_fails_the_job_and_ends_the_worker(bench, said):
    with bench.session(workers=1) as session:
        outcomes = finish(session, [task("a", answer=said), task("b")])
    assert outcomes["a"].blame == "builtin/processes"
    assert outcomes["a"].reason == (
        f"the worker did not answer with an outcome, but with {said + chr(10)!r}: something in the job writes where only the "
        "worker should; run it with the executor inline to see what"
    )
    assert [pid_of(outcomes["b"])] == bench.pids[1:]


def test_a_worker_that_talks_unasked_gets_no_other_job(bench):
    told, said = bench.fifo("told"), bench.fifo("said")
    with bench.session(workers=1) as session:
        finish(session, [task("a", more=[told, said])])
        Path(told).open("w").close()
        Path(said).open().close()
        outcomes = finish(session, [task("b")])
    assert [pid_of(outcomes["b"])] == bench.pids[1:]


def test_workers_that_cannot_start_fail_every_job_at_once_and_say_why(bench):
    script = f"open({str(bench.starts)!r}, 'a').write('1 ')\nimport nowhere"
    with bench.session(command=Command((sys.executable, "-c", script), {}), retries=50) as session:
        outcomes = finish(session, [task(f"{n}") for n in range(30)])
    reasons = {(outcome.blame, outcome.reason.partition(" See")[0]) for outcome in outcomes.values()}
    assert reasons == {
        (
            "builtin/processes",
            "no worker can be started: it ended with exit code 1, and said last: ModuleNotFoundError: No module named "
            "'nowhere'.",
        )
    }
    assert outcomes["29"].reason.endswith(" </dev/null")
    assert len(bench.pids) <= 3
    assert bench.warnings == []


def test_a_command_that_is_not_there_fails_every_job_and_says_why(bench):
    with bench.session(command=Command((str(bench.folder / "gone"),), {})) as session:
        outcomes = finish(session, [task("a"), task("b")])
    assert {outcome.reason for outcome in outcomes.values()} == {
        f"no worker could be started for it: FileNotFoundError: [Errno 2] No such file or directory: '{bench.folder}/gone'; "
        "this machine may be short of processes, open files or memory: use fewer workers"
    }


def test_leaving_ends_all_workers_and_what_they_started_whatever_they_do(bench):
    child, hung, deaf = bench.folder / "child", bench.fifo("hung"), bench.fifo("deaf")
    with bench.session(cores=3) as session:
        session.submit(task("busy", child=str(child), hang=hung))
        session.submit(task("deaf", deaf=True, hang=deaf))
        assert pid_of(finish(session, [task("idle")])["idle"]) in bench.pids
        with pytest.raises(KeyboardInterrupt):
            _interrupted_while(session, [hung, deaf])
        started = [psutil.Process(pid) for pid in bench.pids]
        grandchild = psutil.Process(int(child.read_text()))
    assert len(started) == 3
    assert not any(process.is_running() for process in started)
    assert grandchild.wait(timeout=20) is None


def _interrupted_while(session, fifos):
    """Wait for the next outcome, and be interrupted as by Ctrl-C when all the FIFOs have been opened by others."""

    def press():
        for fifo in fifos:
            Path(fifo).open().close()
        signal.raise_signal(signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        session.next()
    finally:
        pressing.join()
