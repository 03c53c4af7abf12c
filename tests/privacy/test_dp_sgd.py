"""DP-SGD as a whole: its batches, its account, what it trains, and what it refuses."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from amulet_core.settings import TrainingSettings
from amulet_core.training.parts import MeanGradient, ShuffledBatches, plain_training
from amulet_core.training.values import Draw, Streams, TrainingContext
from amulet_plugins_builtin.catalogue.fairness import AdversarialDebiasingParams
from amulet_plugins_builtin.catalogue.membership_defenses import EarlyStoppingParams
from amulet_plugins_builtin.catalogue.privacy import DpSgdParams
from amulet_plugins_builtin.fairness.adversarial_debiasing import train as debias
from amulet_plugins_builtin.membership.early_stopping import train as stop_early
from amulet_plugins_builtin.privacy.accounting import epsilon_spent
from amulet_plugins_builtin.privacy.dp_sgd import PoissonBatches, train

NOISE = DpSgdParams(noise_multiplier=1.0)


def plain(toys, kind="mlp", **settings):
    given = {"epochs": 2, "batch_size": 20, "learning_rate": 0.01} | settings
    return plain_training(lambda: toys.network(kind), TrainingSettings(**given), stackable=True)


def context(toys, training, rows=100, kind="mlp"):
    return TrainingContext(rows=rows, schema=toys.schema(kind), settings=training.settings)


def fitted(toys, training, kind="mlp", n=100, seed=0):
    rows = toys.rows(kind, n)
    return training.fit(training, [rows], [rows], [Streams(("test", seed))])[0]


def test_every_row_joins_every_batch_by_its_own_coin():
    n, rate, steps = 200, 0.1, 4000
    batches = list(PoissonBatches(rate, steps).epoch(n, torch.Generator().manual_seed(0)))
    assert len(batches) == steps
    joined = torch.zeros(steps, n)
    for step, rows in enumerate(batches):
        joined[step, rows] = 1
    # Five standard errors each. A shuffled or fixed-size batch would have sizes of variance 0.
    error = math.sqrt(rate * (1 - rate) / steps)
    assert float((joined.mean(0) - rate).abs().max()) < 5 * error
    sizes, variance = joined.sum(1), n * rate * (1 - rate)
    assert abs(float(sizes.var()) / variance - 1) < 5 * math.sqrt(2 / steps)
    between = torch.corrcoef(joined.T)
    assert float((between - torch.eye(n)).abs().max()) < 6 / math.sqrt(steps)


def test_a_batch_may_be_empty_and_a_rate_of_1_takes_every_row():
    sizes = [len(rows) for rows in PoissonBatches(0.01, 200).epoch(10, torch.Generator().manual_seed(0))]
    assert 0 in sizes
    (everyone,) = PoissonBatches(1.0, 1).epoch(7, torch.Generator())
    assert everyone.tolist() == list(range(7))


@pytest.mark.parametrize(
    ("rows", "batch", "rate", "steps"), [(100, 20, 0.2, 5), (90, 60, 2 / 3, 2), (100, 99, 0.99, 1)]
)
def test_rate_and_steps_follow_from_the_batch_size(toys, rows, batch, rate, steps):
    training = plain(toys, batch_size=batch)
    private = train(training, NOISE, context(toys, training, rows))
    assert private.sampler == PoissonBatches(rate, steps)


def test_the_account_is_that_of_the_steps_taken(toys):
    training = plain(toys, epochs=3)
    params = DpSgdParams(noise_multiplier=1.5, max_grad_norm=0.7, delta=1e-4, conditional_on=("reweighing",))
    public = replace(context(toys, training), chain=("builtin/reweighing", "builtin/dp-sgd"))
    spent = fitted(toys, train(training, params, public)).evidence["privacy"]
    expected = epsilon_spent(1.5, 0.2, steps=15, delta=1e-4)
    assert spent.model_dump() == {
        "epsilon_rdp": expected["rdp"],
        "epsilon_prv": expected["prv"],
        "delta": 1e-4,
        "noise_multiplier": 1.5,
        "sample_rate": 0.2,
        "steps": 15,
        "max_grad_norm": 0.7,
        "neighbouring": "add/remove one row",
        "conditional_on": ("reweighing",),
        "to_cite": "epsilon_prv: a valid bound, as its numerical error of at most 0.01 is added, and as a rule the "
        "tighter one; epsilon_rdp, a bound by other means, is the conservative check",
    }


def test_what_defenses_before_it_left_behind_stays(toys):
    training = replace(plain(toys), evidence={"smoothing": 0.1})
    assert list(fitted(toys, train(training, NOISE, context(toys, training))).evidence) == ["smoothing", "privacy"]


def test_steps_and_rate_are_those_of_the_account_even_if_rows_were_dropped(toys):
    training = plain(toys)
    private = train(training, NOISE, context(toys, training, rows=100))
    assert len(list(private.sampler.epoch(37, torch.Generator()))) == 5
    fitted(toys, private, n=37)


@pytest.mark.parametrize("accountant", ["rdp", "prv"])
def test_a_target_is_kept_by_the_accountant_asked(toys, accountant):
    training = plain(toys)
    params = DpSgdParams(epsilon=2.0, accountant=accountant)
    spent = train(training, params, context(toys, training)).evidence["privacy"]
    assert 1.99 <= getattr(spent, f"epsilon_{accountant}") <= 2


def test_batch_size_and_learning_rate_may_be_its_own(toys):
    training = plain(toys)
    own = train(training, DpSgdParams(noise_multiplier=1, batch_size=50, learning_rate=0.5), context(toys, training))
    assert (own.settings.batch_size, own.settings.learning_rate) == (50, 0.5)
    assert own.sampler == PoissonBatches(0.5, 2)
    assert own.gradient.expected_batch_size == 50
    assert train(training, NOISE, context(toys, training)).settings == training.settings


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_the_result_is_a_plain_model(toys, kind):
    training = plain(toys, kind)
    before = replace(training)
    model = fitted(toys, train(training, NOISE, context(toys, training, kind=kind)), kind).model
    undefended = fitted(toys, training, kind).model
    assert training == before
    assert type(model) is type(undefended)
    assert list(model.state_dict()) == list(undefended.state_dict())
    copy.deepcopy(model).load_state_dict(undefended.state_dict())
    for module in model.modules():
        assert not [*module._forward_hooks, *module._backward_hooks, *module._forward_pre_hooks]
        assert "activations" not in vars(module)
    assert not any("grad_sample" in vars(value) or value.requires_grad for value in model.parameters())


def test_equal_seeds_give_equal_bits_and_the_global_generator_is_left_alone(toys):
    training = plain(toys)
    private = train(training, NOISE, context(toys, training))
    before = torch.get_rng_state()
    first, again, other = (fitted(toys, private, seed=seed).model.state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["1.weight"], other["1.weight"])


def test_the_order_of_dp_sgd_and_adversarial_training_does_not_matter(toys):
    training = plain(toys)

    def adversarial(inner):
        return replace(
            inner, objective=toys.adversarial(inner.objective), draws=(*inner.draws, Draw("start", "uniform"))
        )

    one = adversarial(train(training, NOISE, context(toys, training)))
    other = train(adversarial(training), NOISE, context(toys, training))
    first, second = fitted(toys, one).model.state_dict(), fitted(toys, other).model.state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    without = fitted(toys, train(training, NOISE, context(toys, training))).model.state_dict()
    assert not torch.equal(first["1.weight"], without["1.weight"])


@pytest.mark.parametrize("private_first", [True, False])
def test_it_chains_with_debiasing_in_either_order(toys, private_first):
    training = plain(toys)
    public = context(toys, training)
    if private_first:
        chained = debias(train(training, NOISE, public), AdversarialDebiasingParams(), public)
    else:
        chained = train(debias(training, AdversarialDebiasingParams(), public), NOISE, public)
    result = fitted(toys, chained)
    assert list(result.model.state_dict()) == list(fitted(toys, training).model.state_dict())
    assert result.evidence["privacy"].noise_multiplier == 1.0


def test_all_that_stands_in_the_way_is_said_at_once(toys):
    training = plain(toys, patience=3)
    private = train(
        replace(training, settings=training.settings.model_copy(update={"patience": 0})), NOISE, context(toys, training)
    )
    twice = replace(private, settings=training.settings)
    with pytest.raises(ValueError, match="dp-sgd") as error:
        train(twice, DpSgdParams(delta=0.1, batch_size=500), context(toys, training))
    assert str(error.value) == (
        "dp-sgd: batch_size 500 exceeds the 100 training rows; lower it; "
        "delta 0.1 is not below 1 / 100 rows: releasing one whole row at random would satisfy it; "
        "another defense has set the sampler (PoissonBatches), which dp-sgd would replace; "
        "another defense has set the gradient rule (ClippedNoisyGradient), which dp-sgd would replace; "
        "early stopping looks at the validation rows outside the accountant; set training.patience to 0, or name "
        '"early-stopping" in conditional_on'
    )


def test_declared_early_stopping_is_allowed_and_recorded(toys):
    training = plain(toys, patience=3)
    params = DpSgdParams(noise_multiplier=1, conditional_on=("early-stopping",))
    private = train(training, params, context(toys, training))
    assert private.evidence["privacy"].conditional_on == ("early-stopping",)
    assert isinstance(training.sampler, ShuffledBatches)


def with_settings(private, **changes):
    return replace(private, settings=private.settings.model_copy(update=changes))


RULE = "ClippedNoisyGradient(noise_multiplier={}, max_grad_norm=1.0, expected_batch_size=20, stackable=False)"
CHANGED = {
    "shuffled batches": (
        lambda private: replace(private, sampler=ShuffledBatches(20)),
        "the sampler is ShuffledBatches, accounted: PoissonBatches",
    ),
    "a larger rate": (
        lambda private: replace(private, sampler=replace(private.sampler, rate=0.5)),
        "the sampler is PoissonBatches(rate=0.5, steps=5), accounted: PoissonBatches(rate=0.2, steps=5)",
    ),
    "more steps an epoch": (
        lambda private: replace(private, sampler=replace(private.sampler, steps=9)),
        "the sampler is PoissonBatches(rate=0.2, steps=9), accounted: PoissonBatches(rate=0.2, steps=5)",
    ),
    "a plain gradient": (
        lambda private: replace(private, gradient=MeanGradient()),
        "the gradient rule is MeanGradient, accounted: ClippedNoisyGradient",
    ),
    "less noise": (
        lambda private: replace(private, gradient=replace(private.gradient, noise_multiplier=0.1)),
        f"the gradient rule is {RULE.format(0.1)}, accounted: {RULE.format(1.0)}",
    ),
    "more epochs": (
        lambda private: with_settings(private, epochs=20),
        "the number of epochs is 20, accounted: 2",
    ),
    "another batch size": (
        lambda private: with_settings(private, batch_size=50),
        "the batch size is 50, accounted: 20",
    ),
    "early stopping switched on": (
        lambda private: stop_early(private, EarlyStoppingParams(patience=3), None),
        "the patience of early stopping, which looks at the validation rows, is 3, accounted: 0 (a chain with "
        "early-stopping may name it in conditional_on)",
    ),
    "all at once": (
        lambda private: replace(with_settings(private, epochs=3), sampler=ShuffledBatches(20), gradient=MeanGradient()),
        "the sampler is ShuffledBatches, accounted: PoissonBatches; the gradient rule is MeanGradient, accounted: "
        "ClippedNoisyGradient; the number of epochs is 3, accounted: 2",
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_later_defense_that_changes_what_is_accounted_for_is_refused(toys, case):
    change, said = CHANGED[case]
    training = plain(toys)
    private = train(training, NOISE, context(toys, training))
    with pytest.raises(ValueError, match="accounts for another training") as error:
        fitted(toys, change(private))
    assert str(error.value) == (
        f"dp-sgd accounts for another training than this: {said}. A defense after dp-sgd in the chain has changed that: "
        "leave one of them out"
    )


STOPPED = ("builtin/dp-sgd", "builtin/early-stopping")


def stopped_after(toys, chain):
    training = plain(toys)
    params = DpSgdParams(noise_multiplier=1, conditional_on=("early-stopping",))
    public = replace(context(toys, training), chain=chain)
    return stop_early(train(training, params, public), EarlyStoppingParams(patience=1), public)


def test_declared_early_stopping_after_it_is_trained(toys):
    spent = fitted(toys, stopped_after(toys, STOPPED)).evidence["privacy"]
    assert spent.conditional_on == ("early-stopping",)


def test_early_stopping_that_is_declared_but_not_in_the_chain_is_no_condition_and_refused(toys):
    with pytest.raises(ValueError, match=r"patience of early stopping.* is 1, accounted: 0"):
        fitted(toys, stopped_after(toys, STOPPED[:1]))


def test_a_later_fit_around_it_meets_the_same_refusal(toys):
    """Whatever wraps the fit hands a training on: what it changes there is seen as well."""
    training = plain(toys)
    private = train(training, NOISE, context(toys, training))
    longer = replace(private, fit=lambda given, *more: private.fit(with_settings(given, epochs=9), *more))
    with pytest.raises(ValueError, match=r"the number of epochs is 9, accounted: 2\."):
        fitted(toys, longer)


def test_what_the_account_does_not_depend_on_may_be_changed_after_it(toys):
    training = plain(toys)
    private = train(training, NOISE, context(toys, training))
    fitted(toys, with_settings(private, weight_decay=0.1, learning_rate=0.5, momentum=0.1))


@pytest.mark.parametrize(
    ("chain", "patience", "expected"),
    [
        (("builtin/dp-sgd",), 0, ()),
        (("builtin/reweighing", "builtin/dp-sgd"), 0, ("reweighing",)),
        (("builtin/dp-sgd", "builtin/early-stopping"), 0, ("early-stopping",)),
        (("builtin/dp-sgd",), 3, ("early-stopping",)),
    ],
)
def test_a_claim_holds_on_condition_of_what_is_there_alone(toys, chain, patience, expected):
    """A member of a chain, alone beside it, has the chain's parameters: no stage that is away weakens its claim."""
    training = plain(toys, patience=patience)
    params = DpSgdParams(noise_multiplier=1, conditional_on=("early-stopping", "reweighing"))
    private = train(training, params, replace(context(toys, training), chain=chain))
    assert private.evidence["privacy"].conditional_on == expected
