"""A journal gives back what was appended, whatever happened to its end or to a line in the middle."""

import io
from contextlib import ExitStack

import pytest

from amulet_core.running.journal import Journal, appended, read_journal

RECORDS = {"a": {"measured": [], "evidence": {}}, "b": {"text": "two\nlines \u2028 and \x85 more"}, "c": {"n": 0.1}}


@pytest.fixture
def path(tmp_path):
    with appended(tmp_path / "journal.jsonl") as append:
        for key, record in RECORDS.items():
            append(key, record)
    return tmp_path / "journal.jsonl"


def test_a_journal_that_is_not_there_is_empty(tmp_path):
    assert read_journal(tmp_path / "journal.jsonl") == Journal({})


def test_what_was_appended_is_read_the_last_of_a_key(path):
    assert read_journal(path) == Journal(RECORDS)
    with appended(path) as append:
        append("b", {"again": 1})
    assert read_journal(path) == Journal(RECORDS | {"b": {"again": 1}})


def test_a_record_is_in_the_file_as_soon_as_it_is_appended(tmp_path):
    with appended(tmp_path / "journal.jsonl") as append:
        for count, (key, record) in enumerate(RECORDS.items(), 1):
            append(key, record)
            assert len(read_journal(tmp_path / "journal.jsonl").records) == count


def test_a_last_line_cut_anywhere_is_counted_and_is_gone_once_more_is_appended(path):
    content = path.read_bytes()
    last = content[:-1].rindex(b"\n") + 1
    kept = {key: record for key, record in RECORDS.items() if key != "c"}
    for end in range(last, len(content)):
        path.write_bytes(content[:end])
        assert read_journal(path) == Journal(kept, damaged=int(end > last))
        with appended(path) as append:
            append("d", {"n": 4})
        assert read_journal(path) == Journal(kept | {"d": {"n": 4}})


def test_a_record_that_was_refused_halfway_does_not_spoil_the_next(path, monkeypatch):
    class Full(io.FileIO):
        left = 30

        def write(self, content):
            taken = min(self.left, len(content))
            Full.left -= taken
            return super().write(content[:taken])

    with monkeypatch.context() as patch:
        patch.setattr(
            type(path), "open", lambda self, mode, buffering=-1: (Full if "a" in mode else io.FileIO)(self, mode)
        )
        opened = appended(path)
        append = opened.__enter__()
    with ExitStack() as stack:
        stack.push(opened)
        with pytest.raises(OSError, match="No space left on device"):
            append("d", {"n": 4})
        Full.left = 10_000
        append("e", {"n": 5})
    assert read_journal(path) == Journal(RECORDS | {"e": {"n": 5}}, damaged=1)


@pytest.mark.parametrize("mask", [1, 0x80])
def test_another_byte_anywhere_costs_the_lines_it_is_in_and_is_counted(path, mask):
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= mask
        path.write_bytes(damaged)
        found = read_journal(path)
        assert found.records.items() <= RECORDS.items()
        assert found.damaged >= 1
        assert len(found.records) >= len(RECORDS) - 2


def test_a_record_that_is_not_finite_is_refused_and_leaves_the_journal_as_it_was(path):
    with appended(path) as append, pytest.raises(ValueError, match="not JSON compliant"):
        append("d", {"n": float("nan")})
    assert read_journal(path) == Journal(RECORDS)


def test_what_was_appended_is_on_the_disk_when_the_journal_is_closed(tmp_path, monkeypatch):
    sizes, path = [], tmp_path / "journal.jsonl"
    monkeypatch.setattr("os.fsync", lambda descriptor: sizes.append(path.stat().st_size))
    with appended(path) as append:
        append("a", {"n": 1})
    assert sizes[-1] == path.stat().st_size
