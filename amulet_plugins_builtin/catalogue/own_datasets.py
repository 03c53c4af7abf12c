"""Tables and pictures of the user's own: their descriptors and parameters. Imports nothing heavy."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from amulet_core.components import Component, Dataset, Params, Reference
from amulet_plugins_builtin.catalogue.more_datasets import Columns, Missing, PictureSize, twice

Bounds = tuple[
    Annotated[float, Field(allow_inf_nan=False)],
    Annotated[float, Field(allow_inf_nan=False)],
]
UNKNOWN: Final = ("", "?", "NA", "N/A", "NaN", "nan", "null", "None")


class OwnParams(Params):
    """What tables and pictures of a user's own have in common."""

    label: str = Field(default="label", min_length=1, description="the column to be predicted")
    classes: Columns = Field(
        default=(), max_length=1000, description="the values of the label in their order (none: those found, sorted)"
    )
    sensitive: Columns = Field(default=(), max_length=20, description="the columns that form groups")
    groups: dict[str, tuple[Annotated[float, Field(allow_inf_nan=False)], ...]] = Field(
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [f"sensitive names the label {self.label}"] if self.label in self.sensitive else []
        for name in ("classes", "sensitive"):
            repeated = twice(getattr(self, name))
            problems += [f"{name} names {', '.join(repeated)} more than once"] if repeated else []
        strange = sorted(set(self.groups) - set(self.sensitive))
        problems += [f"groups names {', '.join(strange)}, which is not sensitive"] if strange else []
        unordered = [name for name, ends in self.groups.items() if not ends or list(ends) != sorted(set(ends))]
        problems += [f"groups of {', '.join(unordered)} must ascend, and be one at least"] if unordered else []
        if problems:
            raise ValueError("; ".join(problems))
        return self


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

    @model_validator(mode="after")
    def _columns_play_one_part(self) -> Self:
        parts = {"categorical": self.categorical, "drop": self.drop, "immutable": self.immutable}
        problems = [f"{name} names the label {self.label}" for name, own in parts.items() if self.label in own]
        problems += [
            f"{name} names {', '.join(twice(own))} more than once" for name, own in parts.items() if twice(own)
        ]
        both = sorted(set(self.categorical) & set(self.bounds))
        problems += [f"{', '.join(both)} cannot be categorical and have bounds"] if both else []
        strange = sorted(set(self.categories) - set(self.categorical))
        problems += [f"categories names {', '.join(strange)}, which is not categorical"] if strange else []
        empty = sorted(name for name, (low, high) in self.bounds.items() if not low < high)
        problems += [f"the bounds of {', '.join(empty)} must be a lower and a higher number"] if empty else []
        if problems:
            raise ValueError("; ".join(problems))
        return self


class ImageFolderParams(OwnParams, PictureSize):
    """The settings of a folder of the user's own pictures."""

    path: str = Field(
        default="images",
        min_length=1,
        description="a folder; relative paths start in AMULET_DATA, else in the working folder",
    )
    annotations: str = Field(
        default="",
        description="a CSV file in the folder, one line a picture (none: the class of a picture is its subfolder)",
    )
    file: str = Field(
        default="file", min_length=1, description="the column of the annotations that names the picture in the folder"
    )
    colour: Literal["rgb", "grey"] = Field(default="rgb", description="three channels, or one")

    @model_validator(mode="after")
    def _groups_need_annotations(self) -> Self:
        if self.sensitive and not self.annotations:
            raise ValueError("sensitive columns stand in a file of annotations: name it in annotations")
        return self


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
