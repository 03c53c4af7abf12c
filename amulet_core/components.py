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
    """The paper's title, after its authors where that helps."""
    where: str = Field(min_length=5)
    """``arXiv:1412.6572``, ``doi:10.2307/2531595``, or an address."""


class LabRequest(Frozen):
    """What an attack wants trained for it: ``models`` shadow models of the victim's size.

    Whether they are trained with the victim's defenses is part of the threat model, hence of the game, not of the
    attack.
    """

    models: int = Field(ge=2, multiple_of=2)
    """How many: every candidate is a training row of exactly half of them."""


class Resources(Frozen):
    """What a job needs of a machine while it runs; the largest need of the components it uses counts.

    Executors that place jobs on machines go by it; it changes no result.
    """

    cpus: int = Field(1, ge=1)
    """Cores; at least the run's ``threads_per_job`` are taken."""
    gpus: float = Field(0.0, ge=0)
    """Graphics processors, or a share of one."""
    memory_gb: float = Field(0.0, ge=0)
    """Memory in 10^9 bytes; 0 says nothing."""


def _nothing_against(_params: Any, _schema: DataSchema) -> list[str]:
    return []


def _possible(_params: Any, _planned: Any) -> list[str]:
    return []


def _beside_any(_params: Any, _chain: tuple["Defense", ...]) -> list[str]:
    return []


def _no_needs(_params: Any, _schema: DataSchema) -> tuple[LabRequest, ...]:
    return ()


class Component(Frozen):
    """What all descriptors share."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)

    kind: Kind
    """What the component is; each kind of descriptor sets it."""
    name: Name
    """Its name in configurations, after ``plugin/`` where that is needed: lower case, digits and hyphens."""
    summary: str = Field(min_length=10, max_length=160)
    """What it is or does, as one sentence for lists and reports."""
    target: Target
    """Where its code is: ``module:function``, imported only when the component is used."""
    params: type[Params] = NoParams
    """Its settings: a class whose fields all have a description, and numbers limits."""
    version: str = "1"
    """What rises when its results change, so that nothing older is taken from the cache."""
    modality: tuple[Modality, ...] = ("tabular", "image")
    """The data that it works on."""
    requires: tuple[str, ...] = ()
    """What an attack, or a defense, needs of the model, or of what stands before it in a chain, by name."""
    produces: tuple[str, ...] = ()
    """What it offers to those that require it: a model by its layers, a defense by the evidence it leaves."""
    references: tuple[Reference, ...] = ()
    """The papers, or pages, that it comes from; the conformance kit wants one at least."""
    checks: Target | None = None
    """``module:function`` that takes nothing and returns its known-answer and power checks."""
    resources: Resources = Resources()
    """What a job that uses it needs of a machine."""
    applicable: Callable[[Any, DataSchema], list[str]] = _nothing_against
    """``applicable(params, schema)``: the reasons why it cannot work on such data (none: it can). Light."""
    impossible: Callable[[Any, Any], list[str]] = _possible
    """``impossible(params, planned)``: the reasons why it cannot work in such a run. Light.

    ``planned`` has the numbers of rows, the training settings and the threat model (``amulet_core.planned.Planned``).
    """

    @property
    def targets(self) -> tuple[str, ...]:
        """Return every ``module:function`` that using the component may call, each once."""
        return (self.target,)


class Dataset(Component):
    """A data set: ``target(params) -> amulet_core.data.Data``, all rows of it, unsplit."""

    kind: Literal["dataset"] = "dataset"
    licence: str = Field(min_length=2)
    """Under which terms the data may be used."""


class Model(Component):
    """An architecture: ``target(params, schema) -> torch.nn.Module`` with logits ``[n, classes]`` and no BatchNorm.

    What it ``produces`` defenses, and attacks, may require: ``features`` is a hidden layer within reach
    (``amulet_core.modules.Classifier``); ``interval-bounds`` says that it is made of affine and monotone layers alone,
    so that intervals can be passed through it; ``layer-chain`` that affine layers and convolutions stand one after the
    other, and nothing else of it has parameters; ``affine-logits`` that the logits are an affine function of the row,
    under a fixed scaling.
    """

    kind: Literal["model"] = "model"
    stackable: bool = False
    """Whether several of it train faster as one stack than one after the other; not where it draws, as dropout does."""
    differentiable: bool = True
    """Whether it has gradients; attacks that need them are skipped where it has none."""
    trains_itself: bool = False
    """Whether its modules have a method ``learn(data, val) -> evidence`` in place of the training loop.

    Training settings then play no part, and defenses that change training or weights are refused
    (``amulet_core.training.learning``).
    """
    convolves: bool = False
    """Whether it cannot read several inputs of a row on an axis of their own."""
    clippable: bool = True
    """Whether each row's gradient can be clipped by itself; a privacy account beside it is refused where not.

    All that the network does with weights must pass through its layers' own calls, each called once and with weights of
    its own.
    """


class Defense(Component):
    """A defense, with one target for each stage it acts in.

    ``data(data, params) -> Data``; ``training(training, params, context) -> Training``;
    ``model(fitted, data, params) -> Fitted``; ``inference(probabilities, params) -> probabilities``.
    ``target`` repeats the first of them; a defense that only verifies has no stages, and ``target`` repeats ``verify``.
    """

    kind: Literal["defense"] = "defense"
    stages: dict[Stage, Target] = Field(default_factory=dict)
    """The stages that it acts in, each with its ``module:function``."""
    risk: str
    """The risk that it is made for."""
    sok: str | None = None
    """The row of the published tables (arXiv:2312.04542) that it belongs to."""
    reads_private_rows: bool = False
    """Whether a stage looks at training rows outside the training loop, hence outside a privacy accountant."""
    accounts_privacy: bool = False
    """Whether the defense keeps a privacy account that other stages could spoil."""
    uses_sensitive: bool = False
    """Whether it reads sensitive attributes, which the data must then have."""
    randomised: bool = False
    """Whether its inference stage draws random numbers; a chain with such a one is refused, as yet."""
    labels_only: bool = False
    """Whether its inference stage tells the class alone; attacks that need more are skipped."""
    verify: Target | None = None
    """``verify(view, params) -> VerificationAnswer``: scores suspect models for the owner."""
    rebuild: Target | None = None
    """``rebuild(build, params, schema) -> module``: where its models are not the architecture with other weights.

    It returns its module around fresh networks from ``build()``, untrained, into which the cache puts what it kept.
    """
    certify: Target | None = None
    """``certify(question, params) -> bool [budgets, n]``: where predictions are provably right."""
    explain: Target | None = None
    """``explain(question, params) -> float32 [n, ...]``: what is released beside each prediction.

    How much each feature speaks for the class that is predicted (``amulet_core.explanations.Question``). Its model is
    differentiable.
    """
    clippable: bool = True
    """Whether each row's gradient can be clipped by itself; beside a privacy account it is refused where not.

    A row's loss must not depend on the other rows of the batch (mixing rows, statistics of the batch), and all that its
    objective does with weights must pass through the layers' own calls.
    """
    stacks_inputs: bool = False
    """Whether its objective asks about several inputs of a row in one call, one after the other, ``[k * n, ...]``.

    Where each row's gradient is clipped they are put on an axis of their own, which convolutions cannot read.
    """
    wraps_fit: bool = False
    """Whether its training stage does more around ``fit`` than look: drops or moves rows, trains further models, or
    changes the architecture or the weights. The gradient of its objective is then not what its recipe releases, and
    attacks on gradients are skipped."""
    unmakes: tuple[str, ...] = ()
    """What the architecture ``produces`` and its models no longer show; attacks that require it are skipped, and
    defenses that require it cannot stand after this one."""
    verify_access: Literal["white-box", "probabilities", "labels"] = "probabilities"
    """What ``verify`` may see of a suspect model."""
    outmatched: Callable[[Any, Any], list[str]] = _possible
    """``outmatched(params, planned)``: what of its risk's threat model it cannot stand. Light; the run is warned."""
    beside: Callable[[Any, tuple["Defense", ...]], list[str]] = _beside_any
    """``beside(params, chain)``: why it cannot stand in a chain (all descriptors in order, its own included). Light."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Return every target, each once."""
        every = (self.target, *self.stages.values(), self.verify, self.rebuild, self.certify, self.explain)
        return tuple(dict.fromkeys(target for target in every if target))

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.stages and not self.verify:
            raise ValueError("a defense has a stage that it acts in, or verifies ownership")
        return self


class Attack(Component):
    """An attack on one risk: ``target(view, params) -> answer``, the shapes of both being the risk's game.

    It is skipped on architectures that do not declare in ``produces`` all that it ``requires``, and on chains with a
    defense that ``unmakes`` it.
    """

    kind: Literal["attack"] = "attack"
    risk: str
    """The risk whose game it plays."""
    access: Access
    """What it may see of its victim; a control has ``none``."""
    control: bool = False
    """Whether it knows nothing of the victim, and is the floor that others are shown beside."""
    settings_of: str = ""
    """The attack of its plugin whose settings it must have, if it is a control; both have the same ``params``."""
    norms: tuple[Norm, ...] = ("linf", "l2")
    """The norms of a budget that the attack can keep to, where the risk's threat model has one."""
    sensitive_in_x: bool = False
    """Whether it puts each value of the sensitive attribute into the inputs, where it must be, one feature a value.

    It is then told what the victim says of the rows so changed, and not of the rows themselves.
    """
    reads_explanations: bool = False
    """Whether it is about explanations: it is skipped on rows of the matrix that release none."""
    reconstructs: Reconstructed | None = None
    """What an attack on data reconstruction hands back; None (controls): whatever its column's verdict is about."""
    threat: str = Field(default="", max_length=400)
    """The adversary's goal, knowledge and capability, in a sentence or two."""
    needs: Callable[[Any, DataSchema], tuple[LabRequest, ...]] = _no_needs
    """``needs(params, schema)``: what the lab must hold for it. Light."""


class Measure(Frozen):
    """One value that a metric gives: what it says, and which way is better for the defender."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    """By which results and reports name it: lower case, digits and underscores."""
    summary: str
    """What it says, as a phrase."""
    better: Better
    """Which way is better for the defender."""


class Metric(Component):
    """A metric: ``target(result, params) -> amulet_core.scores.Scores`` with exactly the values it declares."""

    kind: Literal["metric"] = "metric"
    risk: str
    """The risk whose result it reads."""
    uses_sensitive: bool = False
    """Whether it reads sensitive attributes, which the data must then have."""
    measures: tuple[Measure, ...] = Field(min_length=1)
    """The values that it gives, each with what it says and which way is better for the defender."""


class Reporter(Component):
    """A reporter: ``target(results, folder, params) -> None`` writes the results of a run into its folder."""

    kind: Literal["reporter"] = "reporter"


class Executor(Component):
    """An executor: ``target(params, setting)`` is a context manager that yields an ``amulet_core.sessions.Session``."""

    kind: Literal["executor"] = "executor"
    in_process: bool = True
    """Whether it calls ``task.work()``; else it sends ``task.letter`` to workers, who exchange outputs by the cache."""
