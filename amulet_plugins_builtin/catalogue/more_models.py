"""More architectures, and the classifiers of scikit-learn: descriptors and parameters. Imports nothing heavy."""

from collections.abc import Callable
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from amulet_core.components import Component, Model, NoParams, Params, Reference
from amulet_core.planned import Planned
from amulet_core.schema import DataSchema
from amulet_plugins_builtin.catalogue.models import SMALLEST_IMAGE, CapacityParams

FOLDS: Final = 5
"""The folds of the cross-validation that turns the SVM's margins into probabilities, as in Platt (1999)."""

EstimatorName = Literal["random-forest", "gradient-boosting", "logistic-regression", "svm-rbf", "knn"]

_SETTINGS: Final[dict[str, tuple[str, ...]]] = {
    "random-forest": ("trees", "depth"),
    "gradient-boosting": ("trees", "depth", "learning_rate"),
    "logistic-regression": ("c", "iterations"),
    "svm-rbf": ("c",),
    "knn": ("neighbours",),
}
"""The settings of each estimator."""


class SklearnParams(Params):
    """The settings of a classifier of scikit-learn; what is not named here has the library's default."""

    estimator: EstimatorName = Field(
        default="random-forest", description="which classifier of scikit-learn is fitted to the training rows"
    )
    trees: int = Field(default=100, ge=1, le=1000, description="trees of a forest, or stages of boosting")
    depth: int | None = Field(
        default=None, ge=1, le=64, description="the deepest tree (none: no limit in a forest, 3 in boosting)"
    )
    learning_rate: float = Field(default=0.1, gt=0, le=1, description="what each stage of boosting counts")
    c: float = Field(
        default=1.0, gt=0, le=1e6, description="the inverse of the L2 penalty of logistic regression and of the SVM"
    )
    iterations: int = Field(
        default=1000, ge=1, le=100_000, description="the most steps of the solver of logistic regression"
    )
    neighbours: int = Field(default=5, ge=1, le=1000, description="how many nearest training rows vote")

    @model_validator(mode="after")
    def _no_setting_of_another(self) -> Self:
        known = ("estimator", *_SETTINGS[self.estimator])
        fields = type(self).model_fields
        foreign = [name for name in fields if name not in known and getattr(self, name) != fields[name].default]
        if foreign:
            raise ValueError(
                f"{', '.join(foreign)} would change nothing: {self.estimator} has the settings "
                f"{', '.join(_SETTINGS[self.estimator])}"
            )
        return self


def reads_images(name: str) -> Callable[[Any, DataSchema], list[str]]:
    """Return what lists why the architecture ``name`` cannot read such rows: only images, and none too small."""

    def applicable(params: Any, schema: DataSchema) -> list[str]:  # noqa: ARG001 - true of every capacity
        if len(schema.shape) != 3:
            shape = schema.shape
            return [f"{name} reads images [channels, height, width], but a row of these data has the shape {shape}"]
        height, width = schema.shape[1:]
        if min(height, width) < SMALLEST_IMAGE:
            return [f"{name} reads images of {SMALLEST_IMAGE}x{SMALLEST_IMAGE} pixels or more, not {height}x{width}"]
        return []

    return applicable


def _too_few_rows(params: SklearnParams, planned: Planned) -> list[str]:
    """List why an estimator cannot be fitted to so few training rows."""
    if params.estimator == "knn" and params.neighbours > planned.train:
        return [
            f"knn asks {params.neighbours} neighbours, but there are only {planned.train} training rows: lower "
            "neighbours, or raise data.train"
        ]
    about = {
        name: int(planned.training_rows(rows))
        for name, rows in zip(planned.schema.classes, planned.class_rows, strict=True)
        if rows
    }
    rare = [f"{name} (about {rows})" for name, rows in about.items() if rows < FOLDS]
    if params.estimator == "svm-rbf" and rare:
        return [
            f"svm-rbf needs {FOLDS} training rows of each class for its {FOLDS}-fold cross-validation, but there are "
            f"too few of {', '.join(rare)}: raise data.train"
        ]
    return []


_GROUPS = Reference(title="Wu, He: Group Normalization (2018)", where="arXiv:1803.08494")

COMPONENTS: tuple[Component, ...] = (
    Model(
        name="logistic",
        summary="Logistic regression: one affine layer on normalised rows of any shape.",
        target="amulet_plugins_builtin.models.logistic:build",
        checks="amulet_plugins_builtin.models.checks:logistic_checks",
        params=NoParams,
        stackable=True,
        produces=("affine-logits", "interval-bounds", "layer-chain"),
        references=(
            Reference(
                title="Cox: The Regression Analysis of Binary Sequences (1958)",
                where="doi:10.1111/j.2517-6161.1958.tb00292.x",
            ),
        ),
    ),
    Model(
        name="resnet",
        summary="A residual network of 8 to 18 layers with GroupNorm, for small images (8x8 pixels or more).",
        target="amulet_plugins_builtin.models.resnet:build",
        checks="amulet_plugins_builtin.models.checks:resnet_checks",
        params=CapacityParams,
        modality=("image",),
        produces=("features",),
        references=(
            Reference(title="He et al.: Deep Residual Learning for Image Recognition (2015)", where="arXiv:1512.03385"),
            _GROUPS,
        ),
        applicable=reads_images("resnet"),
    ),
    Model(
        name="vgg",
        summary="A VGG network of 5 to 15 layers with GroupNorm, for small images (8x8 pixels or more).",
        target="amulet_plugins_builtin.models.vgg:build",
        checks="amulet_plugins_builtin.models.checks:vgg_checks",
        params=CapacityParams,
        modality=("image",),
        produces=("features",),
        references=(
            Reference(
                title="Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition (2014)",
                where="arXiv:1409.1556",
            ),
            _GROUPS,
        ),
        applicable=reads_images("vgg"),
    ),
    Model(
        name="sklearn",
        summary="A classifier of scikit-learn (forest, boosting, logistic regression, SVM or kNN) as a black box.",
        target="amulet_plugins_builtin.models.estimator:build",
        checks="amulet_plugins_builtin.models.checks:sklearn_checks",
        params=SklearnParams,
        differentiable=False,
        trains_itself=True,
        impossible=_too_few_rows,
        references=(
            Reference(
                title="Pedregosa et al.: Scikit-learn: Machine Learning in Python (2011)", where="arXiv:1201.0490"
            ),
            Reference(title="Breiman: Random Forests (2001)", where="doi:10.1023/A:1010933404324"),
            Reference(
                title="Friedman: Greedy Function Approximation: a Gradient Boosting Machine (2001)",
                where="doi:10.1214/aos/1013203451",
            ),
            Reference(title="Cortes, Vapnik: Support-Vector Networks (1995)", where="doi:10.1007/BF00994018"),
            Reference(
                title="Cover, Hart: Nearest Neighbor Pattern Classification (1967)",
                where="doi:10.1109/TIT.1967.1053964",
            ),
        ),
    ),
)
