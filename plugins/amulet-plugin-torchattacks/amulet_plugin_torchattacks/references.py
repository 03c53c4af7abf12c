"""The papers that the attacks come from. Light."""

from typing import Final

from amulet_core.components import Reference


def _arxiv(number: str, title: str) -> Reference:
    return Reference(title=title, where=f"arXiv:{number}")


TORCHATTACKS: Final = _arxiv("2010.01950", "Torchattacks: A PyTorch Repository for Adversarial Attacks")
FGSM: Final = _arxiv("1412.6572", "Explaining and Harnessing Adversarial Examples")
BIM: Final = _arxiv("1607.02533", "Adversarial Examples in the Physical World")
RFGSM: Final = _arxiv("1705.07204", "Ensemble Adversarial Training: Attacks and Defenses")
PGD: Final = _arxiv("1706.06083", "Towards Deep Learning Models Resistant to Adversarial Attacks")
EOTPGD: Final = _arxiv(
    "1907.00895", 'Comment on "Adv-BNN: Improved Adversarial Defense through Robust Bayesian Neural Network"'
)
FFGSM: Final = _arxiv("2001.03994", "Fast is Better than Free: Revisiting Adversarial Training")
TRADES: Final = _arxiv("1901.08573", "Theoretically Principled Trade-off between Robustness and Accuracy")
MOMENTUM: Final = _arxiv("1710.06081", "Boosting Adversarial Attacks with Momentum")
NESTEROV: Final = _arxiv("1908.06281", "Nesterov Accelerated Gradient and Scale Invariance for Adversarial Attacks")
VARIANCE: Final = _arxiv("2103.15571", "Enhancing the Transferability of Adversarial Attacks through Variance Tuning")
DIVERSITY: Final = _arxiv("1803.06978", "Improving Transferability of Adversarial Examples with Input Diversity")
TRANSLATION: Final = _arxiv(
    "1904.02884", "Evading Defenses to Transferable Adversarial Examples by Translation-Invariant Attacks"
)
JITTER: Final = _arxiv(
    "2105.10304", "Exploring Misclassifications of Robust Neural Networks to Enhance Adversarial Attacks"
)
SMOOTHING: Final = _arxiv("1906.04584", "Provably Robust Deep Learning via Adversarially Trained Smoothed Classifiers")
PATCHWISE: Final = _arxiv("2007.06765", "Patch-wise Attack for Fooling Deep Neural Network")
PATCHWISE_PP: Final = _arxiv("2012.15503", "Patch-wise++ Perturbation for Adversarial Targeted Attacks")
SPSA: Final = _arxiv("1802.05666", "Adversarial Risk and the Dangers of Evaluating Against Weak Attacks")
CW: Final = _arxiv("1608.04644", "Towards Evaluating the Robustness of Neural Networks")
DEEPFOOL: Final = _arxiv("1511.04599", "DeepFool: A Simple and Accurate Method to Fool Deep Neural Networks")
EAD: Final = _arxiv("1709.04114", "EAD: Elastic-Net Attacks to Deep Neural Networks via Adversarial Examples")
AUTOATTACK: Final = _arxiv(
    "2003.01690",
    "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks",
)
FAB: Final = _arxiv("1907.02044", "Minimally Distorted Adversarial Examples with a Fast Adaptive Boundary Attack")
SQUARE: Final = _arxiv("1912.00049", "Square Attack: a Query-Efficient Black-Box Adversarial Attack via Random Search")
