"""The built-in distribution inference attacks and their metric: descriptors and parameters. Imports nothing heavy."""

from pydantic import Field

from amulet_core.components import Attack, Component, Measure, Metric, NoParams, Params, Reference


class PimParams(Params):
    """The settings of the meta-classifier."""

    width: int = Field(8, ge=1, le=256, description="features of a neuron, and of the meta-classifier's hidden layers")
    epochs: int = Field(100, ge=1, le=10_000, description="passes over the adversary's own models")
    learning_rate: float = Field(0.01, gt=0, le=1, description="the learning rate of Adam")
    weight_decay: float = Field(0.001, ge=0, le=1, description="the decay of the meta-classifier's weights")


_PACKAGE = "amulet_plugins_builtin.distribution"
_RISK = "distribution-inference"
_OWN = "models of its own trained under either hypothesis on other rows, and rows of both kinds"
_FORMALIZING = Reference(title="Formalizing and Estimating Distribution Inference Risks", where="arXiv:2109.06024")

COMPONENTS: tuple[Component, ...] = (
    Attack(
        name="loss-test",
        summary="Whether a model errs less on rows with the first share, or with the second; no models of its own.",
        target=f"{_PACKAGE}.accuracies:loss_test",
        risk=_RISK,
        access="labels",
        threat="Tells which share a value had among a model's training rows. Knows the classes that the model "
        "predicts, and rows of both kinds with their labels.",
        references=(_FORMALIZING,),
        checks=f"{_PACKAGE}.checks:loss_test",
    ),
    Attack(
        name="threshold-test",
        summary="A model's accuracy on the rows that part the adversary's own models best, against a threshold.",
        target=f"{_PACKAGE}.accuracies:threshold_test",
        risk=_RISK,
        access="labels",
        threat=f"Tells which share a value had among a model's training rows. Knows the classes that the model "
        f"predicts, {_OWN} with their labels.",
        references=(_FORMALIZING,),
        checks=f"{_PACKAGE}.checks:threshold_test",
    ),
    Attack(
        name="kl-test",
        summary="The share of pairs of own models, one of each hypothesis, whose second is closer to the victim.",
        target=f"{_PACKAGE}.kl_test:attack",
        risk=_RISK,
        access="probabilities",
        threat=f"Tells which share a value had among a model's training rows. Knows the probabilities that the model "
        f"gives, {_OWN}.",
        references=(Reference(title="Dissecting Distribution Inference", where="arXiv:2212.07591"),),
        checks=f"{_PACKAGE}.checks:kl_test",
    ),
    Attack(
        name="pim",
        summary="A meta-classifier of weights that does not mind the order of neurons; for chains of layers.",
        target=f"{_PACKAGE}.pim:attack",
        params=PimParams,
        risk=_RISK,
        access="white-box",
        requires=("layer-chain",),
        threat="Tells which share a value had among a model's training rows. Knows the model's weights, and the "
        "weights of models of its own trained under either hypothesis on other rows.",
        references=(
            Reference(
                title="Ganju et al.: Property Inference Attacks on Fully Connected Neural Networks using Permutation "
                "Invariant Representations (CCS 2018)",
                where="doi:10.1145/3243734.3243834",
            ),
            Reference(title="Deep Sets", where="arXiv:1703.06114"),
        ),
        checks=f"{_PACKAGE}.checks:pim",
    ),
    Attack(
        name="random-hypothesis",
        summary="The control: a uniform random score for each victim, which knows nothing of it.",
        target=f"{_PACKAGE}.random_hypothesis:attack",
        params=NoParams,
        risk=_RISK,
        access="none",
        control=True,
        threat="Guesses. The floor that every other attack is shown beside.",
        references=(_FORMALIZING,),
        checks=f"{_PACKAGE}.checks:random_hypothesis",
    ),
    Metric(
        name="distinguishing",
        summary="How well two populations of models are told apart: accuracy, AUC, and the samples that is worth.",
        target=f"{_PACKAGE}.metric:measure",
        risk=_RISK,
        measures=(
            Measure(
                name="accuracy", summary="victims called rightly at the threshold fixed beforehand", better="lower"
            ),
            Measure(name="auc", summary="area under the ROC curve of the scores", better="lower"),
            Measure(
                name="n_leaked_exact",
                summary="fewest training rows whose values, told outright, give that accuracy",
                better="lower",
            ),
            Measure(
                name="n_leaked_bound",
                summary="the published bound from below on such a number of rows",
                better="lower",
            ),
            Measure(
                name="balanced_accuracy",
                summary="balanced accuracy on the rows asked about that half of the victims do not exceed",
                better="higher",
            ),
        ),
        references=(_FORMALIZING,),
        checks=f"{_PACKAGE}.checks:metric",
    ),
)
