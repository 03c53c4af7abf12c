"""The built-in attacks on evasion beside projected gradient descent. Light: imports nothing heavy."""

from typing import Annotated, Final, Literal

from pydantic import Field

from amulet_core.components import Attack, Component, Params, Reference
from amulet_plugins_builtin.catalogue.evasion import AUTOATTACK, CARLINI, OBFUSCATED, something_can_change

GOODFELLOW: Final = Reference(title="Explaining and Harnessing Adversarial Examples", where="arXiv:1412.6572")
SQUARE: Final = Reference(
    title="Square Attack: a query-efficient black-box adversarial attack via random search", where="arXiv:1912.00049"
)
DEEPFOOL: Final = Reference(
    title="DeepFool: a simple and accurate method to fool deep neural networks", where="arXiv:1511.04599"
)
EVALUATING: Final = Reference(title="On Evaluating Adversarial Robustness", where="arXiv:1902.06705")

MaskedShare = Annotated[
    float,
    Field(ge=0, le=1, description="warn of masked gradients if a larger share of the rows has a zero gradient"),
]
EarlyStop = Annotated[
    bool,
    Field(description="leave rows alone once they are fooled (false: go on to the largest loss in the budget)"),
]
Targets = Annotated[
    int,
    Field(ge=1, le=1000, description="how many of the other classes, the likeliest first, a targeted loss aims at"),
]
Queries = Annotated[
    int, Field(ge=1, le=1_000_000, description="how often the model is asked about each row at each budget, at most")
]
BlockShare = Annotated[
    float, Field(gt=0, le=1, description="share of a row's features that the first blocks of random search cover")
]


class FgsmParams(Params):
    """How the fast gradient method takes its one step."""

    loss: Literal["ce", "margin"] = Field("ce", description="what is climbed: cross-entropy, or the logit margin")
    early_stop: EarlyStop = True
    masked_share: MaskedShare = 0.1


class ApgdParams(Params):
    """How the gradient is followed with steps that adapt."""

    steps: int = Field(50, ge=1, le=10_000, description="gradient steps of each climb (the paper: 100)")
    restarts: int = Field(1, ge=1, le=1000, description="climbs, each from a random point of the ball")
    loss: Literal["ce", "dlr", "targeted-dlr"] = Field(
        "ce",
        description=(
            "what is climbed: cross-entropy, the difference-of-logits ratio (below 3 classes: the logit margin), or "
            "that ratio towards each target in turn (below 4 classes: the difference of the two logits)"
        ),
    )
    targets: Targets = 9
    early_stop: EarlyStop = True
    masked_share: MaskedShare = 0.1


class SquareParams(Params):
    """How random search by blocks goes about."""

    queries: Queries = 1000
    share: BlockShare = 0.8


class AutoAttackParams(Params):
    """What each attack of the sequence may spend (the paper: 100 steps, 9 targets, 5,000 queries)."""

    steps: int = Field(50, ge=1, le=10_000, description="gradient steps of each climb")
    targets: Targets = 9
    queries: Queries = 1000
    share: BlockShare = 0.8
    masked_share: MaskedShare = 0.1
    tolerated_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="warn if the black-box attack, or more steps, fool a larger share of the rows than the rest did",
    )


class CwL2Params(Params):
    """How the change of least L2 norm is searched by descent."""

    searches: int = Field(6, ge=1, le=50, description="values tried, by bisection, of the margin's weight c")
    steps: int = Field(200, ge=1, le=100_000, description="steps of Adam for each of them")
    learning_rate: float = Field(
        0.01, gt=0, le=1, description="Adam's first step length, as a fraction of each feature's range; it falls to 0"
    )
    first_constant: float = Field(0.01, gt=0, le=1e6, description="the first weight c of the margin beside the norm")
    kappa: float = Field(0.0, ge=0, le=1000, description="the logit margin by which another class must win")
    masked_share: MaskedShare = 0.1


class DeepFoolParams(Params):
    """How the nearest of the linearised boundaries is approached."""

    steps: int = Field(50, ge=1, le=10_000, description="linearisations, at most")
    overshoot: float = Field(0.02, ge=0, le=10, description="how far beyond the boundary a row goes, as a share")
    classes: int = Field(
        10, ge=1, le=1000, description="boundaries looked at in each step: those to the likeliest other classes"
    )
    masked_share: MaskedShare = 0.1


_GOAL: Final = "and changes the row within a budget, so that another class is predicted."
_WHITE_BOX: Final = f"The adversary knows the whole model and a row's true label, {_GOAL}"
_BLACK_BOX: Final = (
    f"The adversary may ask for the probabilities of the classes a limited number of times, knows a row's true "
    f"label, {_GOAL}"
)

COMPONENTS: Final[tuple[Component, ...]] = (
    Attack(
        name="fgsm",
        summary="A single step of the whole budget uphill on the true label's loss, in linf or L2.",
        target="amulet_plugins_builtin.evasion.fgsm:attack",
        params=FgsmParams,
        risk="evasion",
        access="white-box",
        threat=_WHITE_BOX,
        references=(GOODFELLOW,),
        applicable=something_can_change,
        checks="amulet_plugins_builtin.evasion.attack_checks:fgsm_checks",
    ),
    Attack(
        name="apgd",
        summary="Projected gradient descent with momentum and a step length that adapts, in linf or L2.",
        target="amulet_plugins_builtin.evasion.apgd:attack",
        params=ApgdParams,
        risk="evasion",
        access="white-box",
        threat=_WHITE_BOX,
        references=(AUTOATTACK,),
        applicable=something_can_change,
        checks="amulet_plugins_builtin.evasion.attack_checks:apgd_checks",
    ),
    Attack(
        name="square",
        summary="Random search by blocks of pixels or features, without gradients, in linf or L2.",
        target="amulet_plugins_builtin.evasion.square:attack",
        params=SquareParams,
        risk="evasion",
        access="probabilities",
        threat=_BLACK_BOX,
        references=(SQUARE,),
        applicable=something_can_change,
        checks="amulet_plugins_builtin.evasion.attack_checks:square_checks",
    ),
    Attack(
        name="autoattack",
        summary="Adaptive descent on two losses, then random search, on what survives; warns of masked gradients.",
        target="amulet_plugins_builtin.evasion.autoattack:attack",
        params=AutoAttackParams,
        risk="evasion",
        access="white-box",
        threat=_WHITE_BOX,
        references=(AUTOATTACK, SQUARE, OBFUSCATED, EVALUATING),
        applicable=something_can_change,
        checks="amulet_plugins_builtin.evasion.attack_checks:autoattack_checks",
    ),
    Attack(
        name="cw-l2",
        summary="The smallest change in L2 that fools, by descent on the norm and the logit margin.",
        target="amulet_plugins_builtin.evasion.cw_l2:attack",
        params=CwL2Params,
        risk="evasion",
        access="white-box",
        norms=("l2",),
        threat=_WHITE_BOX,
        references=(CARLINI,),
        applicable=something_can_change,
        checks="amulet_plugins_builtin.evasion.attack_checks:cw_l2_checks",
    ),
    Attack(
        name="deepfool",
        summary="A small change that fools, by steps onto the nearest linearised boundary, in linf or L2.",
        target="amulet_plugins_builtin.evasion.deepfool:attack",
        params=DeepFoolParams,
        risk="evasion",
        access="white-box",
        threat=_WHITE_BOX,
        references=(DEEPFOOL,),
        applicable=something_can_change,
        checks="amulet_plugins_builtin.evasion.attack_checks:deepfool_checks",
    ),
)
