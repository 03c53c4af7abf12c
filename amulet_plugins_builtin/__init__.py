"""The built-in plugin: the descriptors of all built-in components. It stays light; their code is imported when used."""

from collections.abc import Iterator

from amulet_core.components import Component
from amulet_core.hooks import hookimpl
from amulet_plugins_builtin.catalogue import (
    attributes,
    datasets,
    distribution,
    evasion,
    evasion_attacks,
    executors,
    fairness,
    membership,
    membership_attacks,
    membership_defenses,
    models,
    more_datasets,
    more_models,
    own_datasets,
    ownership,
    ownership_defenses,
    poisoning,
    privacy,
    reconstruction,
    robust_training,
    utility,
)

CATALOGUES = (
    executors,
    datasets,
    more_datasets,
    own_datasets,
    models,
    more_models,
    evasion,
    evasion_attacks,
    robust_training,
    poisoning,
    ownership,
    ownership_defenses,
    membership,
    membership_attacks,
    membership_defenses,
    attributes,
    distribution,
    privacy,
    reconstruction,
    fairness,
    utility,
)


@hookimpl
def amulet_components() -> Iterator[Component]:
    """Yield the descriptors of every catalogue."""
    for catalogue in CATALOGUES:
        yield from catalogue.COMPONENTS
