"""What a run shows while it goes on."""

import io
import re

import pytest

from amulet_core.running.progress import shown_progress


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_without_a_terminal_there_are_plain_lines_one_for_every_twentieth_and_the_last() -> None:
    stream = io.StringIO()
    with shown_progress(200, stream) as advance:
        for done in range(1, 201):
            advance(done, 200, f"job {done}")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 21
    assert re.fullmatch(r"\[1/200\] \d+ s: job 1", lines[0])
    assert all(re.fullmatch(r"\[\d+/200\] \d+ s, about \d+ s left: job \d+", line) for line in lines[1:])
    assert lines[-1].startswith("[200/200]")
    assert lines[-1].endswith("about 0 s left: job 200")
    assert "\x1b" not in stream.getvalue()


def test_on_a_terminal_there_is_a_bar_with_count_rate_and_time_left() -> None:
    stream = Terminal()
    with shown_progress(4, stream) as advance:
        for done in range(1, 5):
            advance(done, 4, "train [none]")
    shown = stream.getvalue()
    for part in ("4/4", "jobs/s", "left:", "train [none]"):
        assert part in shown


@pytest.mark.parametrize(("done", "shown"), [(4, r"left: -:--:--"), (5, r"left: \d:\d\d:\d\d")])
def test_on_a_terminal_no_time_is_left_before_a_twentieth_is_done(done: int, shown: str) -> None:
    stream = Terminal()
    with shown_progress(100, stream) as advance:
        for one in range(1, done + 1):
            advance(one, 100, "train [none]")
    last = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", stream.getvalue()).strip().splitlines()[-1]
    assert f"{done}/100" in last
    assert re.search(shown, last)


@pytest.mark.parametrize(("total", "silent"), [(20, 4), (5, 4), (2, 1)])
def test_of_few_jobs_five_or_all_are_enough_to_tell_the_time_left(total: int, silent: int) -> None:
    stream = io.StringIO()
    with shown_progress(total, stream) as advance:
        for done in range(1, silent + 2):
            advance(done, total, f"job {done}")
    *before, last = stream.getvalue().splitlines()
    assert [bool(re.fullmatch(rf"\[\d+/{total}\] \d+ s: job \d+", line)) for line in before] == [True] * silent
    assert re.fullmatch(rf"\[{silent + 1}/{total}\] \d+ s, about \d+ s left: job {silent + 1}", last)
