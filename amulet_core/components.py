"""Descriptors: what a plugin says of each component it contributes, before any of its code is imported."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from amulet_core.schema import DataSchema, Frozen
from amulet_core.vocabulary import Access, Better, Kind, Modality, Norm, Reconstructed, Stage

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Target = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]


class Params(BaseModel):
    """The settings of a component; every field has a description, a default where one makes sense, and limits."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)


class NoParams(Params):
    """The settings of a component that has none."""


class Reference(Frozen):
    """Where an idea comes from: the paper's title, and its arXiv id, DOI or address."""

    title: str = Field(min_length=5)
    where: str = Field(min_length=5)


class LabRequest(Frozen):
    """What an attack wants trained for it: ``models`` shadow models of the victim's size.

    Every candidate is a training row of exactly half of them. Whether they are trained with the victim's defenses
    is part of the threat model, hence of the game, not of the attack.
    """

    models: int = Field(ge=2, multiple_of=2)


class Resources(Frozen):
    """What a job needs of a machine while it runs; the largest need of the components it uses counts.

    ``cpus`` is at least the run's ``threads_per_job``; ``memory_gb`` 0 says nothing. Executors that place jobs on
    machines go by it; it changes no result.
    """

    cpus: int = Field(1, ge=1)
    gpus: float = Field(0.0, ge=0)
    memory_gb: float = Field(0.0, ge=0)


def _nothing_against(_params: Any, _schema: DataSchema) -> list[str]:
    return []


def _possible(_params: Any, _planned: Any) -> list[str]:
    return []


def _beside_any(_params: Any, _chain: tuple["Defense", ...]) -> list[str]:
    return []


def _no_needs(_params: Any, _schema: DataSchema) -> tuple[LabRequest, ...]:
    return ()


class Component(Frozen):
    """What all descriptors share.

    ``target`` is ``module:function`` and is imported only when the component is used. ``applicable(params, schema)``
    lists the reasons why the component cannot work on such data (an empty list: it can), and
    ``impossible(params, planned)`` why it cannot in such a run (``amulet_core.planned.Planned``: numbers of rows,
    training settings, threat model). ``checks`` is a ``module:function`` that returns the component's known-answer and
    power checks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)

    kind: Kind
    name: Name
    summary: str = Field(min_length=10, max_length=160)
    target: Target
    params: type[Params] = NoParams
    version: str = "1"
    modality: tuple[Modality, ...] = ("tabular", "image")
    requires: tuple[str, ...] = ()
    produces: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    checks: Target | None = None
    resources: Resources = Resources()
    applicable: Callable[[Any, DataSchema], list[str]] = _nothing_against
    impossible: Callable[[Any, Any], list[str]] = _possible

    @property
    def targets(self) -> tuple[str, ...]:
        """Return every ``module:function`` that using the component may call, each once."""
        return (self.target,)


class Dataset(Component):
    """A data set: ``target(params) -> amulet_core.data.Data``, all rows of it, unsplit."""

    kind: Literal["dataset"] = "dataset"
    licence: str = Field(min_length=2)


class Model(Component):
    """An architecture: ``target(params, schema) -> torch.nn.Module`` with logits ``[n, classes]`` and no BatchNorm.

    ``stackable`` architectures train faster as one stack than one after the other. Attacks that need gradients are
    skipped on those that are not ``differentiable``. Modules that ``trains_itself`` have a method
    ``learn(data, val) -> evidence`` (``amulet_core.training.learning``), which takes the place of the training loop:
    training settings play no part, and defenses that change training or weights are refused. What a model
    ``produces`` defenses, and attacks, may require: ``features`` is a hidden layer within reach
    (``amulet_core.modules.Classifier``); ``interval-bounds`` says that it is made of affine and monotone layers alone,
    so that intervals can be passed through it; ``layer-chain`` that affine layers and convolutions stand one after the
    other, and nothing else of it has parameters. One that ``convolves`` cannot read several inputs of a row on an axis
    of their own.
    """

    kind: Literal["model"] = "model"
    stackable: bool = False
    differentiable: bool = True
    trains_itself: bool = False
    convolves: bool = False


class Defense(Component):
    """A defense, with one target for each stage it acts in.

    ``data(data, params) -> Data``; ``training(training, params, context) -> Training``;
    ``model(fitted, data, params) -> Fitted``; ``inference(probabilities, params) -> probabilities``.
    ``target`` repeats the first of them. ``sok`` names the row of the published tables this defense belongs to.
    ``rebuild(build, params, schema) -> module`` is for a defense whose models are not the architecture with other
    weights: its module around fresh networks from ``build()``, untrained, into which the cache puts what it kept.
    ``certify(question, params) -> bool [budgets, n]`` says where predictions are provably right
    (``amulet_core.games.evasion.CertificateQuestion``).
    ``beside(params, chain)`` lists why it cannot stand in a chain (all descriptors in their order, its own included).

    ``verify(view, params) -> amulet_core.games.verification.VerificationAnswer`` scores suspects for the owner, whom
    ``verify_access`` lets see them; a defense that only verifies has no stages, and ``target`` repeats ``verify``.
    """

    kind: Literal["defense"] = "defense"
    stages: dict[Stage, Target] = Field(default_factory=dict)
    risk: str
    sok: str | None = None
    reads_private_rows: bool = False
    """Whether a stage looks at training rows outside the training loop, hence outside a privacy accountant."""
    accounts_privacy: bool = False
    """Whether the defense keeps a privacy account that other stages could spoil."""
    uses_sensitive: bool = False
    randomised: bool = False
    labels_only: bool = False
    verify: Target | None = None
    rebuild: Target | None = None
    certify: Target | None = None
    clippable: bool = True
    """Whether all that its objective does with weights passes through the layers' own calls, once a row, as a privacy
    account's clipping of each row's gradient needs."""
    stacks_inputs: bool = False
    """Whether, where each row's gradient is clipped, it puts several inputs of a row on an axis of their own."""
    wraps_fit: bool = False
    """Whether its training stage does more around ``fit`` than look: drops or moves rows, trains further models, or
    changes the architecture or the weights. The gradient of its objective is then not what its recipe releases, and
    attacks on gradients are skipped."""
    unmakes: tuple[str, ...] = ()
    """What the architecture ``produces`` and its models no longer show; attacks that require it are skipped."""
    verify_access: Literal["white-box", "probabilities", "labels"] = "probabilities"
    beside: Callable[[Any, tuple["Defense", ...]], list[str]] = _beside_any

    @property
    def targets(self) -> tuple[str, ...]:
        """Return every target, each once."""
        every = (self.target, *self.stages.values(), self.verify, self.rebuild, self.certify)
        return tuple(dict.fromkeys(target for target in every if target))

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.stages and not self.verify:
            raise ValueError("a defense has a stage that it acts in, or verifies ownership")
        return self


class Attack(Component):
    """An attack on one risk: ``target(view, params) -> answer``, the shapes of both being the risk's game.

    It is skipped on architectures that do not declare in ``produces`` all that it ``requires`` (``affine-logits``: the
    logits are an affine function of the row, under a fixed scaling), and on chains with a defense that ``unmakes`` it.
    ``control`` marks one that knows nothing of the victim and is the floor the others are shown beside.
    ``needs(params, schema)`` lists what the lab must hold for it.
    ``settings_of`` names the attack of its plugin whose settings a control must have, with the same ``params``.
    """

    kind: Literal["attack"] = "attack"
    risk: str
    access: Access
    control: bool = False
    settings_of: str = ""
    norms: tuple[Norm, ...] = ("linf", "l2")
    """The norms of a budget that the attack can keep to, where the risk's threat model has one."""
    sensitive_in_x: bool = False
    """Whether it puts each value of the sensitive attribute into the inputs, where it must be, one feature a value.

    It is then told what the victim says of the rows so changed, and not of the rows themselves.
    """
    reconstructs: Reconstructed | None = None
    """What an attack on data reconstruction hands back; None (controls): whatever its column's verdict is about."""
    threat: str = Field(default="", max_length=400)
    """The adversary's goal, knowledge and capability, in a sentence or two."""
    needs: Callable[[Any, DataSchema], tuple[LabRequest, ...]] = _no_needs


class Measure(Frozen):
    """One value that a metric gives: what it says, and which way is better for the defender."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    summary: str
    better: Better


class Metric(Component):
    """A metric: ``target(result, params) -> amulet_core.scores.Scores`` with exactly the values it declares."""

    kind: Literal["metric"] = "metric"
    risk: str
    uses_sensitive: bool = False
    measures: tuple[Measure, ...] = Field(min_length=1)


class Reporter(Component):
    """A reporter: ``target(results, folder, params) -> None`` writes the results of a run into its folder."""

    kind: Literal["reporter"] = "reporter"


class Executor(Component):
    """An executor: ``target(params, setting)`` is a context manager whose value is an ``amulet_core.sessions.Session``.

    ``in_process`` ones call ``task.work()``; others send ``task.letter`` to workers, which exchange outputs through the
    cache folder.
    """

    kind: Literal["executor"] = "executor"
    in_process: bool = True
