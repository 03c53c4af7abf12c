"""The papers that the components come from. Light."""

from typing import Final

from amulet_core.components import Reference


def _arxiv(number: str, title: str) -> Reference:
    return Reference(title=title, where=f"arXiv:{number}")


ART: Final = _arxiv("1807.01069", "Adversarial Robustness Toolbox v1.0.0")
HOP_SKIP_JUMP: Final = _arxiv("1904.02144", "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack")
SIMBA: Final = _arxiv("1905.07121", "Simple Black-box Adversarial Attacks")
CLEAN_LABEL: Final = _arxiv("1912.02771", "Label-Consistent Backdoor Attacks")
COPYCAT: Final = _arxiv(
    "1806.05476", "Copycat CNN: Stealing Knowledge by Persuading Confession with Random Non-Labeled Data"
)
SHADOWS: Final = _arxiv("1610.05820", "Membership Inference Attacks Against Machine Learning Models")
LABEL_ONLY: Final = _arxiv("2007.14321", "Label-Only Membership Inference Attacks")
EXPOSURES: Final = _arxiv("2007.15528", "Membership Leakage in Label-Only Exposures")
SQUEEZING: Final = _arxiv("1704.01155", "Feature Squeezing: Detecting Adversarial Examples in Deep Neural Networks")
AUGMENTATION: Final = _arxiv("1707.06728", "Efficient Defenses Against Adversarial Attacks")
DECEPTION: Final = _arxiv(
    "1806.00054", "Defending Against Machine Learning Model Stealing Attacks Using Deceptive Perturbations"
)
