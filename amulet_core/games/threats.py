"""The threat model of each game (what a config may set) and the table of the games. Light: imports nothing heavy."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from amulet_core.components import Params
from amulet_core.games.audit_threat import AuditThreat
from amulet_core.schema import Frozen
from amulet_core.vocabulary import Better, Norm, Reconstructed


class EvasionThreat(Params):
    """The adversary changes an input, within a budget, so that its true class is not predicted."""

    norm: Norm = Field(
        "linf", description="the norm in which the budget is measured, after scaling each feature's range to 1"
    )
    epsilon: float = Field(
        0.05, gt=0, le=10, description="the budget of the verdict, as a fraction of each feature's range"
    )
    curve: tuple[Annotated[float, Field(gt=0, le=10)], ...] = Field(
        (0.01, 0.02, 0.1), max_length=20, description="further budgets that are measured, for the security curve"
    )
    rows: int = Field(1000, ge=10, description="how many test rows are attacked (all of them, where there are fewer)")

    @property
    def epsilons(self) -> tuple[float, ...]:
        """Return all budgets, ascending, without repetition."""
        return tuple(sorted({self.epsilon, *self.curve}))


class PoisoningThreat(Params):
    """The adversary replaces some training rows, so that inputs with its trigger in them get the class it wants."""

    rate: float = Field(
        0.1, ge=0, le=0.5, description="the largest share of the training rows that may be replaced (0: a clean run)"
    )
    target: str = Field("", description="the class that the adversary wants (empty: the data set's first)")
    rows: int = Field(1000, ge=10, description="how many test rows are asked about, with and without the trigger")


class MembershipThreat(Params):
    """The adversary tells whether a row was among the rows handed to the recipe."""

    shadow: Literal["adaptive", "undefended"] = Field(
        "adaptive", description="whether shadow models are trained with the victim's defenses or without any"
    )
    population: int = Field(1000, ge=10, description="how many rows of its own the adversary has (from aux)")


class DistributionThreat(Params):
    """The adversary tells in which of two shares a value of a sensitive attribute was among a model's training rows.

    P(y) and the number of rows are the same under both hypotheses. Victims train on rows of the pool, the adversary's
    own models on rows of aux, and it asks about rows of test.
    """

    attribute: str = Field("", description="the sensitive attribute (empty: the data set's first)")
    value: str = Field("", description="the value of it whose share is told (empty: the attribute's first)")
    ratios: tuple[Annotated[float, Field(gt=0, lt=1)], Annotated[float, Field(gt=0, lt=1)]] = Field(
        (0.5, 0.2), description="the value's share under the first and the second hypothesis (equal ones: chance)"
    )
    victims: int = Field(8, ge=2, le=1000, description="victims of each hypothesis, for each seed")
    models: int = Field(8, ge=2, le=1000, description="the adversary's own models of each hypothesis, for each seed")
    shadow: Literal["adaptive", "undefended"] = Field(
        "adaptive", description="whether the adversary's models are trained with the victims' defenses or without any"
    )
    rows: int = Field(0, ge=0, description="training rows of every model (0: as many as the data allow at both shares)")
    queries: int = Field(500, ge=20, description="how many rows of each hypothesis the adversary asks about, at most")


class Interface(Params):
    """What the victim's interface tells a thief, and how often."""

    oracle: Literal["probabilities", "top-k", "labels"] = Field(
        "probabilities",
        description="the answer to a query: all probabilities, the largest few, or the class",
    )
    top_k: int = Field(3, ge=1, le=10_000, description="how many probabilities the top-k oracle tells")
    budget: int = Field(500, ge=1, le=10_000_000, description="how many inputs the thief may ask about")


class TheftThreat(Interface):
    """The adversary asks the victim, so many times, and trains a model of its own on the answers."""

    curve: tuple[Annotated[int, Field(ge=1, le=10_000_000)], ...] = Field(
        (100,), max_length=20, description="further budgets that are measured"
    )
    rows: int = Field(1000, ge=10, description="on how many test rows the models are compared")

    @property
    def budgets(self) -> tuple[int, ...]:
        """Return all budgets, ascending, without repetition."""
        return tuple(sorted({self.budget, *self.curve}))


class VerificationThreat(Interface):
    """Thieves copy or imitate the victim, and try to wash the copy clean; the owner says which models are its own."""

    fpr: float = Field(0.05, gt=0, le=0.5, description="the share of independent models that may be claimed by mistake")
    independent: int = Field(
        20, ge=4, le=2000, multiple_of=2, description="independent models, half with the defense, half without"
    )
    fine_tuning_epochs: int = Field(
        10, ge=1, le=10_000, description="passes over its own labelled rows in which a thief fine-tunes a stolen model"
    )
    pruned: float = Field(0.5, gt=0, lt=1, description="the share of a stolen model's weights that is set to zero")


class AttributeThreat(Params):
    """The adversary infers a sensitive attribute of rows from all else it knows of them and what the victim says."""

    attribute: str = Field("", description="the sensitive attribute to infer (empty: the data set's first)")
    without: tuple[str, ...] = Field(
        (),
        max_length=1000,
        description="columns of x that the adversary does not know (the victim does), such as those that all but tell",
    )
    candidates: int = Field(
        2000, ge=20, multiple_of=2, description="how many rows are asked about, half of them members (at most the pool)"
    )
    aux: int = Field(1000, ge=10, description="how many rows of its own, with the attribute, the adversary has")


class ReconstructionThreat(Params):
    """The adversary hands back inputs like those that the victim was trained on."""

    verdict: Reconstructed = Field(
        "row",
        description="which attacks the verdict is about: those that reconstruct rows from the victim's outputs, a "
        "typical input of each class, or the batch behind a gradient; the others are shown beside them",
    )
    rows: int = Field(
        400, ge=10, description="row: how many rows are reconstructed, half of them training rows (at most all)"
    )
    gradients: int = Field(8, ge=1, le=1000, description="batch: how many gradients are released")
    batch: int = Field(1, ge=1, le=256, description="batch: how many training rows are behind each gradient")
    taken_at: Literal["start", "end"] = Field(
        "start", description="batch: whether gradients are taken at the initial weights (a first round) or at the last"
    )


class DiscriminationThreat(Params):
    """No adversary: the model's own behaviour on the groups of a sensitive attribute."""

    attribute: str = Field("", description="the sensitive attribute (empty: the data set's first)")


class UtilityThreat(Params):
    """No adversary: how well the model does its work."""


class Primary(Frozen):
    """The one value of a risk that verdicts are about, and the smallest change of it that matters.

    ``floor`` is the value without any protection, of a quantity that exists only for rows with a certain defense: the
    row ``none`` then has no value that changes could be measured against. A threat model with an ``fpr`` takes its
    place by that: as often, models are claimed by chance. A ``bound`` has none either: the value
    is a lower bound on what an adversary could do, and however small, it is no evidence of protection.
    """

    metric: str
    value: str
    label: str
    better: Better
    margin: float = Field(gt=0, description="changes smaller than this do not matter")
    floor: float | None = Field(
        None, allow_inf_nan=False, description="the value without any protection, where the row none has none"
    )
    bound: bool = Field(False, description="whether the value is a lower bound that no verdict can rest on")


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
            primary=Primary(metric="membership", value="auc", label="AUC", better="lower", margin=0.03),
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
            ),
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
