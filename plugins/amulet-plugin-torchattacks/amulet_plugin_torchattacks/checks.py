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
    assert apart <= 1e-5, f"the margin found is up to {apart:.2g} from the worst in {norm}, expected 1e-5 or less"


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


def _checks(
    params: Settings,
    *,
    exact: Settings | None = None,
    nearest: Settings | None = None,
    ratio: float = 1.0,
    share: float = 0.9,
) -> tuple[Check, ...]:
    """Return the checks of one attack in each of its norms; those of its limit, with settings that let it get there."""
    name = params.use.name.lower()
    found = []
    for norm in params.use.norms:
        model = f"a linear model in {'L2' if norm == 'l2' else norm}"
        found.append(
            Check(
                f"{name} fools what a third of its budget can fool of {model}, and nothing beyond its budget",
                "an attack without power makes every defense look good",
                partial(follows_the_margins, params, norm=norm, share=share),
            )
        )
        if exact:
            found.append(
                Check(
                    f"{name} reaches the worst margin of {model}",
                    "a search that stops short overstates robustness; the worst is m - eps * dual norm",
                    partial(reaches_worst_margin, exact, norm=norm),
                )
            )
        if nearest:
            found.append(
                Check(
                    f"{name} changes a row at most {ratio:g} times as much as is needed to fool {model}",
                    "a change larger than the smallest that fools misses rows at small budgets",
                    partial(needs_no_more, nearest, norm=norm, ratio=ratio),
                )
            )
    return tuple(found)


def _exactly(params: Settings, limit: Settings | None = None) -> Checks:
    return partial(_checks, params, exact=limit or params)


def _nearly(params: Settings, ratio: float, limit: Settings | None = None) -> Checks:
    return partial(_checks, params, nearest=limit or params, ratio=ratio)


def gn_checks() -> tuple[Check, ...]:
    """Return the check of the control."""
    why = "a control that knows something of the model is no floor"
    return (Check("noise costs no margin on average", why, partial(knows_nothing, other.GnParams())),)


fgsm_checks: Checks = _exactly(linf.FgsmParams())
bim_checks: Checks = _exactly(linf.BimParams())
rfgsm_checks: Checks = _exactly(linf.RfgsmParams())
ffgsm_checks: Checks = partial(_checks, linf.FfgsmParams())
pgd_checks: Checks = _exactly(linf.PgdParams())
eotpgd_checks: Checks = _exactly(linf.EotPgdParams())
# Its gradient is zero at the row itself, so that a linear victim leaves the direction to a random first step.
tpgd_checks: Checks = partial(_checks, linf.TpgdParams(), share=0.3)
mifgsm_checks: Checks = _exactly(linf.MiFgsmParams())
nifgsm_checks: Checks = _exactly(linf.NiFgsmParams())
sinifgsm_checks: Checks = _exactly(linf.SiniFgsmParams())
vmifgsm_checks: Checks = _exactly(linf.VmiFgsmParams())
vnifgsm_checks: Checks = _exactly(linf.VniFgsmParams())
upgd_checks: Checks = _exactly(linf.UpgdParams())
jitter_checks: Checks = partial(_checks, linf.JitterParams())
pgdrs_checks: Checks = _exactly(linf.PgdRsParams())
difgsm_checks: Checks = partial(_checks, linf.DiFgsmParams())
tifgsm_checks: Checks = partial(_checks, linf.TiFgsmParams())
pifgsm_checks: Checks = partial(_checks, linf.PiFgsmParams())
pifgsmpp_checks: Checks = partial(_checks, linf.PiFgsmPpParams())
apgd_checks: Checks = partial(_checks, linf.ApgdParams())
apgdt_checks: Checks = partial(_checks, linf.ApgdTParams())
fab_checks: Checks = _nearly(other.FabParams(), 1.06)
autoattack_checks: Checks = partial(_checks, other.AutoAttackParams())
square_checks: Checks = partial(_checks, other.SquareParams())
spsa_checks: Checks = partial(_checks, other.SpsaParams())
pgdl2_checks: Checks = _exactly(other.PgdL2Params(), other.PgdL2Params(steps=100))
pgdrsl2_checks: Checks = _exactly(other.PgdRsL2Params())
cw_checks: Checks = _nearly(other.CwParams(), 1.4, other.CwParams(steps=2000, lr=0.0005))
deepfool_checks: Checks = _nearly(other.DeepFoolParams(), 1.021)
eaden_checks: Checks = _nearly(other.EadParams(), 2)
eadl1_checks: Checks = _nearly(other.EadL1Params(), 3)
