"""Planning of certificates: which defenses of a chain can prove predictions right, and the job that asks. Light."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from amulet_core.configuration.chains import remaking
from amulet_core.configuration.request import Use, defense_of
from amulet_core.planning.jobs import AttackWork, CertifyWork, Job


def certifiers(chain: Sequence[Use]) -> tuple[Use, ...]:
    """Return the defenses whose certificates hold for the model as it is deployed.

    One says nothing of a model that another defense put into a module of its own afterwards, nor of predictions that
    another one changes.
    """
    outermost = remaking(chain)[-1:]
    return tuple(
        use
        for use in chain
        if defense_of(use).certify
        and outermost in ((), (use,))
        and not any("inference" in defense_of(other).stages for other in chain if other is not use)
    )


def certificate_jobs(play: Job, fit: str, *, versioned: Callable[[Use], Mapping[str, Any]]) -> tuple[Job, ...]:
    """Return the job that certifies the rows of a play, if a defense of the chain can; plays of one victim share it.

    ``fit`` is the key of the job that trains the victim.
    """
    work = play.work
    assert isinstance(work, AttackWork)
    chosen = certifiers(work.recipe.chain) if work.risk.game.certifies else ()
    if not chosen:
        return ()
    spec = {
        **{name: play.spec[name] for name in ("risk", "threat", "seed", "victim")},
        "certifiers": [versioned(use) for use in chosen],
    }
    names = " + ".join(use.entry.component.name for use in chosen)
    like = tuple({**one, "kind": "certify", "uses": [use.canonical() for use in chosen]} for one in play.like)
    asked = CertifyWork(work.recipe, chosen, work.risk, work.victim, work.seed, work.root_seed)
    label = f"certificates of {names}, seed {work.seed}"
    return (Job(asked, label, spec, (fit,), like, resources=play.resources),)
