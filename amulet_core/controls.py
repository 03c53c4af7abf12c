"""Controls that must have the settings of the attack they are compared with. Light."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from amulet_core.request import Use


def like_its_attack(control: Use, played: Iterable[Use]) -> Use:
    """Return a control with the settings of the attack whose settings it shares, where that one is played."""
    return next((replace(control, params=use.params) for use in played if _shared(control, use)), control)


def settings_problems(played: Sequence[Use]) -> list[str]:
    """List the controls whose settings differ from those of the attack they share them with."""
    return [
        f"{control.id} must have the settings of {use.id}, or their difference would measure the settings; they differ "
        f"in: {', '.join(differing)}"
        for control in played
        for use in played
        if _shared(control, use) and (differing := _differing(control, use))
    ]


def _shared(control: Use, use: Use) -> bool:
    return use.id == f"{control.entry.plugin}/{getattr(control.entry.component, 'settings_of', '')}"


def _differing(control: Use, use: Use) -> list[str]:
    own, other = control.params.model_dump(), use.params.model_dump()
    return [f"{name} ({own[name]}, not {other[name]})" for name in own if own[name] != other[name]]
