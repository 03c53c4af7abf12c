"""The built-in data sets: their descriptors and parameters. Imports nothing heavy."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from amulet_core.components import Component, Dataset, Params, Reference

AdultColumn = Literal[
    "workclass",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
    "sex",
    "race",
    "age",
]
CompasColumn = Literal[
    "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count", "c_charge_degree", "sex", "race", "age"
]
GermanColumn = Literal[
    "status",
    "month",
    "credit_history",
    "purpose",
    "credit_amount",
    "savings",
    "employment",
    "investment_as_income_percentage",
    "other_debtors",
    "residence_since",
    "property",
    "installment_plans",
    "housing",
    "number_of_credits",
    "skill_level",
    "people_liable_for",
    "telephone",
    "foreign_worker",
    "personal_status",
    "age",
]


class TableParams(Params):
    """The settings that all tables share; ``drop`` names columns of the source."""

    sensitive_in_x: bool = Field(
        default=False,
        description="Whether the sensitive columns are inputs of the model too; they are always there as groups.",
    )
    drop: tuple[Any, ...] = ()

    @model_validator(mode="after")
    def _no_column_twice(self) -> Self:
        twice = sorted({column for column in self.drop if self.drop.count(column) > 1})
        if twice:
            raise ValueError(f"drop names {', '.join(twice)} more than once")
        return self


class AdultParams(TableParams):
    """The settings of Adult."""

    drop: tuple[AdultColumn, ...] = Field(
        default=(),
        max_length=8,
        description="Columns left out of x, besides the sensitive ones: relationship and marital-status reveal sex.",
    )


class CompasParams(TableParams):
    """The settings of COMPAS."""

    drop: tuple[CompasColumn, ...] = Field(
        default=(), max_length=5, description="Columns left out of x, besides sex and race; age is in x unless named."
    )


class GermanCreditParams(TableParams):
    """The settings of German credit."""

    drop: tuple[GermanColumn, ...] = Field(
        default=(),
        max_length=17,
        description="Columns left out of x, besides the sensitive ones (personal_status holds sex).",
    )


class PixelGroupParams(Params):
    """The settings of grey images, which have no sensitive attribute but what their pixels show."""

    groups: tuple[Literal["brightness"], ...] = Field(
        default=(),
        max_length=1,
        description="What groups the images: brightness is bright where the mean pixel is above the median of the "
        "class, else dark, so that it tells nothing of the class.",
    )


class DownloadParams(Params):
    """The settings of a data set that is too large to embed."""

    download: bool = Field(
        default=False,
        description="Whether torchvision may download the images when the folder AMULET_DATA does not hold them.",
    )


class DownloadedPixelsParams(PixelGroupParams, DownloadParams):
    """The settings of grey images that are too large to embed."""


_PACKAGE = "amulet_plugins_builtin.datasets"

COMPONENTS: tuple[Component, ...] = (
    Dataset(
        name="adult",
        summary="UCI Adult: does a US adult of 1994 earn more than $50,000? 48,842 rows; groups by sex, race, age.",
        target=f"{_PACKAGE}.adult:adult",
        checks=f"{_PACKAGE}.checks:adult_checks",
        params=AdultParams,
        modality=("tabular",),
        licence="CC BY 4.0",
        references=(Reference(title="Becker, Kohavi: Adult (UCI, 1996)", where="doi:10.24432/C5XW20"),),
    ),
    Dataset(
        name="compas",
        summary="ProPublica COMPAS: does a defendant reoffend within two years? 6,172 rows; groups by sex, race, age.",
        target=f"{_PACKAGE}.compas:compas",
        checks=f"{_PACKAGE}.checks:compas_checks",
        params=CompasParams,
        modality=("tabular",),
        licence="no formal licence; published by ProPublica for re-analysis",
        references=(
            Reference(
                title="Larson et al.: How We Analyzed the COMPAS Recidivism Algorithm (ProPublica, 2016)",
                where="https://www.propublica.org/article/how-we-analyzed-the-compas-recidivism-algorithm",
            ),
        ),
    ),
    Dataset(
        name="german-credit",
        summary="Statlog German credit: is an applicant a good credit risk? 1,000 rows; groups by sex and age.",
        target=f"{_PACKAGE}.german_credit:german_credit",
        checks=f"{_PACKAGE}.checks:german_credit_checks",
        params=GermanCreditParams,
        modality=("tabular",),
        licence="CC BY 4.0",
        references=(
            Reference(title="Hofmann: Statlog (German Credit Data) (UCI, 1994)", where="doi:10.24432/C5NC77"),
            Reference(
                title="Kamiran, Calders: Classifying without discriminating (2009), for the age groups",
                where="doi:10.1109/IC4.2009.4909197",
            ),
        ),
    ),
    Dataset(
        name="digits",
        summary="Handwritten digits of 8x8 pixels from scikit-learn: 1,797 images of 10 classes.",
        target=f"{_PACKAGE}.digits:digits",
        checks=f"{_PACKAGE}.checks:digits_checks",
        params=PixelGroupParams,
        modality=("image",),
        licence="CC BY 4.0",
        references=(
            Reference(
                title="Alpaydin, Kaynak: Optical Recognition of Handwritten Digits (UCI, 1998)",
                where="doi:10.24432/C50P49",
            ),
        ),
    ),
    Dataset(
        name="mnist",
        summary="Handwritten digits of 28x28 pixels: 70,000 images of 10 classes, from AMULET_DATA or downloaded.",
        target=f"{_PACKAGE}.idx_images:mnist",
        checks=f"{_PACKAGE}.checks_of_files:mnist_checks",
        params=DownloadedPixelsParams,
        modality=("image",),
        licence="CC BY-SA 3.0",
        references=(
            Reference(
                title="LeCun et al.: Gradient-based learning applied to document recognition (1998)",
                where="doi:10.1109/5.726791",
            ),
        ),
    ),
    Dataset(
        name="fashion-mnist",
        summary="Articles of clothing of 28x28 pixels: 70,000 images of 10 classes, from AMULET_DATA or downloaded.",
        target=f"{_PACKAGE}.idx_images:fashion_mnist",
        checks=f"{_PACKAGE}.checks_of_files:fashion_mnist_checks",
        params=DownloadedPixelsParams,
        modality=("image",),
        licence="MIT",
        references=(
            Reference(
                title="Xiao, Rasul, Vollgraf: Fashion-MNIST: a Novel Image Dataset (2017)", where="arXiv:1708.07747"
            ),
        ),
    ),
)
