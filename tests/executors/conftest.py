"""What the tests of executors share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

sys.path.append(str(Path(__file__).parent))

from fake_workers import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a place to start sessions in; afterwards, see that no process is left of them, not even a dead one."""
    before = set(psutil.Process().children())
    yield Bench(tmp_path)
    assert set(psutil.Process().children()) == before
