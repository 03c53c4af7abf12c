"""Known-answer and power checks of the attacks on model ownership, and of their control."""

from functools import partial
from itertools import product
from typing import get_args

import torch
from torch import Tensor, nn

from amulet_core.checks import Check
from amulet_core.components import NoParams
from amulet_core.games.theft import TheftView
from amulet_core.oracles import BudgetOracle, Oracle
from amulet_core.streams import isolated
from amulet_core.victims import logits_of
from amulet_plugins_builtin.catalogue.ownership import EquationSolvingParams, ModelExtractionParams
from amulet_plugins_builtin.models import logistic
from amulet_plugins_builtin.ownership import equations, knockoff, planted_theft, thieves
from amulet_plugins_builtin.ownership.planted_theft import Attack

_POWER = "an attack without power makes every defense look good"


def model_extraction_checks() -> tuple[Check, ...]:
    """Return the checks of ``model-extraction``."""
    return (
        Check(
            "the copy of a victim with habits of its own is the truer the larger the budget, and beats the control",
            _POWER,
            lambda: grows_with_the_budget(_knockoff),
        ),
        Check(
            "the adaptive strategy imitates such a victim as well",
            _POWER,
            lambda: grows_with_the_budget(_adaptive),
        ),
        Check(
            "a victim that follows no rule cannot be imitated beyond the control",
            "agreement where there is nothing to learn is the attack's own leak",
            lambda: finds_nothing_in_a_whim(_knockoff),
        ),
        Check(
            "it asks as often as the budget allows, whatever the strategy",
            "fewer queries understate the risk; what asks more is no thief but a guest",
            lambda: spends_its_budget(_knockoff, _adaptive),
        ),
    )


def equation_solving_checks() -> tuple[Check, ...]:
    """Return the checks of ``equation-solving``."""
    return (
        Check(
            "from the probabilities of d + 1 inputs it finds a softmax-linear victim, up to a shift of all classes",
            "the answers determine the weights: what differs is a mistake",
            lambda: solves_exactly(_equations),
        ),
        Check(
            "one answer less than unknowns does not do, and is a warning",
            "a copy that nothing determines must not pass for a stolen model",
            lambda: warns_of_too_few(_equations),
        ),
    )


def model_copy_checks() -> tuple[Check, ...]:
    """Return the checks of ``model-copy``."""
    return (
        Check(
            "the copy answers as the victim does, bit for bit, and is another object",
            "what is verified is the victim's own file",
            copies_bit_for_bit,
        ),
    )


def independent_model_checks() -> tuple[Check, ...]:
    """Return the checks of ``independent-model``."""
    return (
        Check(
            "it learns the labels, and knows nothing of a victim with habits of its own",
            "a control that knows its victim hides what was stolen, one that learns nothing invents a theft",
            lambda: learns_labels_alone(_control),
        ),
    )


def grows_with_the_budget(attack: Attack) -> None:
    """Compare fidelity at two budgets and with the control's."""
    victim, most = planted_theft.contrary(), planted_theft.OWN
    few, many = (planted_theft.fidelity(attack, victim, access="labels", budget=budget) for budget in (8, most))
    control = planted_theft.fidelity(_control, victim, access="none", budget=most)
    assert few + 0.1 < many, f"fidelity is {few:.3f} from 8 queries and {many:.3f} from {most}, expected .1 more"
    assert many > 0.8, f"fidelity is {many:.3f} from {most} queries, expected above .8"
    assert many > control + 0.3, f"fidelity is {many:.3f}, the control's {control:.3f}, expected .3 more"


def finds_nothing_in_a_whim(attack: Attack) -> None:
    """Compare with the control on a victim that answers by a hash of the input."""
    victim = planted_theft.Whim()
    found = planted_theft.fidelity(attack, victim, access="labels", budget=planted_theft.OWN)
    control = planted_theft.fidelity(_control, victim, access="none", budget=planted_theft.OWN)
    assert abs(found - control) < 0.06, f"fidelity is {found:.3f}, the control's {control:.3f}, expected .06 apart"


def spends_its_budget(*attacks: Attack) -> None:
    """Count the queries of each oracle, below the number of own rows and at it."""
    for attack, tells, budget in product(attacks, get_args(Oracle), (70, planted_theft.OWN)):
        view = planted_theft.asks(_untrained(), budget=budget, tells=tells)
        brief = view.model_copy(update={"settings": view.settings.model_copy(update={"epochs": 1})})
        planted_theft.stolen(attack, brief)
        asked = _oracle(view).queries
        assert asked == budget, f"with a budget of {budget} ({tells}) {asked} inputs were asked about"


def solves_exactly(attack: Attack) -> None:
    """Recover planted weights from d + 1 answers."""
    victim = linear_victim()
    view = linear_view(victim, budget=planted_theft.FEATURES + 1)
    found = planted_theft.stolen(attack, view)
    assert isinstance(found, logistic.Logistic), f"a {type(found).__name__} came back, expected logistic regression"
    weights, bias = (centred(getattr(found.head, name)) for name in ("weight", "bias"))
    apart = max(
        float((weights - centred(victim.head.weight.detach())).abs().max()),
        float((bias - centred(victim.head.bias.detach())).abs().max()),
    )
    assert apart < 1e-3, f"the weights are off by up to {apart:.2g}, expected below .001"
    same = planted_theft.agreement(found, victim)
    assert same == 1, f"fidelity is {same:.4f}, expected 1"


def warns_of_too_few(attack: Attack) -> None:
    """Ask one question less than there are unknowns, and exactly as many."""
    for budget, expected in ((planted_theft.FEATURES, 1), (planted_theft.FEATURES + 1, 0)):
        view = linear_view(linear_victim(), budget=budget)
        with isolated("planted thief"):
            found = len(attack(view).warnings)
        assert found == expected, f"{found} warnings after {budget} queries, expected {expected}"


def copies_bit_for_bit() -> None:
    """Compare the copy's logits with the victim's."""
    victim, x = planted_theft.contrary(), planted_theft.rows(50, seed=4).x
    copied = planted_theft.stolen(
        partial(thieves.model_copy, params=NoParams()), planted_theft.view_of(victim, access="white-box", budget=1)
    )
    assert copied is not victim, "the victim itself came back, expected a copy"
    assert torch.equal(logits_of(copied, x), logits_of(victim, x)), "the copy's logits differ from the victim's"


def learns_labels_alone(attack: Attack) -> None:
    """Compare with the labels, and with a victim that answers otherwise."""
    view = planted_theft.view_of(planted_theft.contrary(), access="none", budget=1)
    model = planted_theft.stolen(attack, view)
    test = planted_theft.rows(1000, seed=3)
    accuracy = float((logits_of(model, test.x).argmax(1) == test.y).float().mean())
    same = planted_theft.agreement(model, planted_theft.contrary())
    assert accuracy > 0.6, f"accuracy is {accuracy:.3f}, expected above .6"
    assert same < 0.4, f"it agrees with the victim on {same:.3f} of the rows, expected below .4"


def linear_victim() -> logistic.Logistic:
    """Return a softmax-linear victim with planted weights."""
    model = logistic.Logistic(planted_theft.SCHEMA)
    draws = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for value in (model.head.weight, model.head.bias):
            value.copy_(2 * torch.randn(value.shape, generator=draws))
    return model.eval()


def linear_view(victim: nn.Module, *, budget: int) -> TheftView:
    """Return a thief's view of it, who knows that the architecture is logistic regression."""
    view = planted_theft.asks(victim, budget=budget)
    return view.model_copy(update={"architecture": lambda: logistic.build(NoParams(), planted_theft.SCHEMA)})


def centred(weights: Tensor) -> Tensor:
    """Take off what all classes share, which no probability shows."""
    return weights.double() - weights.double().mean(0)


def _untrained() -> nn.Module:
    with isolated("untrained"):
        return planted_theft.build()


def _oracle(view: TheftView) -> BudgetOracle:
    assert isinstance(view.model, BudgetOracle)
    return view.model


_knockoff: Attack = partial(knockoff.attack, params=ModelExtractionParams())
_adaptive: Attack = partial(knockoff.attack, params=ModelExtractionParams(strategy="adaptive"))
_equations: Attack = partial(equations.attack, params=EquationSolvingParams())
_control: Attack = partial(thieves.independent_model, params=NoParams())
