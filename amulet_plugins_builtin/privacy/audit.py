"""The metric of privacy audits: a lower bound on epsilon, and whether what is claimed can be true."""

from typing import Final

from amulet_core.components import NoParams
from amulet_core.games.audit import AuditResult
from amulet_core.scores import ALARM, Scores, Value, Withheld
from amulet_core.statistics.audit import audit_p_value, audited_epsilon, refuting_audit

ALARM_LEVEL: Final = 0.001
"""How unlikely the guesses must be under the claim, after Bonferroni's correction, for an alarm."""

_SOURCE: Final = "arXiv:2305.08846"


def measure(result: AuditResult, params: NoParams) -> Scores:  # noqa: ARG001 - there is nothing to set
    """Return the bound, the claim and the claim's p-value; a claim that cannot be true is an alarm.

    What is claimed on condition of a stage that sees private rows itself is not contradicted by a larger bound: it gets
    no p-value.
    """
    rows, guessed = len(result.guess), result.guess != 0
    guesses = int(guessed.sum())
    right = int(((result.guess > 0) == result.included)[guessed].sum())
    delta, confidence = result.delta, result.confidence
    bound, most = (
        audited_epsilon(rows=rows, guesses=guesses, correct=count, delta=delta, confidence=confidence)
        for count in (right, guesses)
    )
    p = audit_p_value(rows=rows, guesses=guesses, correct=right, epsilon=result.epsilon, delta=delta)
    least = audit_p_value(rows=rows, guesses=guesses, correct=guesses, epsilon=result.epsilon, delta=delta)
    how = f"one-sided {confidence:.1%} lower bound at delta {delta:g} from one run ({_SOURCE})"
    told = f"binomial under the claim, theorem 3.1 of {_SOURCE}"
    return Scores(
        values=(
            Value(name="audited_epsilon", estimate=bound, method=how, n=guesses),
            Value(name="claimed_epsilon", estimate=result.epsilon, method="the defense's own account", n=rows),
            Withheld(name="p_of_claim", reason=_unjudged(result))
            if result.conditional_on
            else Value(name="p_of_claim", estimate=p, method=told, n=guesses),
            Value(name="right_guesses", estimate=right / guesses, method="share of the guesses", n=guesses),
        ),
        details={
            "audit_rows": rows,
            "trained_on": int(result.included.sum()),
            "guesses": guesses,
            "right": right,
            "bound_if_all_were_right": most,
            "alarm_if_all_were_right": "yes" if _refutes(result, least) else "no",
            "audits_of_the_run": result.audits,
        },
        warnings=_alarms(result, bound=bound, p=p, said=f"{right} of {guesses}") or _silence(result, guesses, least),
    )


def _alarms(result: AuditResult, *, bound: float, p: float, said: str) -> tuple[str, ...]:
    if not _refutes(result, p):
        return ()
    return (
        f"{ALARM}epsilon {result.epsilon:.3g} at delta {result.delta:g} is claimed, and an audit finds at least "
        f"{bound:.3g} ({said} guesses right, p = {p * result.audits:.1e} with Bonferroni's factor {result.audits}): "
        "the account, the noise or the clipping is wrong",
    )


def _silence(result: AuditResult, guesses: int, least: float) -> tuple[str, ...]:
    """Warn that whatever is guessed there is no alarm, and say what audit could raise one."""
    if not result.audits or result.conditional_on or _refutes(result, least):
        return ()
    level = ALARM_LEVEL / result.audits
    largest = audited_epsilon(
        rows=len(result.guess), guesses=guesses, correct=guesses, delta=result.delta, confidence=1 - level
    )
    least_said = f"refute no claim above epsilon {largest:.3g}" if largest else "refute no claim at all"
    return (
        f"no alarm is possible at these settings: all {guesses} guesses right would {least_said} at delta "
        f"{result.delta:g} with Bonferroni's factor {result.audits}, and {result.epsilon:.3g} is claimed. "
        f"{_what_could(result, level)}",
    )


def _what_could(result: AuditResult, level: float) -> str:
    found = refuting_audit(epsilon=result.epsilon, level=level)
    if found is None:
        return "No feasible number of guesses could refute such a claim: audit a smaller one"
    guesses, delta = found
    could = f"{guesses} canaries, all of them guessed, could"
    if delta < result.delta:
        return f"{could}, if the claim held at delta {delta:.0e}; so could an audit of a smaller claim"
    return could


def _refutes(result: AuditResult, p: float) -> bool:
    """Say whether guesses of such a p-value refute the claim, if it is unconditional; those of a control do not."""
    return bool(result.audits) and not result.conditional_on and p * result.audits < ALARM_LEVEL


def _unjudged(result: AuditResult) -> str:
    stages = " and ".join(result.conditional_on)
    return f"the claim holds on condition of {stages}, which saw private rows: a larger bound would not contradict it"
