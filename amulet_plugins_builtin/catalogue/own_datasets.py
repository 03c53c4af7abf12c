"""Tables and pictures of the user's own: their descriptors and parameters. Imports nothing heavy."""

from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from amulet_core.components import Component, Dataset, Params, Reference
from amulet_plugins_builtin.catalogue.more_datasets import Columns, Missing, PictureSize, twice

V = TypeVar("V")
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _widens(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] < pair[1]:
        raise ValueError("bounds must be a lower and a higher number")
    return pair


def _ascends(ends: tuple[float, ...]) -> tuple[float, ...]:
    if not ends or list(ends) != sorted(set(ends)):
        raise ValueError("the ends of groups must ascend, and be one at least")
    return ends


Bounds = Annotated[tuple[Finite, Finite], AfterValidator(_widens)]
Ends = Annotated[tuple[Finite, ...], AfterValidator(_ascends)]
UNKNOWN: Final = ("", "?", "NA", "N/A", "NaN", "nan", "null", "None")


class OwnParams(Params):
    """What tables and pictures of a user's own have in common."""

    label: str = Field(default="label", min_length=1, description="the column to be predicted")
    classes: Columns = Field(
        default=(), max_length=1000, description="the values of the label in their order (none: those found, sorted)"
    )
    sensitive: Columns = Field(default=(), max_length=20, description="the columns that form groups")
    groups: dict[str, Ends] = Field(
        default={},
        description="for sensitive columns of numbers: the highest number of each group but the last, ascending",
    )
    delimiter: Literal[",", ";", "\t"] = Field(default=",", description="what stands between the cells of a CSV file")
    unknown: tuple[str, ...] = Field(
        default=UNKNOWN, max_length=50, description="the cells that say that a value is unknown"
    )
    missing: Missing = Field(
        default="error", description="what to do with rows that have unknown values: say where they are, or drop them"
    )

    @field_validator("classes", "sensitive")
    @classmethod
    def _named_once(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return _well_named(names, info)

    @field_validator("groups")
    @classmethod
    def _of_sensitive_columns(cls, groups: dict[str, Ends], info: ValidationInfo) -> dict[str, Ends]:
        return _among(groups, "sensitive", info)


def _well_named(names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Refuse names that stand there twice, and the label among columns."""
    problems = [f"it names {', '.join(twice(names))} more than once"] if twice(names) else []
    if info.field_name != "classes" and info.data.get("label") in names:
        problems.append(f"it names the label {info.data['label']}: leave it out here")
    if problems:
        raise ValueError("; ".join(problems))
    return names


def _among(named: dict[str, V], others: str, info: ValidationInfo) -> dict[str, V]:
    """Refuse columns that another parameter does not name (one that is wrong itself is not looked at)."""
    strange = sorted(set(named) - set(info.data.get(others, named)))
    if strange:
        listed = ", ".join(strange)
        raise ValueError(f"it names {listed}, and {others} does not: name it there too, or leave it out here")
    return named


class TableFileParams(OwnParams):
    """The settings of a table of the user's own."""

    path: str = Field(
        default="table.csv",
        min_length=1,
        description="a .csv, .csv.gz or .parquet file; relative paths start in AMULET_DATA, else in the working folder",
    )
    categorical: Columns = Field(
        default=(), max_length=1000, description="the columns of categories: each becomes one feature a category"
    )
    categories: dict[str, Columns] = Field(
        default={}, description="the categories of such columns (of those not named here: those found in the file)"
    )
    bounds: dict[str, Bounds] = Field(
        default={}, description="the lowest and highest possible number of each column of numbers"
    )
    other_bounds: Literal["error", "from-file"] = Field(
        default="error",
        description="columns without bounds are an error, or bounded by the file's own numbers, which are then "
        "released with the model, and no epsilon covers them",
    )
    immutable: Columns = Field(default=(), max_length=1000, description="the columns that an adversary cannot change")
    drop: Columns = Field(default=(), max_length=1000, description="the columns that are left out of x")
    sensitive_in_x: bool = Field(
        default=False,
        description="Whether the sensitive columns are inputs of the model too; they are always there as groups.",
    )

    @field_validator("categorical", "immutable", "drop")
    @classmethod
    def _inputs_named_once(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return _well_named(names, info)

    @field_validator("categories")
    @classmethod
    def _of_categorical_columns(cls, categories: dict[str, Columns], info: ValidationInfo) -> dict[str, Columns]:
        return _among(categories, "categorical", info)

    @field_validator("bounds")
    @classmethod
    def _of_numbers(cls, bounds: dict[str, Bounds], info: ValidationInfo) -> dict[str, Bounds]:
        both = sorted(set(bounds) & set(info.data.get("categorical", ())))
        if both:
            raise ValueError(f"it names {', '.join(both)}, and so does categorical: leave it out here or there")
        return bounds


class ImageFolderParams(OwnParams, PictureSize):
    """The settings of a folder of the user's own pictures."""

    path: str = Field(
        default="images",
        min_length=1,
        description="a folder; relative paths start in AMULET_DATA, else in the working folder",
    )
    annotations: str = Field(
        default="",
        validate_default=True,
        description="a CSV file in the folder, one line a picture (none: the class of a picture is its subfolder)",
    )
    file: str = Field(
        default="file", min_length=1, description="the column of the annotations that names the picture in the folder"
    )
    colour: Literal["rgb", "grey"] = Field(default="rgb", description="three channels, or one")

    @field_validator("annotations")
    @classmethod
    def _holds_groups(cls, annotations: str, info: ValidationInfo) -> str:
        if info.data.get("sensitive") and not annotations:
            raise ValueError("sensitive columns stand in a file of annotations: name it here")
        return annotations


_PACKAGE = "amulet_plugins_builtin.datasets"
_OWN = "what the user's file has; it stays where it is"
_DATASHEETS = Reference(title="Gebru et al.: Datasheets for Datasets (2018)", where="arXiv:1803.09010")

COMPONENTS: tuple[Component, ...] = (
    Dataset(
        name="table-file",
        summary="A table of your own: a CSV or Parquet file with a column to predict, numbers and categories.",
        target=f"{_PACKAGE}.table_file:table_file",
        checks=f"{_PACKAGE}.checks_of_files:table_file_checks",
        params=TableFileParams,
        modality=("tabular",),
        licence=_OWN,
        references=(_DATASHEETS,),
    ),
    Dataset(
        name="image-folder",
        summary="Pictures of your own: a folder with one subfolder a class, or with a CSV file of annotations.",
        target=f"{_PACKAGE}.image_folder:image_folder",
        checks=f"{_PACKAGE}.checks_of_files:image_folder_checks",
        params=ImageFolderParams,
        modality=("image",),
        licence=_OWN,
        references=(_DATASHEETS,),
    ),
)
