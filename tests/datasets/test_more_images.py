"""CIFAR and the data sets of faces: small files in the published formats, damaged ones, and the real ones if there."""

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import md5, sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from amulet_core.data import Data
from amulet_core.discovery.entries import Entry
from amulet_core.testing import component_checks
from amulet_plugins_builtin.catalogue.more_datasets import (
    COMPONENTS,
    CelebaParams,
    Cifar10Params,
    Cifar100Params,
    LfwParams,
    UtkfaceParams,
)
from amulet_plugins_builtin.datasets import cifar, idx_images
from amulet_plugins_builtin.datasets.celeba import celeba
from amulet_plugins_builtin.datasets.cifar import CIFAR10, CIFAR100_COARSE, CIFAR100_FINE, Cifar, cifar10, load
from amulet_plugins_builtin.datasets.lfw import lfw
from amulet_plugins_builtin.datasets.samples import (
    CELEBA,
    FACES,
    LFW,
    Arrays,
    images,
    records,
    write_archive,
    write_celebrities,
    write_faces,
    write_folder,
    write_wild,
)
from amulet_plugins_builtin.datasets.utkface import PACK, utkface


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name an empty folder in AMULET_DATA, and another as the cache of downloads."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("AMULET_DATA", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def small(source: Cifar) -> Cifar:
    return replace(source, per_class=(1, 1) if source.label_bytes == 1 else source.per_class)


def same(data: Data, arrays: Arrays) -> None:
    x, y, other_x, other_y = arrays
    assert np.array_equal((data.x * 255).round().numpy(), np.concatenate([x, other_x]))
    assert np.array_equal(data.y.numpy(), np.concatenate([y, other_y]))
    assert data.id.tolist() == list(range(len(y) + len(other_y)))


def test_the_binary_version_its_archive_and_an_npz_file_are_the_same_rows(folder: Path) -> None:
    arrays, source = images(), small(CIFAR10)
    x, y, other_x, other_y = arrays
    np.savez(folder / "cifar10.npz", x_train=x, y_train=y, x_test=other_x, y_test=other_y)
    same(load(source, download=False), arrays)
    last = [one.transpose(0, 2, 3, 1) for one in (x, other_x)]
    np.savez(
        folder / "cifar10.npz", x_train=last[0], y_train=y[:, None].astype(np.int64), x_test=last[1], y_test=other_y
    )
    same(load(source, download=False), arrays)
    # What stands before it in the order of preference is read though the npz file be wrong.
    (folder / "cifar10.npz").write_bytes(b"")
    write_archive(folder / source.archive, source, records(arrays))
    same(load(source, download=False), arrays)
    (folder / source.archive).write_bytes(b"")
    write_folder(folder, source, records(arrays))
    data = load(source, download=False)
    same(data, arrays)
    assert data.schema.classes[:3] == ("airplane", "automobile", "bird")
    assert data.schema.shape == (3, 32, 32)


def test_cifar100_has_fine_and_coarse_labels(folder: Path) -> None:
    arrays = images(classes=100)
    write_folder(folder, CIFAR100_FINE, records(arrays, coarse=True))
    same(load(replace(CIFAR100_FINE, per_class=(1, 1)), download=False), arrays)
    coarse = load(replace(CIFAR100_COARSE, per_class=(5, 5)), download=False)
    assert np.array_equal(coarse.y.numpy(), np.concatenate([arrays[1], arrays[3]]) // 5)
    assert len(CIFAR100_FINE.classes) == len(set(CIFAR100_FINE.classes)) == 100
    assert len(CIFAR100_COARSE.classes) == len(set(CIFAR100_COARSE.classes)) == 20
    assert list(CIFAR100_FINE.classes) == sorted(CIFAR100_FINE.classes)
    with pytest.raises(ValueError) as raised:
        cifar.cifar100(Cifar100Params(labels="coarse"))
    assert str(raised.value) == (
        "cifar100: expected 2500 training images of each of 20 classes, found 100 of 20 classes; wrong are 0 (5), 1 (5), "
        "2 (5), 3 (5), 4 (5): the files are not those that were published"
    )


def test_pickles_are_never_read(folder: Path) -> None:
    """The folder of the Python version is not looked at, and neither an npz file with objects nor a pickle is loaded."""
    (folder / "cifar-10-batches-py").mkdir()
    (folder / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"\x80\x04.")
    with pytest.raises(FileNotFoundError) as raised:
        load(CIFAR10, download=False)
    assert str(raised.value) == (
        f"cifar10: there is none of cifar-10-batches-bin, cifar-10-binary.tar.gz and cifar10.npz in {folder} (AMULET_DATA names it): put the "
        "binary version there (the Python version holds pickles and is not read), or install "
        "'amulet-framework[images]' and set the parameter download to true"
    )
    np.savez(folder / "cifar10.npz", x_train=np.array([{}], dtype=object))
    with pytest.raises(ValueError) as raised:
        load(CIFAR10, download=False)
    assert str(raised.value) == (
        f"cifar10: {folder / 'cifar10.npz'} is no npz file of plain arrays (Object arrays cannot be loaded when "
        "allow_pickle=False)"
    )
    (folder / "cifar10.npz").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match=r"is no npz file of plain arrays \(This file contains pickled"):
        load(CIFAR10, download=False)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda parts: parts | {"data_batch_2.bin": parts["data_batch_2.bin"][:-1]},
            "cifar10: data_batch_2.bin (6,145 bytes) is truncated or of another format: expected records of 3,073 bytes",
        ),
        (
            lambda parts: parts | {"test_batch.bin": b"\xff" + parts["test_batch.bin"][1:]},
            "cifar10: expected 1 test images of each of 10 classes, found 10 of 10 classes: the files are not those "
            "that were published",
        ),
        (
            lambda parts: parts | {"data_batch_1.bin": b""},
            "cifar10: expected 1 training images of each of 10 classes, found 8 of 8 classes: the files are not those "
            "that were published",
        ),
    ],
)
def test_damaged_files_are_an_error(folder: Path, spoil, message: str) -> None:
    write_folder(folder, CIFAR10, spoil(records(images())))
    with pytest.raises(ValueError) as raised:
        load(small(CIFAR10), download=False)
    assert str(raised.value) == message


def test_an_incomplete_folder_or_archive_is_an_error(folder: Path) -> None:
    parts = records(images())
    del parts["data_batch_4.bin"], parts["test_batch.bin"]
    write_archive(folder / CIFAR10.archive, CIFAR10, parts)
    with pytest.raises(ValueError) as raised:
        load(small(CIFAR10), download=False)
    assert str(raised.value) == (
        f'cifar10: {folder / CIFAR10.archive} is no whole copy of the binary version ("filename '
        "'cifar-10-batches-bin/data_batch_4.bin' not found\"): put a whole copy there, or delete it"
    )
    write_folder(folder, CIFAR10, parts)
    with pytest.raises(FileNotFoundError) as raised:
        load(small(CIFAR10), download=False)
    assert str(raised.value) == (
        f"cifar10: {folder / CIFAR10.folder} lacks data_batch_4.bin, test_batch.bin: put the whole folder there"
    )


def test_arrays_of_another_shape_are_an_error(folder: Path) -> None:
    np.savez(folder / "cifar10.npz", x_train=np.zeros((2, 28, 28)), y_train=np.zeros(2))
    with pytest.raises(ValueError) as raised:
        load(small(CIFAR10), download=False)
    assert str(raised.value) == (
        f"cifar10: {folder / 'cifar10.npz'} must hold x_train, uint8 [n, 32, 32, 3] or [n, 3, 32, 32], and y_train, "
        "whole numbers [n]; found float64 [2, 28, 28] and float64 [2]"
    )


def test_a_download_is_the_binary_archive_with_its_published_checksum(folder: Path) -> None:
    """torchvision's check of a file that is there already stands in for the network; it reads no class of CIFAR."""
    pytest.importorskip("torchvision.datasets", reason="the extra images is not installed")
    arrays, archive = images(), idx_images.cache() / CIFAR10.archive
    write_archive(archive, CIFAR10, records(arrays))
    source = replace(small(CIFAR10), archive_md5=md5(archive.read_bytes()).hexdigest())
    same(load(source, download=True), arrays)


def test_a_failed_download_is_an_error_with_its_cause(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utils = pytest.importorskip("torchvision.datasets.utils", reason="the extra images is not installed")

    def unreachable(*_args: object, **_more: object) -> None:
        raise RuntimeError("no route to host")

    monkeypatch.setattr(utils, "download_url", unreachable)
    with pytest.raises(ConnectionError) as raised:
        load(CIFAR10, download=True)
    assert str(raised.value) == (
        "cifar10: torchvision could not download https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz to "
        f"{idx_images.cache()} (no route to host); try again, or set AMULET_DATA to the folder that holds "
        "cifar-10-binary.tar.gz"
    )


def test_a_download_without_torchvision_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.datasets.utils", None)
    monkeypatch.delenv("AMULET_DATA")
    with pytest.raises(FileNotFoundError) as raised:
        load(CIFAR10, download=True)
    assert str(raised.value) == (
        "cifar10: the variable AMULET_DATA is not set, and torchvision, which the download needs, cannot be imported "
        "(import of torchvision.datasets.utils halted; None in sys.modules): put the binary version there, or run: pip "
        "install 'amulet-framework[images]'"
    )


def jpeg(colour: tuple[int, int, int], size: int = 32) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(stream, "JPEG")
    return stream.getvalue()


def test_a_pack_is_read_only_when_asked_for(folder: Path) -> None:
    pictures = [jpeg((25 * i, 0, 0)) for i in range(10)]
    header = pictures[0][:100]
    assert all(one.startswith(header) for one in pictures)
    bodies = [one[100:] for one in pictures]
    content = np.frombuffer(b"".join(bodies), dtype=np.uint8)
    offset = np.cumsum([0, *map(len, bodies)])
    y = np.arange(10, dtype=np.uint8)
    packed = {
        f"{name}_{split}": value
        for split in ("train", "test")
        for name, value in (("jpeg", content), ("offset", offset), ("y", y))
    }
    np.savez(folder / CIFAR10.pack, header=np.frombuffer(header, dtype=np.uint8), **packed)
    source = replace(CIFAR10, pack_sha256=sha256((folder / CIFAR10.pack).read_bytes()).hexdigest())
    data = load(source, download=False, lossy=True)
    assert data.y.tolist() == [*range(10)] * 2
    assert torch.allclose(data.x[:10, 0, 5, 5] * 255, torch.arange(10) * 25.0, atol=3)
    with pytest.raises(FileNotFoundError, match=r"; cifar10_jpegpack.npz, which is there, is lossy and read only if"):
        load(source, download=False)
    with pytest.raises(ValueError, match=r"is truncated, changed or of another version: expected SHA-256 1613a1675500"):
        load(CIFAR10, download=False, lossy=True)
    (folder / CIFAR10.pack).unlink()
    with pytest.raises(FileNotFoundError) as raised:
        load(source, download=False, lossy=True)
    assert str(raised.value) == (
        f"cifar10: there is no {folder / CIFAR10.pack} (AMULET_DATA names the folder): put cifar10_jpegpack.npz there, or set images to published"
    )


def test_the_real_pack_of_cifar10_is_whole(original: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = original(CIFAR10.pack)
    monkeypatch.setenv("AMULET_DATA", str(path.parent))
    data = cifar10(Cifar10Params(images="jpegpack"))
    assert tuple(data.x.shape) == (60_000, 3, 32, 32)
    assert data.y[:50_000].bincount().tolist() == [5000] * 10
    assert data.y[50_000:].bincount().tolist() == [1000] * 10
    # The means of the published training images (0.4914, 0.4822, 0.4465), which JPEG keeps.
    assert torch.allclose(data.x[:50_000].mean((0, 2, 3)), torch.tensor([0.4914, 0.4822, 0.4465]), atol=0.002)
    with np.load(path, allow_pickle=False) as arrays:
        assert tuple(arrays["classes"].tolist()) == data.schema.classes


def test_the_real_pack_of_utkface_is_whole(original: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = original(PACK)
    monkeypatch.setenv("AMULET_DATA", str(path.parent))
    data = utkface(UtkfaceParams(images="jpegpack"))
    assert tuple(data.x.shape) == (10_000, 3, 32, 32)
    assert data.y.bincount().tolist() == [5218, 4782]
    assert data.z[:, 0].bincount().tolist() == [4187, 1875, 1505, 1701, 732]
    with np.load(path, allow_pickle=False) as arrays:
        assert data.z[:, 1].tolist() == np.searchsorted([19, 39, 59], arrays["age"]).tolist()
        first = Image.open(io.BytesIO(arrays["jpeg"][: arrays["offset"][1]].tobytes()))
        assert np.array_equal((data.x[0] * 255).round().permute(1, 2, 0).numpy(), np.asarray(first))


def test_the_names_of_faces_say_what_they_are(folder: Path) -> None:
    write_faces(folder)
    data = utkface(UtkfaceParams(size=16))
    assert data.schema.shape == (3, 16, 16)
    assert (data.schema.classes, data.y.tolist()) == (("male", "female"), [0, 1, 1])
    assert [one.name for one in data.schema.sensitive] == ["race", "age"]
    assert data.schema.sensitive[1].categories == ("up to 19", "20 to 39", "40 to 59", "over 59")
    assert data.z.tolist() == [[2, 1], [4, 0], [0, 3]]
    by_age = utkface(UtkfaceParams(label="age", ages=(30,)))
    assert (by_age.schema.classes, by_age.y.tolist()) == (("up to 30", "over 30"), [0, 0, 1])
    assert [one.name for one in by_age.schema.sensitive] == ["gender", "race"]


def test_names_that_lack_an_attribute_are_named_or_dropped(folder: Path) -> None:
    write_faces(folder, {"39_1_2017.jpg.chip.jpg": (9, 9, 9), "44_2_0_2017.jpg": (1, 1, 1), **FACES})
    with pytest.raises(ValueError) as raised:
        utkface(UtkfaceParams())
    assert str(raised.value) == (
        "utkface: the names of 2 files are not AGE_GENDER_RACE_DATE (gender 0 or 1, race 0 to 4): "
        "39_1_2017.jpg.chip.jpg, 44_2_0_2017.jpg; correct them, or set missing to drop"
    )
    assert utkface(UtkfaceParams(missing="drop")).id.tolist() == [0, 3, 4]


def test_without_faces_the_error_says_where_to_put_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hint = (
        "put the folder UTKFace of the aligned and cropped faces there, or utkface_32_10k_jpegpack.npz and set images to "
        "jpegpack"
    )
    with pytest.raises(FileNotFoundError) as raised:
        utkface(UtkfaceParams())
    assert str(raised.value) == f"utkface: there is no {folder / 'UTKFace'} (AMULET_DATA names the folder): {hint}"
    monkeypatch.delenv("AMULET_DATA")
    with pytest.raises(FileNotFoundError) as raised:
        utkface(UtkfaceParams())
    assert str(raised.value) == f"utkface: the variable AMULET_DATA is not set: {hint}"


def test_age_groups_must_ascend() -> None:
    with pytest.raises(ValidationError, match="ages must ascend, found 40, 30"):
        UtkfaceParams(ages=(40, 30))


def test_celebas_attributes_are_labels_and_groups(folder: Path) -> None:
    write_celebrities(folder)
    data = celeba(CelebaParams(size=16))
    assert (data.schema.classes, data.y.tolist()) == (("not Smiling", "Smiling"), [1, 0, 1])
    assert [one.categories for one in data.schema.sensitive] == [("not Male", "Male"), ("not Young", "Young")]
    assert data.z.tolist() == [[0, 1], [1, 1], [1, 0]]
    assert torch.allclose(data.x[:, 0].mean((1, 2)) * 255, torch.tensor([80.0, 160, 240]), atol=3)


def test_a_damaged_list_of_celeba_is_an_error(folder: Path) -> None:
    write_celebrities(folder, CELEBA.replace("-1  1  1", "-1 1").replace("000003", "../../x").replace("3\nM", "4\nM"))
    with pytest.raises(ValueError) as raised:
        celeba(CelebaParams())
    assert str(raised.value) == (
        f"celeba: {folder / 'celeba' / 'list_attr_celeba.txt'}: the lines 3 are not a name and 3 times 1 or -1; "
        "../../x.jpg is not the name of a file in the folder; the first line says 4, but 3 pictures follow; put a whole "
        "copy there"
    )


def test_an_empty_list_of_celeba_is_an_error(folder: Path) -> None:
    write_celebrities(folder, "0\nMale Smiling\n")
    with pytest.raises(ValueError) as raised:
        celeba(CelebaParams())
    assert str(raised.value) == (
        f"celeba: {folder / 'celeba' / 'list_attr_celeba.txt'}: it lists no pictures; put a whole copy there"
    )


def test_pictures_and_attributes_that_celeba_lacks_are_named(folder: Path) -> None:
    write_celebrities(folder)
    (folder / "celeba" / "img_align_celeba" / "000002.jpg").unlink()
    with pytest.raises(ValueError) as raised:
        celeba(CelebaParams(label="Bald"))
    assert str(raised.value) == (
        'celeba: label names the unknown attribute "Bald".\n'
        f"celeba: 1 pictures of the list are not in {folder / 'celeba' / 'img_align_celeba'} (first: 000002.jpg)"
    )


def test_without_celeba_the_error_says_both_ways(folder: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        celeba(CelebaParams())
    assert str(raised.value) == (
        f"celeba: there is no {folder / 'celeba'} (AMULET_DATA names the folder): put the folders img_align_celeba and list_attr_celeba.txt into celeba "
        "there, or install 'amulet-framework[images]' and set the parameter download to true"
    )
    (folder / "celeba" / "img_align_celeba").mkdir(parents=True)
    with pytest.raises(FileNotFoundError) as raised:
        celeba(CelebaParams())
    assert str(raised.value) == (
        f"celeba: {folder / 'celeba'} lacks list_attr_celeba.txt: put the unpacked files there"
    )


def test_a_failed_download_of_celeba_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("torchvision.datasets", reason="the extra images is not installed")

    def limited(*_args: object, **_more: object) -> None:
        raise RuntimeError("too many users have viewed this file")

    monkeypatch.setattr(datasets, "CelebA", limited)
    with pytest.raises(ConnectionError) as raised:
        celeba(CelebaParams(download=True))
    assert str(raised.value) == (
        f"celeba: torchvision could not download the pictures to {idx_images.cache()} (too many users have viewed this "
        "file); Google limits such downloads: try again another day, or put the folders img_align_celeba and "
        "list_attr_celeba.txt into celeba there and set AMULET_DATA"
    )


def test_scores_above_0_are_attributes_of_lfw(folder: Path) -> None:
    write_wild(folder)
    data = lfw(LfwParams(size=16))
    assert (data.schema.classes, data.y.tolist()) == (("not Smiling", "Smiling"), [1, 0])
    assert data.z.tolist() == [[0, 1], [1, 0]]
    assert data.schema.shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        (
            LFW.replace("12", "13"),
            {"label": "Smilin", "sensitive": ("Bald",)},
            'lfw: label names the unknown attribute "Smilin"; did you mean "Smiling"?\nlfw: sensitive names the unknown '
            'attribute "Bald".\nlfw: 1 pictures of the list are not in {folder}/lfw_funneled (first: Bo/Bo_0013.jpg)',
        ),
        (
            LFW.replace("Bo\t12\t1", "Bo\t12"),
            {},
            "lfw: {folder}/lfw_attributes.txt is no list of person, imagenum and attributes: 1 lines have another form "
            "(first: Bo); put a whole copy there",
        ),
        (
            "a,b\n",
            {},
            "lfw: {folder}/lfw_attributes.txt is no list of person, imagenum and attributes: 1 lines have another form "
            "(first: a,b); put a whole copy there",
        ),
        (
            LFW.replace("Bo\t12", "\t12"),
            {},
            "lfw: {folder}/lfw_attributes.txt is no list of person, imagenum and attributes: 1 lines have another form "
            "(first: ); put a whole copy there",
        ),
        (
            "#\tperson\nBo\n",
            {},
            "lfw: {folder}/lfw_attributes.txt is no list of person, imagenum and attributes: 1 lines have another form "
            "(first: Bo); put a whole copy there",
        ),
        (
            LFW.replace("-3", "nan"),
            {},
            "lfw: {folder}/lfw_attributes.txt holds scores that are not finite (first: Bo 12); put a whole copy there",
        ),
        (
            LFW.replace("-3", "x"),
            {},
            "lfw: {folder}/lfw_attributes.txt holds scores that are no numbers (could not convert string to float: 'x'); "
            "put a whole copy there",
        ),
    ],
)
def test_what_is_wrong_with_lfw_is_named(folder: Path, text: str, settings: dict[str, object], message: str) -> None:
    write_wild(folder, text)
    with pytest.raises(ValueError) as raised:
        lfw(LfwParams(**settings))
    assert str(raised.value) == message.format(folder=folder)


def test_without_lfw_the_error_says_what_to_put_where(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    what = "a folder of pictures (lfw, lfw_funneled, lfw-deepfunneled) or the list lfw_attributes.txt: put both there"
    with pytest.raises(FileNotFoundError) as raised:
        lfw(LfwParams())
    assert str(raised.value) == f"lfw: {folder} (AMULET_DATA names it) lacks {what}"
    monkeypatch.delenv("AMULET_DATA")
    with pytest.raises(FileNotFoundError) as raised:
        lfw(LfwParams())
    assert str(raised.value) == f"lfw: the variable AMULET_DATA is not set; it must name a folder with {what}"


@pytest.mark.parametrize("params", [CelebaParams, LfwParams])
def test_a_label_that_is_sensitive_too_is_refused(params) -> None:
    with pytest.raises(ValidationError, match="sensitive names the label Male; sensitive names Young more than once"):
        params(label="Male", sensitive=("Male", "Young", "Young"))


def checks(name: str):
    (component,) = [one for one in COMPONENTS if one.name == name]
    return component_checks(Entry(component, plugin="builtin", distribution="amulet-framework", version="0"))


ALL = {name: checks(name) for name in ("cifar10", "cifar100", "celeba", "lfw", "utkface")}


@pytest.mark.parametrize("check", [check for name in ("celeba", "lfw", "utkface") for check in ALL[name]], ids=str)
def test_the_conformance_checks_hold_for_faces(check, tmp_path_factory, monkeypatch: pytest.MonkeyPatch) -> None:
    # The checks of a component share one call, hence one folder.
    folder = tmp_path_factory.getbasetemp() / "conformance of faces"
    if not folder.exists():
        folder.mkdir()
        write_faces(folder)
        write_celebrities(folder)
        write_wild(folder)
    monkeypatch.setenv("AMULET_DATA", str(folder))
    check.run()


@pytest.mark.parametrize("check", [*ALL["cifar10"], *ALL["cifar100"]], ids=str)
def test_the_conformance_checks_hold_for_cifar(check, tmp_path_factory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "conformance of cifar"
    if not folder.exists():
        folder.mkdir()
        write_folder(folder, CIFAR10, records(images()))
        write_folder(folder, CIFAR100_FINE, records(images(classes=100), coarse=True))
    monkeypatch.setenv("AMULET_DATA", str(folder))
    for name in ("CIFAR10", "CIFAR100_FINE"):
        monkeypatch.setattr(cifar, name, replace(getattr(cifar, name), per_class=(1, 1)))
    check.run()
