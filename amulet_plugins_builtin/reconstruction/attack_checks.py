"""The checks of the attacks on data reconstruction: planted victims that tell everything or nothing, closed forms."""

from collections.abc import Callable

import torch
from torch import Tensor

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games import reconstruction as game
from amulet_core.games.contest import Contest
from amulet_core.games.reconstruction import ReconstructionAnswer, ReconstructionResult, ReconstructionView
from amulet_core.games.threats import ReconstructionThreat
from amulet_core.streams import isolated
from amulet_core.victims import WhiteBox
from amulet_core.vocabulary import Access
from amulet_plugins_builtin.catalogue.reconstruction import (
    GradientInversionParams,
    MiFaceParams,
    OutputDecoderParams,
    ReconstructionMetricParams,
)
from amulet_plugins_builtin.reconstruction import controls, gradient_inversion, metric, mi_face, planted
from amulet_plugins_builtin.reconstruction import output_decoder as decoder
from amulet_plugins_builtin.reconstruction.units import to_units

Attack = Callable[[ReconstructionView], ReconstructionAnswer]


def output_decoder() -> tuple[Check, ...]:
    """Return the checks of the decoder."""
    return (
        Check(
            "the decoder recovers rows that the outputs encode",
            "a decoder that learns nothing makes every defense look good",
            lambda: decodes(_decoder("network")),
        ),
        Check(
            "so does its linear learner",
            "a decoder that learns nothing makes every defense look good",
            lambda: decodes(_decoder("ridge")),
        ),
        Check(
            "outputs that tell nothing end at the class mean",
            "what is found there is found in the labels, or overfitted",
            lambda: ends_at_the_class_mean(_decoder("network")),
        ),
        Check(
            "so do those of its linear learner",
            "what is found there is found in the labels, or overfitted",
            lambda: ends_at_the_class_mean(_decoder("ridge")),
        ),
    )


def mi_face_checks() -> tuple[Check, ...]:
    """Return the checks of MI-FACE."""
    return (
        Check(
            "mi-face finds the prototypes that a victim holds of its classes",
            "a descent that stops short says nothing of the victim",
            lambda: finds_prototypes(_mi_face),
        ),
        Check(
            "mi-face finds nothing in a victim that says the same of every input",
            "what is found there does not come from the victim",
            lambda: stays_grey(_mi_face),
        ),
    )


def gradient_inversion_checks() -> tuple[Check, ...]:
    """Return the checks of gradient inversion."""
    return (
        Check(
            "one row behind a fully connected layer with bias is recovered exactly",
            "x = dL/dW_i / dL/db_i holds to rounding (Phong et al., Geiping et al.)",
            solves_the_first_layer,
        ),
        Check(
            "matching gradients by angle recovers rows",
            "a search that does not come close says nothing of the recipe",
            lambda: matches(GradientInversionParams(method="matching", smoothness=0.0), batch=1),
        ),
        Check(
            "matching gradients by squares with L-BFGS recovers rows and labels of batches",
            "Deep Leakage from Gradients does on such networks",
            lambda: matches(_DLG, batch=2),
        ),
        Check(
            "a drowned gradient gives nothing away",
            "what is found in noise is the attack's own mistake",
            finds_nothing_in_noise,
        ),
        Check(
            "the label is read off the last layer's gradient",
            "iDLG's sign rule is exact for one row",
            reads_labels,
        ),
    )


def class_mean() -> tuple[Check, ...]:
    """Return the checks of the class mean."""
    return (
        Check(
            "the control is the mean of its own rows of each class",
            "every relative error is measured against it",
            is_the_class_mean,
        ),
    )


def zero_input() -> tuple[Check, ...]:
    """Return the checks of the zero input."""
    return (
        Check(
            "the control is the possible input nearest to zero", "an impossible input is no floor", is_nearest_to_zero
        ),
    )


_DLG = GradientInversionParams(
    method="matching", distance="l2", optimizer="lbfgs", learning_rate=1.0, labels="joint", smoothness=0.0
)


def _decoder(learner: str) -> Attack:
    return lambda view: decoder.attack(view, OutputDecoderParams.model_validate({"learner": learner}))


def _mi_face(view: ReconstructionView) -> ReconstructionAnswer:
    return mi_face.attack(view, MiFaceParams(smoothness=0.1))


def played(contest: Contest, attack: Attack, access: Access) -> ReconstructionResult:
    """Return the result of an attack, whose kind the verdict is about."""
    threat = ReconstructionThreat(verdict=contest.reconstructs or "row")
    with isolated("check", "reconstruction"):
        return game.judge(contest, attack(game.view(contest, threat, access)), threat)


def relative(result: ReconstructionResult) -> float:
    """Return an answer's error over that of the class mean."""
    with isolated("check", "metric"):
        value = metric.measure(result, ReconstructionMetricParams(resamples=100))["relative_error"]
    return float(value.estimate)


def decodes(attack: Attack) -> None:
    """See that a decoder recovers rows from logits that are a linear map of them."""
    _within(
        relative(played(planted.uniform(planted.Telling(), planted.TABLE, kind="row"), attack, "probabilities")), 0, 0.1
    )


def ends_at_the_class_mean(attack: Attack) -> None:
    """See that constant outputs leave a decoder at the class mean."""
    silent = planted.uniform(planted.Silent(), planted.TABLE, kind="row")
    _within(relative(played(silent, attack, "probabilities")), 0.97, 1.03)


def finds_prototypes(attack: Attack) -> None:
    """See that the inputs of least cost are the prototypes, which the adversary's own rows do not show."""
    rows = planted.prototypes()
    known = planted.clustered(planted.Prototypes(rows), rows, planted.IMAGES, kind="class")
    _within(relative(played(known, attack, "white-box")), 0, 0.2)


def stays_grey(attack: Attack) -> None:
    """See that nothing but the start comes out of a constant victim."""
    silent = planted.clustered(planted.Silent(), planted.prototypes(), planted.IMAGES, kind="class")
    found = played(silent, attack, "white-box").x
    if (found - 0.5).abs().max() > 1e-6:
        raise AssertionError(f"inputs lie up to {float((found - 0.5).abs().max()):.3f} from the start, expected 0")


def solves_the_first_layer() -> None:
    """Compare with the closed form."""
    view, x, _ = planted.leaky(planted.TABLE, rows=8)
    off = _off(view, gradient_inversion.attack(view, GradientInversionParams()), x)
    if off.max() > 1e-5:
        raise AssertionError(f"rows are off by up to {float(off.max()):.2g} of a feature's range, expected 1e-5")


def matches(params: GradientInversionParams, *, batch: int) -> None:
    """See that rows come out of a search, in whatever order within a batch."""
    view, x, _ = planted.leaky(planted.TABLE, rows=8, batch=batch)
    with isolated("check", "gradient-inversion"):
        answer = gradient_inversion.attack(view, params)
    paired = game._paired(answer.x, x, batch, view.data_schema)
    _within(float(_off(view, answer.model_copy(update={"x": paired}), x).square().mean()) * 12, 0, 0.1)


def finds_nothing_in_noise() -> None:
    """See that a gradient under ten times its size in noise tells nothing: uniform rows have variance 1/12."""
    view, x, _ = planted.leaky(planted.TABLE, rows=200, noise=10.0)
    off = _off(view, gradient_inversion.attack(view, GradientInversionParams()), x)
    _within(float(off.square().mean()) * 12, 0.9, 4.0)


def reads_labels() -> None:
    """Compare the labels inferred with the true ones, which the seed draws."""
    view, _, y = planted.leaky(planted.TABLE, rows=100)
    assert isinstance(view.model, WhiteBox)
    found = gradient_inversion.inferred(view, view.model.module)
    if found is None or not torch.equal(found, y):
        raise AssertionError(f"labels {found}, expected {y}")


def is_the_class_mean() -> None:
    """Compare the control with a loop over the classes."""
    contest = planted.uniform(planted.Telling(), planted.TABLE, kind="class")
    found = played(contest, lambda view: controls.class_mean(view, NoParams()), "none").x
    expected = torch.stack([contest.aux.x[contest.aux.y == label].mean(0) for label in range(len(planted.CLASSES))])
    if not torch.allclose(found, expected, atol=1e-4):
        raise AssertionError(f"class means {found.tolist()}, expected {expected.tolist()}")


def is_nearest_to_zero() -> None:
    """Compare with the bounds of the planted table: 0 .. 1, -5 .. 5, 10 .. 30."""
    contest = planted.uniform(planted.Telling(), planted.TABLE, kind="class")
    found = played(contest, lambda view: controls.zero_input(view, NoParams()), "none").x
    if not torch.equal(found, torch.tensor([0.0, 0.0, 10.0]).expand(4, 3)):
        raise AssertionError(f"inputs {found.tolist()}, expected 0, 0, 10")


def _off(view: ReconstructionView, answer: ReconstructionAnswer, x: Tensor) -> Tensor:
    """Return how far each feature is off, as a fraction of its range."""
    return (to_units(answer.x, view.data_schema) - to_units(x, view.data_schema)).abs()


def _within(found: float, low: float, high: float) -> None:
    if not low <= found <= high:
        raise AssertionError(f"the error is {found:.3f} times that of the mean, expected {low:g} to {high:g}")
