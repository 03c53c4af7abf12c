"""Epsilon from noise and noise from epsilon, against published values and the Gaussian mechanism's closed form."""

import json
import math

import pytest
from pydantic import ValidationError
from scipy.optimize import brentq
from scipy.stats import norm

from amulet_plugins_builtin.catalogue.privacy import DpSgdParams
from amulet_plugins_builtin.privacy.accounting import PrivacySpent, epsilon_spent, noise_for


def gaussian_epsilon(sigma, delta):
    """Balle & Wang 1805.06530, theorem 8: the exact epsilon of one Gaussian mechanism of sensitivity 1."""

    def excess(epsilon):
        tail = norm.logcdf(-1 / (2 * sigma) - epsilon * sigma)
        return norm.cdf(1 / (2 * sigma) - epsilon * sigma) - math.exp(epsilon + tail) - delta

    return brentq(excess, 0, 100)


def test_renyi_epsilon_is_the_published_one():
    assert epsilon_spent(1.5, 0.04, steps=2250, delta=1e-5)["rdp"] == pytest.approx(7.32911117143, abs=1e-9)


def test_renyi_epsilon_of_one_full_batch_is_the_published_one():
    assert epsilon_spent(4.530877117, 1.0, steps=1, delta=1e-6)["rdp"] == pytest.approx(1.00000029, abs=1e-8)


@pytest.mark.parametrize(("sigma", "epsilon"), [(1.0, 4.377178), (2.0, 1.993091), (5.0, 0.725522)])
def test_prv_epsilon_of_one_full_batch_is_the_gaussian_mechanisms(sigma, epsilon):
    assert gaussian_epsilon(sigma, 1e-5) == pytest.approx(epsilon, abs=1e-6)
    # The accountant returns its upper bound, whose error it keeps to .01 on either side.
    assert 0 <= epsilon_spent(sigma, 1.0, steps=1, delta=1e-5)["prv"] - epsilon <= 0.02


def test_noise_for_epsilon_8_is_the_published_one():
    found = noise_for(8.0, delta=1e-5, sample_rate=0.04, steps=90 * 25, accountant="rdp")
    assert found == pytest.approx(1.416, abs=1e-3)


@pytest.mark.parametrize("accountant", ["rdp", "prv"])
@pytest.mark.parametrize("target", [0.5, 3.0])
def test_the_noise_for_a_target_spends_it_and_no_more(target, accountant):
    sigma = noise_for(target, delta=1e-5, sample_rate=0.064, steps=160, accountant=accountant)
    assert target - 0.01 <= epsilon_spent(sigma, 0.064, steps=160, delta=1e-5)[accountant] <= target


def test_prv_is_tighter_than_renyi():
    spent = epsilon_spent(1.0, 0.064, steps=320, delta=1e-5)
    assert spent["prv"] < spent["rdp"]


def test_an_unreachable_target_says_what_to_do():
    with pytest.raises(ValueError, match="no noise") as error:
        noise_for(1e-7, delta=1e-9, sample_rate=1.0, steps=10_000, accountant="rdp")
    assert str(error.value) == (
        "dp-sgd: no noise gives epsilon 1e-07 at delta 1e-09 in 10000 steps of sampling rate 1 by the rdp accountant "
        "(The privacy budget is too low.); raise epsilon, or train in fewer steps"
    )


@pytest.mark.parametrize(("sigma", "epsilon"), [(0.01, "8.76e+05"), (0.1, "5.35e+03")])
def test_noise_that_is_too_small_says_whose_it_is_and_what_to_do(sigma, epsilon):
    with pytest.raises(ValueError, match="too small") as error:
        epsilon_spent(sigma, 0.128, steps=160, delta=1e-5)
    assert str(error.value) == (
        f"dp-sgd: the noise is too small for a meaningful epsilon: noise_multiplier {sigma:g} spends {epsilon} (Renyi DP) "
        "at delta 1e-05 in 160 steps of sampling rate 0.128, more than 1000; "
        "raise noise_multiplier, or give epsilon instead"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epsilon": None}, "found neither"),
        ({"epsilon": 3, "noise_multiplier": 1.5}, "found epsilon 3 and noise_multiplier 1.5"),
    ],
)
def test_noise_and_target_are_alternatives(given, message):
    with pytest.raises(ValidationError) as error:
        DpSgdParams(**given)
    assert error.value.errors()[0]["msg"] == (
        f"Value error, give either epsilon (a target) or noise_multiplier, not both and not none; {message}"
    )


@pytest.mark.parametrize("given", [{}, {"epsilon": 2}, {"noise_multiplier": 1.5}])
def test_spelt_out_parameters_mean_the_same_again(given):
    params = DpSgdParams(**given)
    assert DpSgdParams(**json.loads(params.model_dump_json())) == params


def test_the_account_survives_json():
    spent = PrivacySpent(
        epsilon_rdp=2.0, epsilon_prv=1.5, delta=1e-5, noise_multiplier=1.1, sample_rate=0.1, steps=5, max_grad_norm=1.0
    )
    assert PrivacySpent(**json.loads(spent.model_dump_json())) == spent
    assert spent.neighbouring == "add/remove one row"
