"""A user's own pictures: folders of classes, annotations, and what is said of every mistake."""

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from amulet_core.discovery.entries import Entry
from amulet_core.errors import RequestError
from amulet_core.testing import component_checks
from amulet_plugins_builtin.catalogue.own_datasets import COMPONENTS, ImageFolderParams
from amulet_plugins_builtin.datasets.image_folder import image_folder
from amulet_plugins_builtin.datasets.pictures import Shape, decoded, files
from amulet_plugins_builtin.datasets.samples import picture, write_classes


def huge_png(width: int, height: int) -> bytes:
    """Return a PNG file whose header says that it is huge: a few bytes, however large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name an empty folder ``images`` in AMULET_DATA."""
    monkeypatch.setenv("AMULET_DATA", str(tmp_path))
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def load(**settings: object):
    return image_folder(ImageFolderParams(**{"size": 8} | settings))


def refused(folder: Path, **settings: object) -> list[str]:
    with pytest.raises(RequestError) as raised:
        load(**settings)
    return [problem.removeprefix(f"image-folder: {folder}: ") for problem in raised.value.problems]


def test_subfolders_are_the_classes_and_names_the_order(folder: Path) -> None:
    write_classes(folder)
    (folder / "a" / ".DS_Store").touch()
    (folder / "Thumbs.db").touch()
    data = load()
    assert data.schema.classes == ("a", "b")
    assert data.y.tolist() == [0, 0, 1]
    assert data.id.tolist() == [0, 1, 2]
    assert data.schema.shape == (3, 8, 8)
    assert torch.allclose(data.x[:, :, 3, 3], torch.tensor([[1.0, 0, 0], [0, 0, 0.2], [0, 1, 0]]))
    again = load()
    assert torch.equal(again.x, data.x)
    assert again.schema == data.schema


@pytest.mark.parametrize("folders", [".thumbnails", "__MACOSX", "a/.ipynb_checkpoints", "__MACOSX/a"])
def test_pictures_that_a_system_left_there_are_ignored(folder: Path, folders: str) -> None:
    write_classes(folder)
    expected = load()
    picture(folder / folders / "1.png", colour=(9, 9, 9))
    found = load()
    assert found.schema == expected.schema
    assert torch.equal(found.x, expected.x)


def test_grey_pictures_have_one_channel(folder: Path) -> None:
    write_classes(folder)
    data = load(colour="grey")
    assert data.schema.shape == (1, 8, 8)
    # ITU-R 601-2: 0.299 of red, 0.587 of green, 0.114 of blue, in steps of 1 / 255.
    assert torch.allclose(data.x[:, 0, 0, 0], torch.tensor([0.299, 0.2 * 0.114, 0.587]), atol=1 / 255)


def test_the_middle_square_is_resized(folder: Path) -> None:
    """A wide picture: black edges, and a white square in the middle, of which alone anything is left."""
    pixels = np.zeros((16, 48, 3), dtype=np.uint8)
    pixels[:, 16:32] = 255
    for name in ("a", "b"):
        (folder / name).mkdir()
        Image.fromarray(pixels).save(folder / name / "1.png")
    assert (load(size=8).x == 1).all()


def test_a_picture_is_turned_upright(folder: Path) -> None:
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[0] = 255
    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    for name in ("a", "b"):
        (folder / name).mkdir()
        Image.fromarray(pixels).save(folder / name / "1.png", exif=upside_down)
    assert (load().x[0, :, -1] == 1).all()
    assert (load().x[0, :, :-1] == 0).all()


def annotate(folder: Path, text: str) -> dict[str, object]:
    (folder / "list.csv").write_text(text)
    return {"annotations": "list.csv", "label": "smile", "sensitive": ("sex",)}


def test_annotations_give_labels_groups_and_the_order(folder: Path) -> None:
    write_classes(folder)
    settings = annotate(folder, "sex,file,smile\nf,b/1.png,yes\nm,a/2.png,no\n?,a/1.PNG,no\n")
    data = load(missing="drop", **settings)
    assert (data.y.tolist(), data.z.tolist(), data.id.tolist()) == ([1, 0], [[0], [1]], [0, 1])
    assert torch.allclose(data.x[:, :, 0, 0], torch.tensor([[0.0, 1, 0], [0, 0, 0.2]]))
    assert data.schema.sensitive[0].categories == ("f", "m")
    assert data.notes == (
        "image-folder: images: 2 of 3 rows are kept (missing: drop): 1 lack sex; the shares of smile change: yes 33.3 % to "
        "50 %, no 66.7 % to 50 %; the shares of sex change by less than a point",
    )


def test_every_mistake_of_the_annotations_is_named_at_once(folder: Path, tmp_path: Path) -> None:
    write_classes(folder)
    picture(tmp_path / "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    settings = annotate(
        folder,
        "file,smile,sex\na/1.PNG,yes,f\na/1.PNG,no,m\na/9.png,no,m\n../secret.png,no,f\nlink.png,no,f\n"
        f"{tmp_path}/secret.png,?,f\n",
    )
    assert refused(folder, **settings) == [
        "there are unknown values in smile (1, first in line 7): fill them, or set missing to drop to leave out their "
        "rows (5 of 6 would be kept)",
        "2 pictures of the annotations are outside of it, where nothing is read: ../secret.png, link.png (line 5)",
        "1 pictures of the annotations are not there: a/9.png (line 4)",
        "1 pictures of the annotations are annotated more than once: a/1.PNG (line 2)",
    ]
    assert refused(folder, **settings | {"file": "picture", "sensitive": ("age",)}) == [
        'file names the column "picture", which is not there.',
        'sensitive names the column "age", which is not there.',
        "the columns are file, smile, sex",
    ]


def test_a_group_of_numbers_that_are_none_is_refused(folder: Path) -> None:
    write_classes(folder)
    settings = annotate(folder, "sex,file,smile\n31,b/1.png,yes\nold,a/2.png,no\n1e999,a/1.PNG,no\n")
    assert refused(folder, groups={"sex": (40,)}, **settings) == [
        'in 2 of 3 rows the column sex is no finite number (first: "old" in line 3): correct them, or leave it out of '
        "groups, so that each value is a group"
    ]


@pytest.mark.parametrize(
    ("names", "problems"),
    [
        ([], ["it holds no pictures (.jpg, .jpeg, .png, .bmp, .webp)"]),
        (["a/1.png"], ["the label label has 1 different values (a): expected 2 to 1000"]),
        (
            ["1.png", "a/b/2.png", "a/1.png", "b/notes.txt", "b/data.npy"],
            [
                "1.png, a/b/2.png is in no subfolder of it that could be its class, or in one of a subfolder",
                "b/data.npy, b/notes.txt is no picture of a known kind (.jpg, .jpeg, .png, .bmp, .webp)",
            ],
        ),
    ],
)
def test_every_mistake_of_the_folders_is_named_at_once(folder: Path, names: list[str], problems: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert refused(folder) == problems


def test_what_is_no_folder_or_lacks_its_annotations_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError) as raised:
        load(path="file")
    assert str(raised.value) == (
        f"image-folder: {tmp_path / 'file'} is no folder: name the folder that holds the pictures in path"
    )
    with pytest.raises(RequestError) as raised:
        load(annotations="list.csv")
    assert str(raised.value) == (f"image-folder: {folder} lacks the annotations list.csv: put them there, or name them")


def test_every_picture_that_cannot_be_decoded_is_named(folder: Path) -> None:
    write_classes(folder)
    whole = (folder / "b" / "1.png").read_bytes()
    (folder / "b" / "2.png").write_bytes(whole[:50])
    (folder / "b" / "3.jpg").write_bytes(b"GIF89a and more")
    (folder / "b" / "4.png").write_bytes(huge_png(8000, 8000))
    (folder / "b" / "5.png").write_bytes(huge_png(20_000, 20_000))
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(folder / "b" / "6.png")
    Image.new("P", (8, 8)).save(folder / "b" / "7.gif.png", format="GIF")
    with pytest.raises(ValueError) as raised:
        load()
    text = str(raised.value)
    assert text.startswith(f"image-folder: {folder}: 6 pictures cannot be decoded: b/2.png (")
    assert "b/3.jpg (cannot identify image file" in text
    assert "b/4.png (8000x8000 are more than 50,000,000 pixels)" in text
    assert "b/5.png (Image size (400000000 pixels) exceeds limit" in text
    assert "b/6.png (it has more than 8 bits a channel (mode I;16))" in text
    assert text.endswith("; and 1 more. Replace or remove them.")


def test_a_picture_that_vanished_is_named(folder: Path) -> None:
    with pytest.raises(ValueError) as raised:
        decoded(files(folder, ["gone.png"]), Shape(3, 8), whose="faces")
    assert str(raised.value) == (
        "faces: 1 picture cannot be decoded: gone.png ([Errno 2] No such file or directory: "
        f"'{folder / 'gone.png'}'). Replace or remove them."
    )


def test_without_pillow_the_error_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classes(folder)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(RequestError) as raised:
        load()
    assert str(raised.value) == (
        f"image-folder: {folder}: pictures are decoded by Pillow, which cannot be imported (import of PIL halted; None "
        "in sys.modules): pip install 'amulet-framework[images]'"
    )


def test_groups_without_annotations_are_refused() -> None:
    with pytest.raises(ValidationError) as raised:
        ImageFolderParams(sensitive=("sex",))
    assert raised.value.errors()[0]["msg"] == (
        "Value error, sensitive columns stand in a file of annotations: name it here"
    )


(COMPONENT,) = [one for one in COMPONENTS if one.name == "image-folder"]
CHECKS = component_checks(Entry(COMPONENT, plugin="builtin", distribution="amulet-framework", version="0"))


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_the_conformance_checks_hold(check, tmp_path_factory, monkeypatch: pytest.MonkeyPatch) -> None:
    # The checks of a component share one call, hence one folder.
    folder = tmp_path_factory.getbasetemp() / "conformance of pictures"
    write_classes(folder / "images")
    monkeypatch.setenv("AMULET_DATA", str(folder))
    check.run()
