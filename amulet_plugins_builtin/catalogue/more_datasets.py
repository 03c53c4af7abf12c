"""CIFAR and data sets of faces: their descriptors and parameters. Imports nothing heavy."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from amulet_core.components import Component, Dataset, Params, Reference
from amulet_plugins_builtin.catalogue.datasets import DownloadParams

Columns = tuple[Annotated[str, Field(min_length=1)], ...]
Missing = Literal["error", "drop"]

CelebaAttribute = Literal[
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
]
FaceAttribute = Literal["gender", "race", "age"]


class Cifar10Params(DownloadParams):
    """The settings of CIFAR-10."""

    images: Literal["published", "jpegpack"] = Field(
        default="published",
        description="the published images, or those of cifar10_jpegpack.npz, which lost detail in compression: "
        "accuracies on them are not to be compared with published ones",
    )


class Cifar100Params(DownloadParams):
    """The settings of CIFAR-100."""

    labels: Literal["fine", "coarse"] = Field(
        default="fine", description="100 classes, or the 20 groups of five that they form"
    )


class PictureSize(Params):
    """The size that the pictures of a data set are given."""

    size: int = Field(
        default=32, ge=8, le=512, description="height and width in pixels, to which the middle square is resized"
    )


class UtkfaceParams(PictureSize):
    """The settings of UTKFace."""

    label: FaceAttribute = Field(
        default="gender", description="what is to be predicted; the other two are sensitive attributes"
    )
    ages: tuple[Annotated[int, Field(ge=0, le=120)], ...] = Field(
        default=(19, 39, 59), min_length=1, max_length=10, description="the last year of each age group but the oldest"
    )
    missing: Missing = Field(
        default="error",
        description="what to do with file names that lack an attribute: say which they are, or drop them",
    )
    images: Literal["published", "jpegpack"] = Field(
        default="published",
        description="the folder UTKFace as published, or utkface_32_10k_jpegpack.npz: 10,000 faces of 32x32 pixels",
    )

    @model_validator(mode="after")
    def _ages_ascend(self) -> Self:
        if list(self.ages) != sorted(set(self.ages)):
            raise ValueError(f"ages must ascend, found {', '.join(map(str, self.ages))}")
        return self


class CelebaParams(PictureSize, DownloadParams):
    """The settings of CelebA."""

    label: CelebaAttribute = Field(default="Smiling", description="the attribute to be predicted")
    sensitive: tuple[CelebaAttribute, ...] = Field(
        default=("Male", "Young"), max_length=10, description="the attributes that form groups"
    )
    rows: int = Field(
        default=20_000, ge=10, le=202_599, description="so many pictures are read, the first by their numbers"
    )

    @model_validator(mode="after")
    def _label_is_apart(self) -> Self:
        _apart(self.label, self.sensitive)
        return self


class LfwParams(PictureSize):
    """The settings of Labeled Faces in the Wild."""

    label: str = Field(default="Smiling", min_length=1, description="the attribute to be predicted (above 0: yes)")
    sensitive: Columns = Field(
        default=("Male", "White"), max_length=10, description="the attributes that form groups (above 0: yes)"
    )

    @model_validator(mode="after")
    def _label_is_apart(self) -> Self:
        _apart(self.label, self.sensitive)
        return self


def _apart(label: str, sensitive: tuple[str, ...]) -> None:
    problems = [f"sensitive names the label {label}"] if label in sensitive else []
    problems += [f"sensitive names {', '.join(twice(sensitive))} more than once"] if twice(sensitive) else []
    if problems:
        raise ValueError("; ".join(problems))


def twice(names: tuple[str, ...]) -> list[str]:
    """Return the names that stand there more than once."""
    return sorted({name for name in names if names.count(name) > 1})


_PACKAGE = "amulet_plugins_builtin.datasets"
_CIFAR = Reference(
    title="Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009)",
    where="https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf",
)

COMPONENTS: tuple[Component, ...] = (
    Dataset(
        name="cifar10",
        summary="Photographs of 32x32 pixels: 60,000 of 10 classes, from AMULET_DATA or downloaded.",
        target=f"{_PACKAGE}.cifar:cifar10",
        checks=f"{_PACKAGE}.checks_of_files:cifar10_checks",
        params=Cifar10Params,
        modality=("image",),
        licence="no formal licence; the authors ask for a citation",
        references=(_CIFAR,),
    ),
    Dataset(
        name="cifar100",
        summary="Photographs of 32x32 pixels: 60,000 of 100 classes in 20 groups, from AMULET_DATA or downloaded.",
        target=f"{_PACKAGE}.cifar:cifar100",
        checks=f"{_PACKAGE}.checks_of_files:cifar100_checks",
        params=Cifar100Params,
        modality=("image",),
        licence="no formal licence; the authors ask for a citation",
        references=(_CIFAR,),
    ),
    Dataset(
        name="celeba",
        summary="Faces of celebrities with 40 attributes: up to 202,599, from AMULET_DATA or downloaded.",
        target=f"{_PACKAGE}.celeba:celeba",
        checks=f"{_PACKAGE}.checks_of_files:celeba_checks",
        params=CelebaParams,
        modality=("image",),
        licence="non-commercial research only",
        references=(
            Reference(title="Liu et al.: Deep Learning Face Attributes in the Wild (2014)", where="arXiv:1411.7766"),
        ),
    ),
    Dataset(
        name="lfw",
        summary="Labeled Faces in the Wild: 13,143 faces with 73 attributes, from AMULET_DATA.",
        target=f"{_PACKAGE}.lfw:lfw",
        checks=f"{_PACKAGE}.checks_of_files:lfw_checks",
        params=LfwParams,
        modality=("image",),
        licence="no formal licence; photographs from news sites, for research",
        references=(
            Reference(
                title="Huang et al.: Labeled Faces in the Wild (University of Massachusetts, TR 07-49, 2007)",
                where="https://inria.hal.science/inria-00321923",
            ),
            Reference(
                title="Kumar et al.: Attribute and Simile Classifiers for Face Verification (2009)",
                where="doi:10.1109/ICCV.2009.5459250",
            ),
        ),
    ),
    Dataset(
        name="utkface",
        summary="Faces with age, gender and race: about 23,700, or 10,000 small ones, from AMULET_DATA.",
        target=f"{_PACKAGE}.utkface:utkface",
        checks=f"{_PACKAGE}.checks_of_files:utkface_checks",
        params=UtkfaceParams,
        modality=("image",),
        licence="non-commercial research only; the copyright is the photographs' owners'",
        references=(
            Reference(
                title="Zhang et al.: Age Progression/Regression by Conditional Adversarial Autoencoder (2017)",
                where="arXiv:1702.08423",
            ),
        ),
    ),
)
