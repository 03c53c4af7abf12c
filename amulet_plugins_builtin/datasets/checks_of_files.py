"""Known-answer checks of the data sets that are not shipped: small files in their formats, whole and damaged."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.data import Data
from amulet_plugins_builtin.catalogue.datasets import DownloadedPixelsParams
from amulet_plugins_builtin.catalogue.more_datasets import CelebaParams, LfwParams, UtkfaceParams
from amulet_plugins_builtin.catalogue.own_datasets import ImageFolderParams, TableFileParams
from amulet_plugins_builtin.datasets import cifar, idx_images, samples
from amulet_plugins_builtin.datasets.celeba import celeba
from amulet_plugins_builtin.datasets.image_folder import image_folder
from amulet_plugins_builtin.datasets.lfw import lfw
from amulet_plugins_builtin.datasets.table_file import table_file
from amulet_plugins_builtin.datasets.utkface import utkface

Load = Callable[[], Data]


def mnist_checks() -> tuple[Check, ...]:
    """Return the checks of ``mnist``."""
    return _read("mnist", partial(reads_digits, idx_images.MNIST), partial(refuses_digits, idx_images.MNIST))


def fashion_mnist_checks() -> tuple[Check, ...]:
    """Return the checks of ``fashion-mnist``."""
    source = idx_images.FASHION_MNIST
    return _read("fashion-mnist", partial(reads_digits, source), partial(refuses_digits, source))


def cifar10_checks() -> tuple[Check, ...]:
    """Return the checks of ``cifar10``."""
    return _read("cifar10", partial(reads_cifar, cifar.CIFAR10), partial(refuses_cifar, cifar.CIFAR10))


def cifar100_checks() -> tuple[Check, ...]:
    """Return the checks of ``cifar100``."""
    return _read("cifar100", partial(reads_cifar, cifar.CIFAR100_FINE), partial(refuses_cifar, cifar.CIFAR100_FINE))


def celeba_checks() -> tuple[Check, ...]:
    """Return the checks of ``celeba``."""
    return _read("celeba", reads_celebrities, refuses_celebrities)


def lfw_checks() -> tuple[Check, ...]:
    """Return the checks of ``lfw``."""
    return _read("lfw", reads_wild, refuses_wild)


def utkface_checks() -> tuple[Check, ...]:
    """Return the checks of ``utkface``."""
    return _read("utkface", reads_faces, refuses_faces)


def table_file_checks() -> tuple[Check, ...]:
    """Return the checks of ``table-file``."""
    return _read("table-file", reads_table, refuses_table)


def image_folder_checks() -> tuple[Check, ...]:
    """Return the checks of ``image-folder``."""
    return _read("image-folder", reads_folder, refuses_folder)


def _read(name: str, reads: Callable[[], None], refuses: Callable[[], None]) -> tuple[Check, ...]:
    return (
        Check(f"{name} reads small files in its format", "every result rests on x, y and z", reads),
        Check(f"{name} refuses a damaged file", "a part of the data would pass for the whole", refuses),
    )


def reads_digits(source: idx_images.Source) -> None:
    """Read three images: bytes become fractions of 255, training images come first."""
    with samples.data_folder() as folder:
        own, arrays = samples.write_digits(folder, source)
        data = idx_images.load(own, DownloadedPixelsParams())
    pixels = np.concatenate([arrays["x_train"], arrays["x_test"]])[:, None]
    _expect("x * 255", (data.x * 255).round(), torch.from_numpy(pixels).float())
    _expect("y", data.y, torch.tensor([3, 1, 4]))


def refuses_digits(source: idx_images.Source) -> None:
    """Flip the last byte."""
    with samples.data_folder() as folder:
        own, _ = samples.write_digits(folder, source)
        content = (folder / own.file).read_bytes()
        (folder / own.file).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        _refused(lambda: idx_images.load(own, DownloadedPixelsParams()), naming=own.file)


def reads_cifar(source: cifar.Cifar) -> None:
    """Read one training and one test image of each class from the folder of the binary version."""
    arrays = samples.images(len(source.classes))
    with samples.data_folder() as folder:
        samples.write_folder(folder, source, samples.records(arrays, coarse=source.label_bytes == 2))
        data = cifar.load(replace(source, per_class=(1, 1)), download=False)
    x, y, other_x, other_y = arrays
    _expect("x * 255", (data.x * 255).round(), torch.from_numpy(np.concatenate([x, other_x])).float())
    _expect("y", data.y, torch.from_numpy(np.concatenate([y, other_y])).long())


def refuses_cifar(source: cifar.Cifar) -> None:
    """Leave the last byte out."""
    contents = samples.records(samples.images(len(source.classes)), coarse=source.label_bytes == 2)
    with samples.data_folder() as folder:
        samples.write_folder(folder, source, contents | {source.test: contents[source.test][:-1]})
        _refused(lambda: cifar.load(replace(source, per_class=(1, 1)), download=False), naming=source.test)


def reads_celebrities() -> None:
    """Read three pictures and their attributes."""
    with samples.data_folder() as folder:
        samples.write_celebrities(folder)
        data = celeba(CelebaParams(size=16))
    _expect("y", data.y, torch.tensor([1, 0, 1]))
    _expect("z", data.z, torch.tensor([[0, 1], [1, 1], [1, 0]]))
    # JPEG keeps a single colour to within a step or two.
    _expect("red", data.x[:, 0].mean((1, 2)) * 255, torch.tensor([80.0, 160.0, 240.0]), within=3)


def refuses_celebrities() -> None:
    """Leave an attribute of a picture out."""
    with samples.data_folder() as folder:
        samples.write_celebrities(folder, samples.CELEBA.replace("-1  1  1", "-1 1"))
        _refused(lambda: celeba(CelebaParams()), naming="the lines 3 are not")


def reads_wild() -> None:
    """Read two pictures and the scores of their attributes."""
    with samples.data_folder() as folder:
        samples.write_wild(folder)
        data = lfw(LfwParams(size=16))
    _expect("y", data.y, torch.tensor([1, 0]))
    _expect("z", data.z, torch.tensor([[0, 1], [1, 0]]))
    _expect("red", data.x[:, 0].mean((1, 2)) * 255, torch.tensor([200.0, 200.0]), within=3)


def refuses_wild() -> None:
    """Leave a score out."""
    with samples.data_folder() as folder:
        samples.write_wild(folder, samples.LFW.replace("Bo\t12\t1", "Bo\t12"))
        _refused(lambda: lfw(LfwParams()), naming="1 lines have another form (first: Bo)")


def reads_faces() -> None:
    """Read three pictures and what their names say."""
    with samples.data_folder() as folder:
        samples.write_faces(folder)
        data = utkface(UtkfaceParams(size=16))
    _expect("y", data.y, torch.tensor([0, 1, 1]))
    _expect("z", data.z, torch.tensor([[2, 1], [4, 0], [0, 3]]))
    _expect("colours", data.x.mean((2, 3)) * 255, torch.eye(3) * 255, within=3)


def refuses_faces() -> None:
    """Give a picture a name without a race."""
    with samples.data_folder() as folder:
        samples.write_faces(folder, {**samples.FACES, "39_1_2017.jpg": samples.RED})
        _refused(lambda: utkface(UtkfaceParams()), naming="39_1_2017.jpg")


def reads_table() -> None:
    """Read four lines: numbers in their own units, categories one-hot in alphabetical order."""
    data = _table(samples.TABLE)
    rows = [[30, 0, 0, 1, 40], [40, 0, 1, 0, 38.5], [51, 0, 0, 1, 0], [62, 1, 0, 0, 12]]
    _expect("x", data.x, torch.tensor(rows))
    _expect("y", data.y, torch.tensor([0, 1, 1, 0]))
    _expect("z", data.z, torch.tensor([[0], [1], [0], [1]]))


def refuses_table() -> None:
    """Leave a cell empty."""
    _refused(lambda: _table(samples.TABLE.replace("38.5", "")), naming="hours (1, first in line 3)")


def _table(text: str) -> Data:
    with samples.data_folder() as folder:
        (folder / "table.csv").write_text(text, encoding="utf-8")
        return table_file(TableFileParams(**samples.TABLE_SETTINGS))


def reads_folder() -> None:
    """Read three pictures of two classes."""
    with samples.data_folder() as folder:
        samples.write_classes(folder / "images")
        data = image_folder(ImageFolderParams(size=8))
    _expect("y", data.y, torch.tensor([0, 0, 1]))
    _expect("colours", data.x[:, :, 3, 3] * 255, torch.tensor([[255.0, 0, 0], [0, 0, 51], [0, 255, 0]]), within=0.01)


def refuses_folder() -> None:
    """Leave the second half of a picture out."""
    with samples.data_folder() as folder:
        samples.write_classes(folder / "images")
        path = folder / "images" / "b" / "1.png"
        path.write_bytes(path.read_bytes()[:50])
        _refused(lambda: image_folder(ImageFolderParams(size=8)), naming="b/1.png")


def _expect(what: str, found: Tensor, expected: Tensor, *, within: float = 0.0) -> None:
    same = found.shape == expected.shape and bool(((found - expected).abs() <= within).all())
    both = [one.tolist() if one.numel() <= 30 else f"{list(one.shape)} with other values" for one in (found, expected)]
    assert same, f"{what} is {both[0]}, expected {both[1]}"


def _refused(load: Load, *, naming: str) -> None:
    said = "nothing"
    try:
        load()
    except ValueError as error:
        said = str(error)
    assert naming in said, f"a damaged file was met with: {said}; expected an error that names {naming}"
