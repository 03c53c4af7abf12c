"""What the plugin offers: a descriptor for each attack of torchattacks that works within a budget. Light."""

from typing import Final

from amulet_core.components import Attack, Reference
from amulet_core.vocabulary import Modality

from amulet_plugin_torchattacks import limits, references
from amulet_plugin_torchattacks import linf_settings as linf
from amulet_plugin_torchattacks import other_settings as other
from amulet_plugin_torchattacks.limits import Limit, every
from amulet_plugin_torchattacks.use import Settings

_ANY: Final[tuple[Modality, ...]] = ("tabular", "image")
_IMAGES: Final[tuple[Modality, ...]] = ("image",)
_GOAL: Final = "changes the row within a budget, so that another class is predicted."
_THREATS: Final = {
    "white-box": f"The adversary knows the whole model and a row's true label, and {_GOAL}",
    "probabilities": f"The adversary asks for the probabilities of the classes, knows a row's true label, and {_GOAL}",
    "none": "The adversary knows nothing of the model and adds noise to a row, within a budget.",
}


def _attack(
    params: type[Settings],
    summary: str,
    *papers: Reference,
    modality: tuple[Modality, ...] = _ANY,
    limit: tuple[Limit, ...] = (),
) -> Attack:
    use = params.use
    name = use.name.lower()
    return Attack(
        name=name,
        summary=summary,
        target="amulet_plugin_torchattacks.attack:attack",
        params=params,
        risk="evasion",
        access=use.access,
        control=use.access == "none",
        norms=use.norms,
        threat=_THREATS[use.access],
        modality=modality,
        references=(*papers, references.TORCHATTACKS),
        applicable=every(limits.channels_and_sides, *limit),
        checks=f"amulet_plugin_torchattacks.checks:{name}_checks",
    )


COMPONENTS: Final[tuple[Attack, ...]] = (
    _attack(linf.FgsmParams, "One step of the whole budget along the gradient's sign, linf.", references.FGSM),
    _attack(linf.BimParams, "Steps along the gradient's sign from the row itself, linf.", references.BIM),
    _attack(linf.RfgsmParams, "A random step, then steps along the gradient's sign, linf.", references.RFGSM),
    _attack(linf.FfgsmParams, "One step along the gradient's sign from a random start, linf.", references.FFGSM),
    _attack(linf.PgdParams, "Projected gradient descent from a random start, linf.", references.PGD),
    _attack(
        linf.EotPgdParams,
        "Projected gradient descent along gradients averaged over a random victim's answers, linf.",
        references.EOTPGD,
    ),
    _attack(
        linf.TpgdParams,
        "Projected gradient descent away from the clean prediction, whatever the label, linf.",
        references.TRADES,
    ),
    _attack(linf.MiFgsmParams, "Gradient signs with momentum, linf.", references.MOMENTUM),
    _attack(linf.NiFgsmParams, "Gradient signs with Nesterov momentum, linf.", references.NESTEROV),
    _attack(
        linf.SiniFgsmParams,
        "Gradient signs with Nesterov momentum, averaged over scaled copies of the input, linf.",
        references.NESTEROV,
    ),
    _attack(
        linf.VmiFgsmParams, "Gradient signs with momentum, tuned by the gradients' variance, linf.", references.VARIANCE
    ),
    _attack(
        linf.VniFgsmParams,
        "Gradient signs with Nesterov momentum, tuned by the gradients' variance, linf.",
        references.VARIANCE,
    ),
    _attack(
        linf.UpgdParams,
        "Gradient signs with momentum, averaged gradients and a choice of losses, linf.",
        references.PGD,
        references.MOMENTUM,
    ),
    _attack(
        linf.JitterParams, "Projected gradient descent on jittered, scaled probabilities, linf.", references.JITTER
    ),
    _attack(
        linf.PgdRsParams,
        "Projected gradient descent on the prediction averaged over noise, for smoothed victims, linf.",
        references.SMOOTHING,
    ),
    _attack(
        linf.DiFgsmParams,
        "Gradient signs through random resizing and padding, linf, images only.",
        references.DIVERSITY,
        modality=_IMAGES,
        limit=(limits.as_high_as_wide,),
    ),
    _attack(
        linf.TiFgsmParams,
        "Signs of smoothed gradients through random resizing and padding, linf, images only.",
        references.TRANSLATION,
        modality=_IMAGES,
        limit=(limits.as_high_as_wide, limits.one_or_three_channels),
    ),
    _attack(
        linf.PiFgsmParams,
        "Amplified steps whose overshoot moves to neighbouring pixels, linf, images only.",
        references.PATCHWISE,
        modality=_IMAGES,
        limit=(limits.one_or_three_channels,),
    ),
    _attack(
        linf.PiFgsmPpParams,
        "Amplified steps along smoothed gradients, the overshoot moved to neighbours, linf, images only.",
        references.PATCHWISE_PP,
        modality=_IMAGES,
        limit=(limits.one_or_three_channels,),
    ),
    _attack(
        linf.ApgdParams,
        "Projected gradient descent with a step length that adapts, linf or L2.",
        references.AUTOATTACK,
    ),
    _attack(
        linf.ApgdTParams,
        "The adaptive descent towards each other class in turn, linf or L2.",
        references.AUTOATTACK,
    ),
    _attack(
        other.FabParams, "The smallest change by projections onto linearised boundaries, linf or L2.", references.FAB
    ),
    _attack(
        other.AutoAttackParams,
        "The ensemble of apgd, apgdt, fab and square, linf or L2, images only.",
        references.AUTOATTACK,
        references.FAB,
        references.SQUARE,
        modality=_IMAGES,
        limit=(limits.room_for_squares,),
    ),
    _attack(
        other.SquareParams,
        "Random search by square patches, without gradients, linf or L2, images only.",
        references.SQUARE,
        modality=_IMAGES,
        limit=(limits.room_for_squares,),
    ),
    _attack(other.SpsaParams, "Descent along gradients estimated from random differences, linf.", references.SPSA),
    _attack(other.PgdL2Params, "Projected gradient descent from a random start, L2.", references.PGD),
    _attack(
        other.PgdRsL2Params,
        "Projected gradient descent on the prediction averaged over noise, for smoothed victims, L2.",
        references.SMOOTHING,
    ),
    _attack(other.CwParams, "The smallest change in L2 by descent on distance and margin, L2.", references.CW),
    _attack(
        other.DeepFoolParams, "The smallest change in L2 by steps onto linearised boundaries, L2.", references.DEEPFOOL
    ),
    _attack(other.EadParams, "The smallest change by elastic net (L2 with some L1), played in L2.", references.EAD),
    _attack(other.EadL1Params, "The smallest change in L1 by elastic net, played in L2.", references.EAD),
    _attack(other.GnParams, "Gaussian noise, blind to the model: a control, linf or L2."),
)
