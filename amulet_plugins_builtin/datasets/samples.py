"""Small data sets in the published formats, written into a folder: for the checks of loaders, and their tests."""

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from amulet_core.testing.findings import NotCheckedError
from amulet_plugins_builtin.datasets.cifar import Cifar
from amulet_plugins_builtin.datasets.idx_images import Source
from amulet_plugins_builtin.datasets.places import DATA

Colour = tuple[int, int, int]
PARTS: Final = ("x_train", "y_train", "x_test", "y_test")
RED: Final = (255, 0, 0)

FACES: Final[Mapping[str, Colour]] = {
    "26_0_2_2017.jpg.chip.jpg": RED,
    "5_1_4_2016.jpg": (0, 255, 0),
    "70_1_0_2015.jpg": (0, 0, 255),
}
"""Names of UTKFace's form, one without the second suffix, and the colours of the pictures."""

CELEBA: Final = """3
Male Smiling Young
000001.jpg -1  1  1
000002.jpg  1 -1  1
000003.jpg  1  1 -1
"""

LFW: Final = (
    "# lfw_attributes.txt v1.1\n#\tperson\timagenum\tMale\tWhite\tSmiling\n"
    "Ann Lee\t1\t-0.5\t2\t1.5\nBo\t12\t1\t-3\t-1\n"
)

TABLE: Final = """age,job,hours,sex,label
30,cook,40,f,no
40,clerk,38.5,m,yes
51,cook,0,f,yes
62,"a, b",12,m,no
"""
TABLE_SETTINGS: Final[Mapping[str, Any]] = {
    "categorical": ("job",),
    "sensitive": ("sex",),
    "bounds": {"age": (0, 100), "hours": (0, 60)},
    "immutable": ("age", "job"),
}


@contextmanager
def data_folder() -> Iterator[Path]:
    """Name an empty folder in AMULET_DATA for as long as the body runs."""
    before = os.environ.get(DATA)
    with TemporaryDirectory() as folder:
        os.environ[DATA] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ[DATA]
            else:
                os.environ[DATA] = before


def write_digits(folder: Path, like: Source) -> tuple[Source, dict[str, NDArray[np.uint8]]]:
    """Write three images as an npz file, and describe it as ``like`` is described."""
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (2, 28, 28), dtype=np.uint8),
        "y_train": np.array([3, 1], dtype=np.uint8),
        "x_test": rng.integers(0, 256, (1, 28, 28), dtype=np.uint8),
        "y_test": np.array([4], dtype=np.uint8),
    }
    folder.mkdir(exist_ok=True)
    np.savez(folder / like.file, **arrays)  # type: ignore[arg-type]  # numpy's types take the names for its options
    content = sha256(b"".join(arrays[part].tobytes() for part in PARTS)).hexdigest()
    digest = sha256((folder / like.file).read_bytes()).hexdigest()
    return replace(like, file_sha256=digest, content_sha256=content), arrays


Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


def images(classes: int = 10) -> Arrays:
    """Return one training and one test image of each class: x, y, and those of the test split."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (2, classes, 3, 32, 32), dtype=np.uint8)
    y = np.stack([rng.permutation(classes), rng.permutation(classes)]).astype(np.uint8)
    return x[0], y[0], x[1], y[1]


def records(arrays: Arrays, *, coarse: bool = False) -> dict[str, bytes]:
    """Return images as the binary version's files: labels, then the red, green and blue rows."""
    x, y, other_x, other_y = arrays
    train, test = (
        [
            (bytes([label // 5]) if coarse else b"") + bytes([label]) + image.tobytes()
            for image, label in zip(*pair, strict=True)
        ]
        for pair in ((x, y), (other_x, other_y))
    )
    if coarse:
        return {"train.bin": b"".join(train), "test.bin": b"".join(test)}
    size = len(train) // 5
    parts = {f"data_batch_{i + 1}.bin": b"".join(train[i * size : (i + 1) * size]) for i in range(5)}
    return {**parts, "test_batch.bin": b"".join(test)}


def write_folder(folder: Path, source: Cifar, contents: Mapping[str, bytes]) -> None:
    """Write files where the unpacked archive of CIFAR would be."""
    (folder / source.folder).mkdir()
    for name, content in contents.items():
        (folder / source.folder / name).write_bytes(content)


def write_archive(path: Path, source: Cifar, contents: Mapping[str, bytes]) -> None:
    """Write files as the archive of CIFAR."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{source.folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def picture(path: Path, *, colour: Colour = RED, size: tuple[int, int] = (8, 8)) -> None:
    """Write a picture of one colour, in the format that its name says.

    Raises:
        NotCheckedError: if Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise NotCheckedError(
            f"not checked, because Pillow cannot be imported ({error}): pip install 'amulet-framework[images]'"
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def write_faces(folder: Path, names: Mapping[str, Colour] = FACES) -> None:
    """Write pictures as UTKFace names them."""
    for name, colour in names.items():
        picture(folder / "UTKFace" / name, colour=colour, size=(40, 40))


def write_celebrities(folder: Path, text: str = CELEBA) -> None:
    """Write three pictures, each redder than the one before, and CelebA's list of attributes."""
    for number in (1, 2, 3):
        path = folder / "celeba" / "img_align_celeba" / f"{number:06d}.jpg"
        picture(path, colour=(80 * number, 0, 0), size=(178, 218))
    (folder / "celeba" / "list_attr_celeba.txt").write_text(text, encoding="utf-8")


def write_wild(folder: Path, text: str = LFW) -> None:
    """Write two pictures and the list of attributes of LFW."""
    (folder / "lfw_attributes.txt").write_text(text, encoding="utf-8")
    for name in ("Ann_Lee/Ann_Lee_0001.jpg", "Bo/Bo_0012.jpg"):
        picture(folder / "lfw_funneled" / name, colour=(200, 0, 0), size=(250, 250))


def write_classes(folder: Path) -> None:
    """Write three pictures into the subfolders of two classes."""
    picture(folder / "b" / "1.png", colour=(0, 255, 0))
    picture(folder / "a" / "2.png", colour=(0, 0, 51))
    picture(folder / "a" / "1.PNG")
