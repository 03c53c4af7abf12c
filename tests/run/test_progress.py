"""What a run shows while it goes on."""

import io
import re

from amulet_core.progress import shown_progress


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
    assert all(re.fullmatch(r"\[\d+/200\] \d+ s, about \d+ s left: job \d+", line) for line in lines)
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
