"""MNIST and Fashion-MNIST: from a file in the folder AMULET_DATA, or downloaded by torchvision; always checksummed."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amulet_core.data import Data, make_data
from amulet_core.schema import DataSchema, Feasible
from amulet_plugins_builtin.catalogue.datasets import DownloadedPixelsParams, DownloadParams
from amulet_plugins_builtin.datasets.pixel_groups import pixel_groups

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """A data set of 28x28 images: its file and class of torchvision, and the SHA-256 of file and content.

    The content is the bytes of training images, training labels, test images and test labels, in this order.
    """

    name: str
    file: str
    file_sha256: str
    content_sha256: str
    torchvision_class: str
    classes: tuple[str, ...]


MNIST = Source(
    name="mnist",
    file="mnist.npz",
    file_sha256="06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64",
    content_sha256="06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16",
    torchvision_class="MNIST",
    classes=tuple(str(digit) for digit in range(10)),
)
FASHION_MNIST = Source(
    name="fashion-mnist",
    file="fashion_mnist.npz",
    file_sha256="5b6d2c4c694a91887af8ab7d039c04f80af3c29378d731c93a538d2e831aa469",
    content_sha256="ca3ab2a37f845e1b8ae23cab1b51749a3011ba3bf1d9016176d75cbaabac376f",
    torchvision_class="FashionMNIST",
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
)
_PARTS = ("x_train", "y_train", "x_test", "y_test")


def mnist(params: DownloadedPixelsParams) -> Data:
    """Return MNIST: x ``[70000, 1, 28, 28]`` in 0 .. 1, both official splits, the training rows first."""
    return load(MNIST, params)


def fashion_mnist(params: DownloadedPixelsParams) -> Data:
    """Return Fashion-MNIST: x ``[70000, 1, 28, 28]`` in 0 .. 1, both official splits, the training rows first."""
    return load(FASHION_MNIST, params)


def load(source: Source, params: DownloadedPixelsParams) -> Data:
    """Return the images of a source, from AMULET_DATA if its file is there, else downloaded if that is allowed.

    Raises:
        FileNotFoundError: if there is no file and downloading is not allowed, or torchvision cannot be imported.
        ValueError: if the file or the download has another checksum than expected.
        ConnectionError: if the download fails.
    """
    folder = os.environ.get("AMULET_DATA")
    path = Path(folder) / source.file if folder else None
    parts = _from_file(source, path) if path and path.is_file() else _downloaded(source, params, path)
    x = torch.from_numpy(np.concatenate([parts[0], parts[2]])[:, None].astype(np.float32) / 255)
    y = torch.from_numpy(np.concatenate([parts[1], parts[3]]).astype(np.int64))
    sensitive, z = pixel_groups(x, y, params)
    schema = DataSchema(
        modality="image",
        shape=tuple(x.shape[1:]),
        classes=source.classes,
        sensitive=sensitive,
        feasible=Feasible(low=0.0, high=1.0),
    )
    return make_data(x, y, schema, z=z)


def _from_file(source: Source, path: Path) -> tuple[Bytes, ...]:
    found = sha256(path.read_bytes()).hexdigest()
    if found != source.file_sha256:
        raise ValueError(
            f"{source.name}: {path} ({path.stat().st_size:,} bytes) is truncated, changed or of another version: "
            f"expected SHA-256 {source.file_sha256}, found {found}; put a whole copy there, or delete it, "
            f"{_download_hint()}"
        )
    with np.load(path, allow_pickle=False) as arrays:
        return tuple(arrays[part] for part in _PARTS)


def _downloaded(source: Source, params: DownloadParams, path: Path | None) -> tuple[Bytes, ...]:
    missing = f"{source.name}: " + (
        f"there is no {path} (AMULET_DATA names the folder)" if path else "the variable AMULET_DATA is not set"
    )
    place = f"put {source.file} there" if path else f"set it to the folder that holds {source.file}"
    if not params.download:
        raise FileNotFoundError(f"{missing}: {place}, or {_download_hint()}")
    try:
        from torchvision import datasets  # type: ignore[import-untyped]  # an optional dependency, without types
    except ImportError as error:
        raise FileNotFoundError(
            f"{missing}, and torchvision, which the download needs, cannot be imported ({error}): {place}, "
            "or run: pip install 'amulet-framework[images]'"
        ) from error
    parts = _by_torchvision(source, getattr(datasets, source.torchvision_class))
    digest = sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
    if digest != source.content_sha256:
        raise ValueError(
            f"{source.name}: the images downloaded to {cache()} are not the published ones: expected SHA-256 "
            f"{source.content_sha256}, found {digest}; delete that folder and try again"
        )
    return parts


def _by_torchvision(source: Source, images: Callable[..., Any]) -> tuple[Bytes, ...]:
    try:
        sets = [images(str(cache()), train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"{source.name}: torchvision could not download the images to {cache()} ({error}); try again, "
            f"or set AMULET_DATA to the folder that holds {source.file}"
        ) from error
    return tuple(part.numpy().astype(np.uint8) for split in sets for part in (split.data, split.targets))


def cache() -> Path:
    """Return the folder that downloads go to: ``amulet`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amulet"


def _download_hint() -> str:
    return "install 'amulet-framework[images]' and set the parameter download to true"
