"""The image data sets: whole files, wrong files, missing files, and the way through torchvision."""

import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from amulet_plugins_builtin.catalogue.datasets import DownloadedPixelsParams, PixelGroupParams
from amulet_plugins_builtin.datasets import idx_images
from amulet_plugins_builtin.datasets.digits import digits
from amulet_plugins_builtin.datasets.idx_images import FASHION_MNIST, MNIST, load
from amulet_plugins_builtin.datasets.pixel_groups import brighter_than_its_class
from amulet_plugins_builtin.datasets.samples import PARTS, write_digits


def write_idx(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write images where torchvision keeps what it has downloaded, in the format of MNIST's authors."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    names = dict(
        zip(PARTS, ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"), strict=True)
    )
    for part, array in arrays.items():
        header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        (raw / f"{names[part]}-ubyte").write_bytes(header + array.tobytes())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name an empty folder in AMULET_DATA, and another as the cache of downloads."""
    monkeypatch.setenv("AMULET_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "data"


def test_digits_are_those_of_scikit_learn() -> None:
    data, (pixels, labels) = digits(PixelGroupParams()), load_digits(return_X_y=True)
    assert np.array_equal(data.x.flatten(1).numpy(), pixels)
    assert np.array_equal(data.y.numpy(), labels)
    assert (data.x.min(), data.x.max()) == (0, 16)
    assert (data.schema.feasible.low, data.schema.feasible.high) == (0, 16)


def test_half_of_each_class_is_brighter_than_the_rest_of_it() -> None:
    data, plain = digits(PixelGroupParams(groups=("brightness",))), digits(PixelGroupParams())
    assert torch.equal(data.x, plain.x)
    assert plain.schema.sensitive == ()
    (attribute,) = data.schema.sensitive
    assert (attribute.name, attribute.categories) == ("brightness", ("dark", "bright"))
    assert data.z.shape == (1797, 1)
    for label in range(10):
        mean = data.x[data.y == label].flatten(1).mean(1)
        bright = data.z[data.y == label, 0] == 1
        assert mean[bright].min() > mean[~bright].max()
        # Images as bright as the median are dark.
        assert 0.45 < bright.float().mean() <= 0.5


@pytest.mark.parametrize(
    ("loader", "name", "classes"),
    [
        ("mnist", "mnist.npz", [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]),
        ("fashion_mnist", "fashion_mnist.npz", [7000] * 10),
    ],
)
def test_both_official_splits_are_there(
    loader: str, name: str, classes: list[int], original: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = original(name)
    monkeypatch.setenv("AMULET_DATA", str(path.parent))
    data = getattr(idx_images, loader)(DownloadedPixelsParams())
    assert tuple(data.x.shape) == (70_000, 1, 28, 28)
    assert data.y.bincount().tolist() == classes
    assert (data.x.min(), data.x.max()) == (0, 1)
    with np.load(path) as arrays:
        assert np.array_equal((data.x[60_000:, 0] * 255).round().numpy(), arrays["x_test"])


def test_large_images_have_the_same_groups(folder: Path) -> None:
    source, arrays = write_digits(folder, MNIST)
    twice = {part: np.concatenate([array, array // 2]) for part, array in arrays.items() if part.startswith("x")}
    again = {part: np.concatenate([array, array]) for part, array in arrays.items() if part.startswith("y")}
    pixels = np.concatenate([twice["x_train"], twice["x_test"]])
    expected = brighter_than_its_class(
        torch.from_numpy(pixels).float(), torch.from_numpy(np.concatenate([again["y_train"], again["y_test"]])).long()
    )
    np.savez_compressed(folder / "mnist.npz", **twice, **again)
    source = replace(source, file_sha256=sha256((folder / "mnist.npz").read_bytes()).hexdigest())
    data = load(source, DownloadedPixelsParams(groups=("brightness",)))
    assert torch.equal(data.z[:, 0], expected)
    assert data.z.unique().tolist() == [0, 1]


def test_pixels_are_scaled_and_the_training_images_come_first(folder: Path) -> None:
    source, arrays = write_digits(folder, MNIST)
    data = load(source, DownloadedPixelsParams())
    expected = np.concatenate([arrays["x_train"], arrays["x_test"]])[:, None].astype(np.float32) / 255
    assert torch.equal(data.x, torch.from_numpy(expected))
    assert data.y.tolist() == [3, 1, 4]


@pytest.mark.parametrize("damage", [lambda b: b[:-100], lambda b: b[:-1] + b"?", lambda b: b""])
def test_a_damaged_file_is_an_error_with_both_checksums(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    source, _ = write_digits(folder, MNIST)
    path = folder / "mnist.npz"
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(ValueError) as raised:
        load(source, DownloadedPixelsParams(download=True))
    assert str(raised.value) == (
        f"mnist: {path} ({len(damaged):,} bytes) is truncated, changed or of another version: expected SHA-256 "
        f"{source.file_sha256}, found {sha256(damaged).hexdigest()}; put a whole copy there, or delete it, "
        "install 'amulet-framework[images]' and set the parameter download to true"
    )


def test_a_missing_file_is_an_error_that_says_both_ways(folder: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        load(FASHION_MNIST, DownloadedPixelsParams())
    assert str(raised.value) == (
        f"fashion-mnist: there is no {folder / 'fashion_mnist.npz'} (AMULET_DATA names the folder): put "
        "fashion_mnist.npz there, or install 'amulet-framework[images]' and set the parameter download to true"
    )


def test_without_a_folder_the_error_says_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMULET_DATA", raising=False)
    with pytest.raises(FileNotFoundError) as raised:
        load(MNIST, DownloadedPixelsParams())
    assert str(raised.value) == (
        "mnist: the variable AMULET_DATA is not set: set it to the folder that holds mnist.npz, "
        "or install 'amulet-framework[images]' and set the parameter download to true"
    )


def test_a_download_without_torchvision_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(FileNotFoundError) as raised:
        load(MNIST, DownloadedPixelsParams(download=True))
    assert str(raised.value) == (
        f"mnist: there is no {folder / 'mnist.npz'} (AMULET_DATA names the folder), and torchvision, which the "
        "download needs, cannot be imported (import of torchvision halted; None in sys.modules): put mnist.npz there, "
        "or run: pip install 'amulet-framework[images]'"
    )


def test_torchvisions_images_are_the_same_rows(folder: Path) -> None:
    pytest.importorskip("torchvision.datasets", reason="the extra images is not installed")
    source, arrays = write_digits(folder, MNIST)
    expected = load(source, DownloadedPixelsParams())
    (folder / "mnist.npz").unlink()
    write_idx(idx_images.cache(), arrays)
    data = load(source, DownloadedPixelsParams(download=True))
    assert torch.equal(data.x, expected.x)
    assert torch.equal(data.y, expected.y)


def test_other_images_from_torchvision_are_an_error(folder: Path) -> None:
    pytest.importorskip("torchvision.datasets", reason="the extra images is not installed")
    source, arrays = write_digits(folder, MNIST)
    (folder / "mnist.npz").unlink()
    arrays["x_train"][0, 0, 0] ^= 1
    write_idx(idx_images.cache(), arrays)
    found = sha256(b"".join(arrays[part].tobytes() for part in PARTS)).hexdigest()
    with pytest.raises(ValueError) as raised:
        load(source, DownloadedPixelsParams(download=True))
    assert str(raised.value) == (
        f"mnist: the images downloaded to {idx_images.cache()} are not the published ones: expected SHA-256 "
        f"{source.content_sha256}, found {found}; delete that folder and try again"
    )


def test_a_failed_download_is_an_error_with_its_cause(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="the extra images is not installed")

    def unreachable(self: object) -> None:
        raise RuntimeError("no route to host")

    monkeypatch.setattr(datasets.MNIST, "download", unreachable)
    with pytest.raises(ConnectionError) as raised:
        load(MNIST, DownloadedPixelsParams(download=True))
    assert str(raised.value) == (
        f"mnist: torchvision could not download the images to {idx_images.cache()} (no route to host); try again, "
        "or set AMULET_DATA to the folder that holds mnist.npz"
    )


def test_the_published_content_is_that_of_mnists_authors(original: Callable[[str], Path]) -> None:
    """The MD5 sums of the authors' uncompressed files tie our file to them, whoever packed it."""
    from hashlib import md5

    with np.load(original("mnist.npz")) as arrays:
        images = arrays["x_train"]
        digest = sha256(b"".join(arrays[part].tobytes() for part in PARTS)).hexdigest()
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape)
    assert md5(header + images.tobytes()).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    assert digest == MNIST.content_sha256
