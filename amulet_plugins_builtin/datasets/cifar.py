"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): the binary version, an npz file, or a lossy pack of JPEGs.

The better known Python version holds pickles, which could run any code: it is never read, nor does the download use
torchvision's classes, which unpickle it.
"""

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amulet_core.data import Data, make_data
from amulet_core.schema import DataSchema, Feasible
from amulet_plugins_builtin.catalogue.more_datasets import Cifar10Params, Cifar100Params
from amulet_plugins_builtin.datasets.idx_images import cache
from amulet_plugins_builtin.datasets.pictures import Shape, decoded, packed
from amulet_plugins_builtin.datasets.places import DATA, arrays_of, data_folder

_PIXELS: Final = 3 * 32 * 32
Images = NDArray[Any]
Parts = tuple[Images, Images, Images, Images]
"""Training images ``[n, 3, 32, 32]`` and labels ``[n]``, then those of the test split."""


@dataclass(frozen=True)
class Cifar:
    """One of the two data sets: where its files are, and how a record begins.

    A record is ``label_bytes`` labels, of which ``label`` is the one asked for, and the image. ``per_class`` says how
    many training and test images each class has.
    """

    name: str
    classes: tuple[str, ...]
    folder: str
    train: tuple[str, ...]
    test: str
    npz: str
    archive: str
    archive_md5: str
    per_class: tuple[int, int]
    label_bytes: int = 1
    label: int = 0
    pack: str = ""
    pack_sha256: str = ""


CIFAR10: Final = Cifar(
    name="cifar10",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test="test_batch.bin",
    npz="cifar10.npz",
    archive="cifar-10-binary.tar.gz",
    archive_md5="c32a1d4ab5d03f1284b67883e8d87530",
    per_class=(5000, 1000),
    pack="cifar10_jpegpack.npz",
    pack_sha256="1613a1675500a4e00fac3cef6334a7be39cb9b141bd28802f3826b850aadbbac",
)
_COARSE = (
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices "
    "household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes "
    "large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees "
    "vehicles_1 vehicles_2"
)
_FINE = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle "
    "caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant "
    "flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man "
    "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree "
    "plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper "
    "snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train "
    "trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)
CIFAR100_FINE: Final = Cifar(
    name="cifar100",
    classes=tuple(_FINE.split()),
    folder="cifar-100-binary",
    train=("train.bin",),
    test="test.bin",
    npz="cifar100.npz",
    archive="cifar-100-binary.tar.gz",
    archive_md5="03b5dce01913d631647c71ecec9e9cb8",
    per_class=(500, 100),
    label_bytes=2,
    label=1,
)
CIFAR100_COARSE: Final = Cifar(
    **{**vars(CIFAR100_FINE), "classes": tuple(_COARSE.split()), "npz": "", "per_class": (2500, 500), "label": 0}
)


def cifar10(params: Cifar10Params) -> Data:
    """Return CIFAR-10: x ``[60000, 3, 32, 32]`` in 0 .. 1, both official splits, the training rows first."""
    return load(CIFAR10, download=params.download, lossy=params.images == "jpegpack")


def cifar100(params: Cifar100Params) -> Data:
    """Return CIFAR-100 with its fine or coarse labels: x ``[60000, 3, 32, 32]`` in 0 .. 1, the training rows first."""
    return load(CIFAR100_FINE if params.labels == "fine" else CIFAR100_COARSE, download=params.download)


def load(source: Cifar, *, download: bool, lossy: bool = False) -> Data:
    """Return the images of a source, from AMULET_DATA if they are there, else downloaded if that is allowed.

    Raises:
        FileNotFoundError: if they are not there and downloading is not allowed, or torchvision cannot be imported.
        ValueError: if a file is damaged, or does not hold what was published.
        ConnectionError: if the download fails.
    """
    if lossy:
        x, y = _from_pack(source)
    else:
        parts = _found(source) or _downloaded(source, download=download)
        _check(source, parts)
        x = torch.from_numpy(np.concatenate([parts[0], parts[2]])).float() / 255
        y = torch.from_numpy(np.concatenate([parts[1], parts[3]]).astype(np.int64))
    schema = DataSchema(
        modality="image", shape=(3, 32, 32), classes=source.classes, feasible=Feasible(low=0.0, high=1.0)
    )
    return make_data(x, y, schema)


def _found(source: Cifar) -> Parts | None:
    """Return the images from the first of: the folder of the binary version, its archive, the npz file."""
    home = data_folder()
    if home is None:
        return None
    folder, archive, npz = (home / name for name in (source.folder, source.archive, source.npz or source.archive))
    if folder.is_dir():
        names = (*source.train, source.test)
        lacking = [name for name in names if not (folder / name).is_file()]
        if lacking:
            raise FileNotFoundError(f"{source.name}: {folder} lacks {', '.join(lacking)}: put the whole folder there")
        return _of_records(source, {name: (folder / name).read_bytes() for name in names})
    if archive.is_file():
        return _of_archive(source, archive)
    return _of_npz(source, npz) if source.npz and npz.is_file() else None


def _of_records(source: Cifar, contents: Mapping[str, bytes]) -> Parts:
    size = source.label_bytes + _PIXELS
    broken = [f"{name} ({len(content):,} bytes)" for name, content in contents.items() if len(content) % size]
    if broken:
        raise ValueError(
            f"{source.name}: {', '.join(broken)} is truncated or of another format: expected records of {size:,} bytes"
        )

    def part(names: tuple[str, ...]) -> tuple[Images, Images]:
        records = np.concatenate([np.frombuffer(contents[name], dtype=np.uint8).reshape(-1, size) for name in names])
        return records[:, source.label_bytes :].reshape(-1, 3, 32, 32), records[:, source.label]

    return (*part(source.train), *part((source.test,)))


def _of_archive(source: Cifar, archive: Path) -> Parts:
    """Read the members that are wanted straight from the archive: nothing is unpacked to the disk."""
    contents = {}
    try:
        with tarfile.open(archive, "r:gz") as opened:
            for name in (*source.train, source.test):
                member = opened.extractfile(f"{source.folder}/{name}")
                contents[name] = member.read() if member else b""
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise ValueError(
            f"{source.name}: {archive} is no whole copy of the binary version ({' '.join(str(error).split())}): "
            "put a whole copy there, or delete it"
        ) from error
    return _of_records(source, contents)


def _of_npz(source: Cifar, path: Path) -> Parts:
    """Read ``x_train, y_train, x_test, y_test``: uint8 images with the channels first or last."""
    arrays, parts = arrays_of(path, whose=source.name), []
    for split in ("train", "test"):
        x, y = (arrays.get(f"{part}_{split}", np.zeros(0)) for part in "xy")
        channels_last = x.ndim == 4 and x.shape[1:] == (32, 32, 3)
        x = x.transpose(0, 3, 1, 2) if channels_last else x
        y = y.reshape(-1) if y.size == len(y) else y
        if x.dtype != np.uint8 or x.shape[1:] != (3, 32, 32) or y.shape != (len(x),) or y.dtype.kind not in "ui":
            raise ValueError(
                f"{source.name}: {path} must hold x_{split}, uint8 [n, 32, 32, 3] or [n, 3, 32, 32], and y_{split}, "
                f"whole numbers [n]; found {x.dtype} {list(x.shape)} and {y.dtype} {list(y.shape)}"
            )
        parts += [x, y]
    return (parts[0], parts[1], parts[2], parts[3])


def _check(source: Cifar, parts: Parts) -> None:
    for split, y, wanted in (("training", parts[1], source.per_class[0]), ("test", parts[3], source.per_class[1])):
        labels, counts = np.unique(y, return_counts=True)
        wrong = [f"{label} ({count})" for label, count in zip(labels, counts, strict=True) if count != wanted]
        if wrong or labels.tolist() != list(range(len(source.classes))):
            raise ValueError(
                f"{source.name}: expected {wanted} {split} images of each of {len(source.classes)} classes, found "
                f"{len(y)} of {len(labels)} classes{'; wrong are ' + ', '.join(wrong[:5]) if wrong else ''}: the files "
                "are not those that were published"
            )


def _from_pack(source: Cifar) -> tuple[Tensor, Tensor]:
    home = data_folder()
    path = home / source.pack if home else None
    if path is None or not path.is_file():
        missing = f"there is no {path} ({DATA} names the folder)" if path else f"the variable {DATA} is not set"
        raise FileNotFoundError(f"{source.name}: {missing}: put {source.pack} there, or set images to published")
    arrays: dict[str, Any] = arrays_of(path, digest=source.pack_sha256, whose=source.name)
    header = arrays["header"].tobytes()
    pictures = [
        picture
        for split in ("train", "test")
        for picture in packed(arrays[f"jpeg_{split}"], arrays[f"offset_{split}"], header=header, name=split)
    ]
    y = np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64)
    return decoded(pictures, Shape(channels=3, size=32), whose=source.name), torch.from_numpy(y)


def _downloaded(source: Cifar, *, download: bool) -> Parts:
    home = data_folder()
    names = f"{source.folder}, {source.archive}" + (f" and {source.npz}" if source.npz else "")
    missing = f"there is none of {names} in {home} ({DATA} names it)" if home else f"the variable {DATA} is not set"
    missing = f"{source.name}: {missing}"
    if not download:
        raise FileNotFoundError(
            f"{missing}: put the binary version there (the Python version holds pickles and is not read), or install "
            f"'amulet-framework[images]' and set the parameter download to true{_pack_hint(source)}"
        )
    try:
        from torchvision.datasets.utils import download_url  # type: ignore[import-untyped]  # optional, without types
    except ImportError as error:
        raise FileNotFoundError(
            f"{missing}, and torchvision, which the download needs, cannot be imported ({error}): put the binary "
            "version there, or run: pip install 'amulet-framework[images]'"
        ) from error
    url = f"https://www.cs.toronto.edu/~kriz/{source.archive}"
    try:
        # It checks the MD5 sum that the authors publish, also of a file that is there already.
        download_url(url, str(cache()), filename=source.archive, md5=source.archive_md5)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"{source.name}: torchvision could not download {url} to {cache()} ({error}); try again, or set {DATA} to "
            f"the folder that holds {source.archive}"
        ) from error
    return _of_archive(source, cache() / source.archive)


def _pack_hint(source: Cifar) -> str:
    home = data_folder()
    there = bool(home and source.pack and (home / source.pack).is_file())
    return f"; {source.pack}, which is there, is lossy and read only if images is jpegpack" if there else ""
