"""Two processes that want one key: the second waits, and then finds what the first made."""

import errno
import os
import subprocess

import pytest

from amulet_core.storage.store import Store, Stored

KEY = "a" * 64
WAITER = """
import time
sleep, told = time.sleep, []

def poll(seconds):
    if not told:
        told.append(print("waiting", flush=True))
    sleep(seconds)

time.sleep = poll
with store.locked(key):
    print(type(store.get(key)).__name__)
"""


def test_a_process_that_ends_while_it_holds_a_key_frees_it(store: Store, process):
    holder = process(
        """
        with store.locked(key):
            print("held", flush=True)
            sys.stdin.read()
        """
    )
    waiter = waiting(process, holder)
    holder.kill()
    out, _ = waiter.communicate()
    assert out == "Missing\n"


def test_who_waits_for_a_key_finds_the_entry(store: Store, process):
    holder = process(
        """
        with store.locked(key):
            print("held", flush=True)
            sys.stdin.readline()
            store.put(key, Stored({}, b"made once"))
        """
    )
    waiters = [waiting(process, holder), waiting(process)]
    holder.stdin.write("go\n")
    for waiter in waiters:
        out, _ = waiter.communicate()
        assert out == "Stored\n"
    holder.wait()
    assert not list((store.folder / "locks").iterdir())


def waiting(process, holder: subprocess.Popen[str] | None = None) -> subprocess.Popen[str]:
    """Start a process that wants the key which ``holder`` holds, and come back once it waits for it."""
    if holder:
        assert holder.stdout.readline() == "held\n"
    waiter = process(WAITER)
    assert waiter.stdout.readline() == "waiting\n"
    return waiter


def test_another_key_is_not_waited_for(process):
    holder = process(
        """
        with store.locked(key):
            print("held", flush=True)
            sys.stdin.read()
        """
    )
    assert holder.stdout.readline() == "held\n"
    assert process(WAITER, key=KEY[:-1] + "b").stdout.readline() == "Missing\n"


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.ENOLCK, errno.ENOSPC])
def test_where_there_are_no_locks_work_goes_on_without(store: Store, monkeypatch: pytest.MonkeyPatch, error: int):
    import fcntl

    def refuse(*arguments: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with store.locked(KEY):
        store.put(KEY, Stored({}, b"done"))
    with store.locked(KEY):  # and nothing is left that would look like a held lock
        assert store.get(KEY) == Stored({}, b"done")


def test_an_exception_under_a_lock_frees_it(store: Store):
    with pytest.raises(ZeroDivisionError), store.locked(KEY):
        _ = 1 / 0
    with store.locked(KEY):
        pass
    assert not list((store.folder / "locks").iterdir())
