"""Known-answer checks of every attack, on linear victims: which rows a budget can fool, and the worst there is."""

from collections.abc import Callable
from functools import partial
from typing import Final

import torch

from amulet_core.checks import Check
from amulet_core.streams import isolated
from amulet_core.victims import ProbabilityOracle, WhiteBox
from amulet_core.vocabulary import Norm
from amulet_plugin_torchattacks import linf_settings as linf
from amulet_plugin_torchattacks import other_settings as other
from amulet_plugin_torchattacks import planted
from amulet_plugin_torchattacks.attack import attack
from amulet_plugin_torchattacks.use import Settings

Checks = Callable[[], tuple[Check, ...]]

_KINDS: Final = {"white-box": WhiteBox, "probabilities": ProbabilityOracle, "none": None}


def follows_the_margins(params: Settings, *, norm: Norm, share: float) -> None:
    """Expect that rows which a third of the budget can fool mostly are fooled, and rows that it cannot fool never."""
    model, schema = planted.image_victim(), planted.IMAGES
    x = planted.rows_near_the_middle(schema, rows=80)
    y = model(x).argmax(1)
    needed = planted.needed(model, schema, x, y, norm=norm)
    epsilon = 1.5 * float(needed.median())
    view = planted.view_of(model, x, y, schema, norm=norm, epsilons=(epsilon,), kind=_KINDS[params.use.access])
    with isolated("check"):
        fooled = model(attack(view, params).x[0]).argmax(1) != y
    easy = fooled[needed < epsilon / 3].double().mean()
    assert easy >= share, f"{float(easy):.2f} of the rows that a third of the budget can fool are, expected {share:g}"
    impossible = int(fooled[needed > 1.001 * epsilon].sum())
    assert impossible == 0, f"{impossible} rows are fooled that no input within the budget fools, expected 0"


def reaches_worst_margin(params: Settings, *, norm: Norm) -> None:
    """Compare with the worst margin of a linear model of two classes: ``m - epsilon * dual norm of W_y - W_j``."""
    model, schema = planted.table_victim(), planted.TABLE
    x = planted.rows_near_the_middle(schema, rows=40)
    y = model(x).argmax(1)
    expected = planted.margins(model, x, y) - 0.02 * planted.steepness(model, schema, y, norm=norm)
    view = planted.view_of(model, x, y, schema, norm=norm, epsilons=(0.02,))
    with isolated("check"):
        found = planted.margins(model, attack(view, params).x[0], y)
    apart = float((found.amin(1) - expected.amin(1)).abs().max())
    assert apart <= 1e-5, f"the margin found is up to {apart:.2g} from the worst margin in {norm}, expected 1e-5 or less"


def needs_no_more(params: Settings, *, norm: Norm, ratio: float) -> None:
    """Compare the change with the smallest that fools a linear model: the distance to its boundary."""
    model, schema = planted.table_victim(), planted.TABLE
    x = planted.rows_near_the_middle(schema, rows=40)
    y = model(x).argmax(1)
    needed = planted.needed(model, schema, x, y, norm=norm)
    # What is found within a budget that is no limit is not projected.
    view = planted.view_of(model, x, y, schema, norm=norm, epsilons=(2.0,))
    with isolated("check"):
        changed = attack(view, params).x[0]
    fooled = int((model(changed).argmax(1) != y).sum())
    assert fooled == len(y), f"{fooled} of {len(y)} rows are fooled by a budget that is no limit, expected all"
    order = torch.inf if norm == "linf" else 2
    span = 2 * torch.tensor(schema.feasible.high)
    most = float((torch.linalg.vector_norm((changed - x) / span, ord=order, dim=1) / needed).max())
    assert most <= ratio, f"the change is up to {most:.3f} times the smallest that fools, expected {ratio:g} or less"


def knows_nothing(params: Settings) -> None:
    """Compare the margin that noise costs with its mean, 0, and with the worst there is."""
    model, schema = planted.table_victim(), planted.TABLE
    x = planted.rows_near_the_middle(schema, rows=400)
    y = model(x).argmax(1)
    view = planted.view_of(model, x, y, schema, norm="linf", epsilons=(0.1,), kind=None)
    with isolated("check"):
        changed = attack(view, params).x[0]
    lost = (planted.margins(model, x, y) - planted.margins(model, changed, y)).gather(1, 1 - y[:, None])
    mean, error = float(lost.mean()), float(lost.std()) / 20
    assert abs(mean) < 4 * error, f"noise costs {mean:.3g} of margin on average, expected 0 within {4 * error:.3g}"
    worst = 0.1 * float(planted.steepness(model, schema, y, norm="linf").max())
    most = float(lost.max())
    assert 0 < most < worst, f"noise costs up to {most:.3g} of margin, expected more than 0 and below {worst:.3g}"


def _checks(params: Settings, *, exact: bool = False, ratio: float = 0.0, share: float = 0.9) -> tuple[Check, ...]:
    name = params.use.name.lower()
    checks = []
    for norm in params.use.norms:
        shown = {"linf": "linf", "l2": "L2"}[norm]
        checks.append(
            Check(
                f"{name} fools what a third of its budget can fool of a linear model in {shown}, and nothing beyond it",
                "an attack without power makes every defense look good",
                partial(follows_the_margins, params, norm=norm, share=share),
            )
        )
        if exact:
            checks.append(
                Check(
                    f"{name} reaches the worst margin of a linear model in {shown}",
                    "a search that stops short overstates robustness; the worst is m - eps * dual norm",
                    partial(reaches_worst_margin, params, norm=norm),
                )
            )
        if ratio:
            checks.append(
                Check(
                    f"{name} changes a row hardly more than a linear model needs in {shown}",
                    "a change larger than the smallest that fools misses rows at small budgets",
                    partial(needs_no_more, params, norm=norm, ratio=ratio),
                )
            )
    return tuple(checks)


def gn_checks() -> tuple[Check, ...]:
    """Return the check of the control."""
    why = "a control that knows something of the model is no floor"
    return (Check("noise costs no margin on average", why, partial(knows_nothing, other.GnParams())),)


fgsm_checks: Checks = partial(_checks, linf.FgsmParams(), exact=True)
bim_checks: Checks = partial(_checks, linf.BimParams(), exact=True)
rfgsm_checks: Checks = partial(_checks, linf.RfgsmParams(), exact=True)
ffgsm_checks: Checks = partial(_checks, linf.FfgsmParams())
pgd_checks: Checks = partial(_checks, linf.PgdParams(), exact=True)
eotpgd_checks: Checks = partial(_checks, linf.EotPgdParams(), exact=True)
# Its gradient is zero at the row itself, so that a linear victim leaves the direction to a random first step.
tpgd_checks: Checks = partial(_checks, linf.TpgdParams(), share=0.3)
mifgsm_checks: Checks = partial(_checks, linf.MiFgsmParams(), exact=True)
nifgsm_checks: Checks = partial(_checks, linf.NiFgsmParams(), exact=True)
sinifgsm_checks: Checks = partial(_checks, linf.SiniFgsmParams(), exact=True)
vmifgsm_checks: Checks = partial(_checks, linf.VmiFgsmParams(), exact=True)
vnifgsm_checks: Checks = partial(_checks, linf.VniFgsmParams(), exact=True)
upgd_checks: Checks = partial(_checks, linf.UpgdParams(), exact=True)
jitter_checks: Checks = partial(_checks, linf.JitterParams())
pgdrs_checks: Checks = partial(_checks, linf.PgdRsParams(), exact=True)
difgsm_checks: Checks = partial(_checks, linf.DiFgsmParams())
tifgsm_checks: Checks = partial(_checks, linf.TiFgsmParams())
pifgsm_checks: Checks = partial(_checks, linf.PiFgsmParams())
pifgsmpp_checks: Checks = partial(_checks, linf.PiFgsmPpParams())
apgd_checks: Checks = partial(_checks, linf.ApgdParams())
apgdt_checks: Checks = partial(_checks, linf.ApgdTParams())
fab_checks: Checks = partial(_checks, other.FabParams(), ratio=1.06)
autoattack_checks: Checks = partial(_checks, other.AutoAttackParams())
square_checks: Checks = partial(_checks, other.SquareParams())
spsa_checks: Checks = partial(_checks, other.SpsaParams())
pgdl2_checks: Checks = partial(_checks, other.PgdL2Params(), exact=True)
pgdrsl2_checks: Checks = partial(_checks, other.PgdRsL2Params(), exact=True)
# With the default 50 steps of .01 it gets no further than rows close to the boundary.
cw_checks: Checks = partial(_checks, other.CwParams(c=10, steps=500), ratio=1.3)
deepfool_checks: Checks = partial(_checks, other.DeepFoolParams(), ratio=1.021)
eaden_checks: Checks = partial(_checks, other.EadParams(), ratio=2)
eadl1_checks: Checks = partial(_checks, other.EadL1Params(), ratio=3)
