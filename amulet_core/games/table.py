"""The table of the games: what each risk is about, its built-in attacks and metrics, its primary value. Light."""

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field

from amulet_core.components import Params
from amulet_core.games.audit_threat import AuditThreat
from amulet_core.games.threats import (
    AttributeThreat,
    DiscriminationThreat,
    DistributionThreat,
    EvasionThreat,
    MembershipThreat,
    PoisoningThreat,
    ReconstructionThreat,
    TheftThreat,
    UtilityThreat,
    VerificationThreat,
)
from amulet_core.schema import Frozen
from amulet_core.vocabulary import Better


class Primary(Frozen):
    """The one value of a risk that verdicts are about, and the smallest change of it that matters.

    ``floor`` is the value without any protection, of a quantity that exists only for rows with a certain defense: the
    row ``none`` then has no value that changes could be measured against. A threat model with an ``fpr`` takes its
    place by that: as often, models are claimed by chance. A ``share`` is one of the n that stand behind the value: the
    interval of such a value itself, none of a change, is cut to 0 .. 1, and no narrower than that of its counts. A
    ``bound`` has no value in ``none`` either: the value is a lower bound on what an adversary could do, and however
    small, it is no evidence of protection. ``chance`` is the value where there is nothing to find, if that is one
    number.
    """

    metric: str
    value: str
    label: str
    better: Better
    margin: float = Field(gt=0, description="changes smaller than this do not matter")
    floor: float | None = Field(
        None, allow_inf_nan=False, description="the value without any protection, where the row none has none"
    )
    share: bool = Field(False, description="whether the value is a share of as many trials as stand behind it")
    bound: bool = Field(False, description="whether the value is a lower bound that no verdict can rest on")
    chance: float | None = Field(
        None, allow_inf_nan=False, description="the value where there is nothing to find, if that is one number"
    )


class Trained(Frozen):
    """The models that a game attacks, where it trains them itself: what they are called, and what they know.

    ``balanced`` is the value of the primary metric that is their balanced accuracy.
    """

    called: str
    balanced: str


class Game(Frozen):
    """A risk's game: its threat model, its fixed list of built-in attacks and metrics, its primary value.

    ``view(contest, threat, access)`` and ``judge(contest, answer, threat)`` are functions of the module
    ``module``, and where results of several attacks can be joined row by row (``joins``) so is ``worst(results)``;
    a game without attacks has only ``behave(contest, threat)``. The other kinds of ``play`` have jobs of their own: in
    ``poisoning`` the attack comes before training, in ``theft`` it hands back a model, in ``verification`` a
    defense looks for its own model among those that the thieves of another risk (``attacks_of``) made of it, in
    ``populations`` there are many victims, trained on rows of two kinds, and in an ``audit`` the attacks of another
    risk guess which rows a model was trained on that fair coins had put there.
    ``certifies``: defenses may prove some rows right, which ``certifiable(model, test, threat, draws)`` asks them.
    ``compares``: the controls are played first, and each attack's result is set beside theirs by
    ``beside(result, controls)``, for metrics that measure the difference.
    ``trains``: whether the models attacked know anything is read from the game's own metric, not from utility's.
    """

    risk: str
    title: str
    threat: type[Params]
    module: str
    attacks: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    metrics: tuple[str, ...]
    primary: Primary
    joins: bool = False
    play: Literal["contest", "poisoning", "theft", "verification", "populations", "audit"] = "contest"
    attacks_of: str = ""
    joined: str = "worst case"
    """What stands in the place of the attack where results of several attacks are joined."""
    certifies: bool = False
    compares: bool = False
    trains: Trained | None = None
    sok: str | None = None


GAMES: Final[Mapping[str, Game]] = {
    game.risk: game
    for game in (
        Game(
            risk="evasion",
            title="Evasion",
            threat=EvasionThreat,
            module="amulet_core.games.evasion",
            attacks=("pgd",),
            controls=("random-noise",),
            metrics=("robustness",),
            joins=True,
            certifies=True,
            primary=Primary(
                metric="robustness", value="robust_accuracy", label="robust accuracy", better="higher", margin=0.05
            ),
            sok="R1",
        ),
        Game(
            risk="poisoning",
            title="Poisoning",
            threat=PoisoningThreat,
            module="amulet_core.games.poisoning",
            attacks=("badnets",),
            metrics=("poisoning",),
            play="poisoning",
            primary=Primary(
                metric="poisoning",
                value="attack_success_rate",
                label="attack success rate",
                better="lower",
                margin=0.05,
            ),
            trains=Trained(called="poisoned models", balanced="balanced_accuracy"),
            sok="R2",
        ),
        Game(
            risk="unauthorized-model-ownership",
            title="Unauthorized model ownership",
            threat=TheftThreat,
            module="amulet_core.games.theft",
            attacks=("model-extraction",),
            controls=("independent-model",),
            metrics=("extraction",),
            play="theft",
            primary=Primary(
                metric="extraction",
                value="fidelity_gain",
                label="fidelity beyond an independent model",
                better="lower",
                margin=0.03,
                chance=0.0,
            ),
            sok="R3",
        ),
        Game(
            risk="ownership-verification",
            title="Ownership verification",
            threat=VerificationThreat,
            module="amulet_core.games.verification",
            attacks=("model-copy", "model-extraction"),
            attacks_of="unauthorized-model-ownership",
            metrics=("verification",),
            play="verification",
            joins=True,
            joined="all suspects",
            primary=Primary(
                metric="verification",
                value="true_positive_rate",
                label="derived models claimed",
                better="higher",
                margin=0.05,
                floor=0.05,
                share=True,
            ),
        ),
        Game(
            risk="membership-inference",
            title="Membership inference",
            threat=MembershipThreat,
            module="amulet_core.games.membership",
            attacks=("lira", "rmia", "loss-threshold"),
            controls=("random-score",),
            metrics=("membership",),
            primary=Primary(metric="membership", value="auc", label="AUC", better="lower", margin=0.03, chance=0.5),
            sok="P1",
        ),
        Game(
            risk="attribute-inference",
            title="Attribute inference",
            threat=AttributeThreat,
            module="amulet_core.games.attribute",
            attacks=("attribute-mlp", "attribute-csmia"),
            controls=("imputation",),
            metrics=("attribute-inference",),
            compares=True,
            primary=Primary(
                metric="attribute-inference",
                value="advantage",
                label="advantage over imputation",
                better="lower",
                margin=0.03,
                chance=0.0,
            ),
            sok="P3",
        ),
        Game(
            risk="distribution-inference",
            title="Distribution inference",
            threat=DistributionThreat,
            module="amulet_core.games.distribution",
            attacks=("kl-test",),
            controls=("random-hypothesis",),
            metrics=("distinguishing",),
            play="populations",
            primary=Primary(
                metric="distinguishing",
                value="accuracy",
                label="distinguishing accuracy",
                better="lower",
                margin=0.05,
                chance=0.5,
            ),
            trains=Trained(called="populations' victims", balanced="balanced_accuracy"),
            sok="P4",
        ),
        Game(
            risk="data-reconstruction",
            title="Data reconstruction",
            threat=ReconstructionThreat,
            module="amulet_core.games.reconstruction",
            attacks=("output-decoder", "mi-face", "gradient-inversion"),
            controls=("class-mean", "zero-input"),
            metrics=("reconstruction",),
            primary=Primary(
                metric="reconstruction",
                value="relative_error",
                label="error relative to the class mean",
                better="higher",
                margin=0.05,
                chance=1.0,
            ),
            sok="P2",
        ),
        Game(
            risk="discriminatory-behavior",
            title="Discriminatory behavior",
            threat=DiscriminationThreat,
            module="amulet_core.games.discrimination",
            metrics=("group-fairness",),
            primary=Primary(
                metric="group-fairness",
                value="demographic_parity_difference",
                label="demographic parity difference",
                better="lower",
                margin=0.05,
            ),
            sok="F",
        ),
        Game(
            risk="privacy-audit",
            title="Privacy audit",
            threat=AuditThreat,
            module="amulet_core.games.audit",
            attacks=("loss-threshold",),
            attacks_of="membership-inference",
            controls=("random-score",),
            metrics=("privacy-audit",),
            play="audit",
            primary=Primary(
                metric="privacy-audit",
                value="audited_epsilon",
                label="lower bound on epsilon",
                better="lower",
                margin=0.1,
                bound=True,
            ),
        ),
        Game(
            risk="utility",
            title="Utility",
            threat=UtilityThreat,
            module="amulet_core.games.utility",
            metrics=("accuracy",),
            primary=Primary(metric="accuracy", value="accuracy", label="accuracy", better="higher", margin=0.03),
        ),
    )
}
"""The games played today, by risk."""
