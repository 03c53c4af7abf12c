"""The words of the field, as types: what kinds, risks, stages and accesses there are. Imports nothing heavy."""

from collections.abc import Mapping
from typing import Final, Literal

Kind = Literal["dataset", "model", "defense", "attack", "metric", "reporter", "executor"]
KINDS: Final = ("dataset", "model", "defense", "attack", "metric", "reporter", "executor")

RISKS: Final = (
    "evasion",
    "poisoning",
    "unauthorized-model-ownership",
    "membership-inference",
    "attribute-inference",
    "distribution-inference",
    "data-reconstruction",
    "discriminatory-behavior",
)
UTILITY: Final = "utility"
VERIFICATION: Final = "ownership-verification"
"""Whether an owner recognises its stolen model: a game beside the theft itself, and no risk of the eight."""
AUDIT: Final = "privacy-audit"
"""Whether the epsilon that a defense claims holds: played on request, and no risk of the eight."""
COLUMNS: Final = (*RISKS, VERIFICATION, AUDIT, UTILITY)
"""All that a metric may be about."""

Stage = Literal["data", "training", "model", "inference"]
STAGES: Final = ("data", "training", "model", "inference")
"""The order in which the defenses of a chain act."""

Access = Literal["white-box", "probabilities", "labels", "gradients", "training-data", "none"]
"""What an attack may see of its victim; each of the first three offers all that the later of them offer."""

Modality = Literal["tabular", "image"]
Better = Literal["higher", "lower"]
"""Which way a value is better for the *defender*."""

Norm = Literal["linf", "l2"]

Reconstructed = Literal["class", "row", "batch"]
"""What is reconstructed: a typical input of each class, rows from outputs on them, or the batch behind a gradient."""

MINIMUM_SEEDS: Final = 5
"""How many paired differences a verdict needs; with fewer there is an interval alone."""

UTILITY_WORDS: Final[Mapping[str, str]] = {"risk up": "utility down", "risk down": "utility up"}
"""How these verdicts read in the column of utility, which is a virtue."""

OWN_ROWS: Final[Mapping[str, str]] = {"none": "the undefended row", "placebo": "the placebo row"}
"""The rows that every matrix has, by their labels: no defense may be called so."""
