"""The correlation remover: its layer is fairlearn's transform, fitted to each model's rows and part of the model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fairlearn.preprocessing import CorrelationRemover
from torch import nn

from amulet_core.training.values import Streams, TrainingContext
from amulet_plugins_builtin.catalogue.fairness_defenses import CorrelationRemoverParams
from amulet_plugins_builtin.fairness.checks_of_wrappers import SCHEMA, linear_training, planted_in_x
from amulet_plugins_builtin.fairness.correlation_remover import Decorrelated, fitted_layer, rebuild, train

NAME = "correlation-remover"
PLAIN = linear_training()


def fitted(rows, *, alpha=1.0, training=PLAIN):
    context = TrainingContext(rows=len(rows[0]), schema=SCHEMA, settings=training.settings)
    defended = train(training, CorrelationRemoverParams(alpha=alpha), context)
    return defended.fit(defended, rows, rows, [Streams(("test", at)) for at in range(len(rows))])


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_the_layer_is_fairlearns_transform_on_rows_it_has_not_seen(alpha):
    rows, fresh = planted_in_x(200, "fit", lean=0.8), planted_in_x(50, "fresh", lean=0.8)
    remover = CorrelationRemover(sensitive_feature_ids=[2, 3], alpha=alpha).fit(rows.x.double().numpy())
    seen = fitted_layer(rows, 0, alpha=alpha).remove(fresh.x)
    np.testing.assert_allclose(seen[:, :2].numpy(), remover.transform(fresh.x.double().numpy()), atol=1e-5)
    assert not seen[:, 2:].any()


def test_of_two_groups_the_layer_takes_the_groups_own_mean():
    rows = planted_in_x(200, "mean", lean=0.8)
    seen = fitted_layer(rows, 0, alpha=1.0).remove(rows.x)[:, :2]
    for group in (0, 1):
        own = rows.z[:, 0] == group
        expected = rows.x[own, :2] - rows.x[own, :2].mean(0) + rows.x[:, :2].mean(0)
        torch.testing.assert_close(seen[own], expected, rtol=0, atol=1e-4)


def test_the_evidence_says_how_much_correlation_there_was_and_is():
    rows = planted_in_x(200, "evidence", lean=0.8)
    (one,) = fitted([rows])
    found = one.evidence[NAME]
    expected = abs(np.corrcoef(rows.x[:, 1].numpy(), rows.z[:, 0].numpy())[0, 1])
    assert found.before == pytest.approx(expected, abs=1e-6)
    assert found.after < 1e-5
    (untouched,) = fitted([rows], alpha=0.0)
    assert untouched.evidence[NAME].after == pytest.approx(untouched.evidence[NAME].before, abs=1e-6)


def test_every_model_has_a_layer_of_its_own_rows():
    rows = [planted_in_x(150, seed, lean=0.8) for seed in range(2)]
    both = fitted(rows)
    for one, data in zip(both, rows, strict=True):
        layer = fitted_layer(data, 0, alpha=1.0)
        assert torch.equal(one.model.beta, layer.beta)
        assert torch.equal(one.model.mean, layer.mean)
    assert not torch.equal(both[0].model.beta, both[1].model.beta)


def test_training_sees_the_rows_through_the_layer():
    rows = planted_in_x(300, "through", lean=0.8)
    (one,) = fitted([rows])
    layer = fitted_layer(rows, 0, alpha=1.0)
    seen = replace(rows, x=layer.remove(rows.x))
    (alone,) = PLAIN.fit(PLAIN, [seen], [seen], [Streams(("test", 0))])
    torch.testing.assert_close(one.model.model.weight, alone.model.weight, rtol=0, atol=1e-5)
    torch.testing.assert_close(one.model(rows.x), alone.model(seen.x), rtol=0, atol=1e-5)


def test_the_layer_is_not_trained_and_the_twin_answers_as_the_model_does():
    rows = planted_in_x(100, "twin", lean=0.8)
    (one,) = fitted([rows])
    assert {name for name, _ in one.model.named_parameters()} == {"model.weight", "model.bias"}
    twin = rebuild(lambda: nn.Linear(4, 2), CorrelationRemoverParams(), SCHEMA)
    twin.load_state_dict(one.model.state_dict())
    assert torch.equal(twin(rows.x), one.model(rows.x))
    assert list(PLAIN.parts) == ["model"]


def test_the_group_cannot_be_told_from_what_the_model_answers_about_the_group_alone():
    """Two rows that differ in the group as much as the groups do on average get the same answer."""
    rows = planted_in_x(400, "blind", lean=0.8)
    (one,) = fitted([rows])
    means = torch.stack([rows.x[rows.z[:, 0] == group].mean(0) for group in (0, 1)])
    logits = one.model(means)
    torch.testing.assert_close(logits[0], logits[1], rtol=0, atol=1e-4)
    assert isinstance(one.model, Decorrelated)
