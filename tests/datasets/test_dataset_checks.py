"""The checks that data sets ship: each fails on a loader that is broken in the way it looks for."""

from dataclasses import replace

import pytest
import torch

from amulet_core.discovery.registry import discover
from amulet_core.testing import shipped_checks
from amulet_plugins_builtin.catalogue.datasets import GermanCreditParams, PixelGroupParams
from amulet_plugins_builtin.datasets import checks, checks_of_files
from amulet_plugins_builtin.datasets.cifar import CIFAR10, CIFAR100_FINE
from amulet_plugins_builtin.datasets.digits import digits
from amulet_plugins_builtin.datasets.idx_images import FASHION_MNIST, MNIST


def test_a_row_less_than_published_is_found():
    with pytest.raises(AssertionError) as error:
        checks.is_as_published(lambda: digits(PixelGroupParams()).take(torch.arange(1796)), checks.DIGITS)
    assert "classes=(178, 182, 177, 183, 181, 182, 181, 179, 173, 180), groups={}" in str(error.value)


def test_one_other_pixel_is_found():
    data = digits(PixelGroupParams())
    data.x[0, 0, 0, 0] += 1
    with pytest.raises(AssertionError, match=r"content='[0-9a-f]{64}'\), expected"):
        checks.is_as_published(lambda: data, checks.DIGITS)


def german_with(change):
    data = checks.german_credit(GermanCreditParams())
    change(data)
    return data


def beyond(data):
    data.x[3, data.schema.features.index("month")] = 1e6


def two_values(data):
    data.x[3, list(data.schema.feasible.one_hot[0])] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (beyond, "1 rows leave their bounds, expected none"),
        (two_values, "the one-hot groups [(0, 1, 2, 3)] have rows without exactly one value, expected none"),
    ],
)
def test_a_row_that_is_not_possible_is_found(change, message):
    with pytest.raises(AssertionError) as error:
        checks.is_feasible(lambda: german_with(change))
    assert str(error.value) == message


READS = {
    "mnist": (lambda: checks_of_files.reads_digits(MNIST), "idx_images.load"),
    "fashion-mnist": (lambda: checks_of_files.reads_digits(FASHION_MNIST), "idx_images.load"),
    "cifar10": (lambda: checks_of_files.reads_cifar(CIFAR10), "cifar.load"),
    "cifar100": (lambda: checks_of_files.reads_cifar(CIFAR100_FINE), "cifar.load"),
    "celeba": (checks_of_files.reads_celebrities, "celeba"),
    "lfw": (checks_of_files.reads_wild, "lfw"),
    "utkface": (checks_of_files.reads_faces, "utkface"),
    "table-file": (checks_of_files.reads_table, "table_file"),
    "image-folder": (checks_of_files.reads_folder, "image_folder"),
}
REFUSES = {
    "mnist": (lambda: checks_of_files.refuses_digits(MNIST), "idx_images.load", "mnist.npz"),
    "cifar10": (lambda: checks_of_files.refuses_cifar(CIFAR10), "cifar.load", "test_batch.bin"),
    "celeba": (checks_of_files.refuses_celebrities, "celeba", "the lines 3 are not"),
    "lfw": (checks_of_files.refuses_wild, "lfw", "1 lines have another form (first: Bo)"),
    "utkface": (checks_of_files.refuses_faces, "utkface", "39_1_2017.jpg"),
    "table-file": (checks_of_files.refuses_table, "table_file", "hours (1, first in line 3)"),
    "image-folder": (checks_of_files.refuses_folder, "image_folder", "b/1.png"),
}


def replaced(monkeypatch, name, make):
    """Replace a loader, where the checks find it, by what ``make`` makes of it."""
    place, _, function = name.rpartition(".")
    home = getattr(checks_of_files, place) if place else checks_of_files
    monkeypatch.setattr(home, function, make(getattr(home, function)))


@pytest.mark.parametrize(
    "spoil",
    [lambda data: replace(data, y=data.y.flip(0) * 0), lambda data: replace(data, x=data.x * 0.9)],
    ids=["other labels", "other inputs"],
)
@pytest.mark.parametrize(("check", "loader"), READS.values(), ids=READS)
def test_a_loader_that_reads_something_else_is_found(monkeypatch, check, loader, spoil):
    check()
    replaced(monkeypatch, loader, lambda own: lambda *given, **named: spoil(own(*given, **named)))
    with pytest.raises(AssertionError, match=r" is .*, expected "):
        check()


@pytest.mark.parametrize(("check", "loader", "named"), REFUSES.values(), ids=REFUSES)
def test_a_loader_that_takes_a_damaged_file_is_found(monkeypatch, check, loader, named):
    check()
    replaced(monkeypatch, loader, lambda own: lambda *given, **more: None)
    with pytest.raises(AssertionError) as error:
        check()
    assert str(error.value) == (f"a damaged file was met with: nothing; expected an error that names {named}")


def test_without_pillow_pictures_are_not_checked_and_it_is_said_why(monkeypatch):
    import sys

    from amulet_core.testing.findings import NotCheckedError

    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(NotCheckedError) as error:
        checks_of_files.reads_faces()
    assert str(error.value) == (
        "not checked, because Pillow cannot be imported (import of PIL halted; None in sys.modules): pip install "
        "'amulet-framework[images]'"
    )


@pytest.mark.parametrize("before", [None, "/somewhere"])
def test_checks_leave_the_data_folder_as_it_was(monkeypatch, before):
    import os

    if before is None:
        monkeypatch.delenv("AMULET_DATA", raising=False)
    else:
        monkeypatch.setenv("AMULET_DATA", before)
    checks_of_files.reads_table()
    assert os.environ.get("AMULET_DATA") == before


@pytest.mark.parametrize("name", ["adult", "cifar10"])
def test_the_checks_can_be_reached_by_name(name):
    assert len(shipped_checks(discover(select="").find("dataset", name))) == 2
