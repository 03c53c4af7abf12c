"""The log-odds of the true label against extended precision, closed forms and the ends of the number range."""

import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax

from amulet_plugins_builtin.membership.confidence import INFINITE, label_log_probability, logit_confidence


def test_the_log_odds_equal_the_definition_in_extended_precision() -> None:
    logp = log_softmax(torch.randn(3, 50, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3, -1)
    y = torch.arange(50) % 5
    p = np.exp(logp.numpy().astype(np.longdouble))
    own = np.take_along_axis(p, y.numpy()[None, :, None], -1)[..., 0]
    exact = np.log(own / (p.sum(-1) - own))
    np.testing.assert_allclose(logit_confidence(logp, y).numpy(), exact.astype(np.float64), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("margin", [1.0, 20.0, 80.0])
def test_a_probability_that_rounds_to_one_in_float32_keeps_its_log_odds(margin: float) -> None:
    logits = torch.tensor([[margin, 0.0, 0.0]])
    found = logit_confidence(log_softmax(logits, 1), torch.tensor([0]))
    assert found.dtype == torch.float64
    # Two other classes of logit 0; float32 log-probabilities carry a relative error of 1e-7.
    assert found.item() == pytest.approx(margin - np.log(2), rel=1e-6)


def test_only_infinite_log_odds_are_clipped() -> None:
    inf = float("inf")
    logp = torch.tensor([[0.0, -inf], [-inf, 0.0], [0.0, -1e6], [0.0, -3.0]])
    found = logit_confidence(logp, torch.zeros(4, dtype=torch.int64))
    assert found.tolist() == [INFINITE, -INFINITE, 1e6, 3.0]


def test_sure_rows_that_float32_ties_keep_their_order() -> None:
    margins = torch.tensor([20.0, 30.0, 40.0])
    logp = log_softmax(torch.stack([margins, torch.zeros(3)], 1), 1)
    y = torch.zeros(3, dtype=torch.int64)
    assert len(logp[:, 0].unique()) == 1
    found = label_log_probability(logp, y)
    np.testing.assert_allclose(found.numpy(), -np.log1p(np.exp(-margins.double().numpy())), rtol=1e-5)
    assert (found.diff() > 0).all()
