"""Controls that must have the settings of the attack they are compared with, and attacks that have none such. Light."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from amulet_core.configuration.request import RiskPlan, Use, attack_of


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


def unmatched(risk: RiskPlan) -> list[str]:
    """List the attacks that are compared with controls of which none has their settings; said, not refused.

    The game's own attacks are left out: they were chosen together with its controls.
    """
    if not risk.game.compares:
        return []
    controls = [use for use in risk.attacks if attack_of(use).control]
    named = " and ".join(control.id for control in controls)
    own = {f"builtin/{name}" for name in risk.game.attacks}
    return [
        f"{risk.game.risk}: {use.id} is compared with {named}, and no control has its settings (settings_of): its "
        "advantage may be its learner's rather than the victim's; changes between rows are not concerned"
        for use in risk.attacks
        if use not in controls and use.id not in own and not any(_shared(control, use) for control in controls)
    ]


def _shared(control: Use, use: Use) -> bool:
    return use.id == f"{control.entry.plugin}/{getattr(control.entry.component, 'settings_of', '')}"


def _differing(control: Use, use: Use) -> list[str]:
    own, other = control.params.model_dump(), use.params.model_dump()
    return [f"{name} ({own[name]}, not {other[name]})" for name in own if own[name] != other[name]]
