"""The attacks and their control on planted victims: power where something is told, and none where nothing is."""

import re

import numpy as np
import pytest
import torch

from amulet_core.components import NoParams
from amulet_core.games.attribute import AttributeAnswer, AttributeResult
from amulet_core.scores import Value
from amulet_core.statistics.balanced import balanced_accuracy, balanced_gain
from amulet_core.statistics.interval import Interval
from amulet_core.statistics.membership import auc
from amulet_core.streams import isolated
from amulet_plugins_builtin.attributes import csmia, imputation, learner, mlp
from amulet_plugins_builtin.attributes.features import SUREST, known, with_outputs
from amulet_plugins_builtin.attributes.metric import measure
from amulet_plugins_builtin.attributes.planted import Planted, planted
from amulet_plugins_builtin.catalogue.attributes import LearnerParams

PARAMS = LearnerParams()


def played(game: Planted, name: str = "mlp") -> AttributeAnswer:
    with isolated("test"):
        if name == "csmia":
            return csmia.attack(game.view, NoParams())
        return (mlp if name == "mlp" else imputation).attack(game.view, PARAMS)


def gain(game: Planted) -> Interval:
    result = game.judged(played(game), played(game, "imputation"))
    rights = [(guess == result.z).numpy() for guess in (result.guess, result.control[0])]
    return balanced_gain(*rights, result.z.numpy(), level=0.999)


def test_what_x_tells_already_is_no_advantage() -> None:
    game = planted(in_x=2.0, seed=3)
    result = game.judged(played(game))
    assert balanced_accuracy((result.guess == result.z).numpy(), result.z.numpy()).estimate > 0.85
    found = gain(game)
    assert found.low <= 0 <= found.high
    assert abs(found.estimate) < 0.02


def test_what_the_outputs_tell_beyond_x_is_the_advantage() -> None:
    found = gain(planted(in_x=1.0, in_outputs=3.0, seed=3))
    assert found.low > 0.1


@pytest.mark.parametrize("name", ["mlp", "csmia", "imputation"])
def test_shuffled_truth_is_at_chance(name: str) -> None:
    game = planted(in_x=2.0, in_outputs=3.0, in_inputs=4.0)
    shuffled = game.z[torch.randperm(len(game.z), generator=torch.Generator().manual_seed(1))]
    score = played(game, name).score.numpy()
    found = auc(score[:, 1] - score[:, 0], shuffled.numpy() == 1, level=0.999)
    assert found.low <= 0.5 <= found.high


def test_a_value_that_the_own_rows_lack_is_never_guessed_and_counts_as_missed() -> None:
    game = planted(shares=(0.4, 0.3, 0.3), in_outputs=5.0)
    rows = game.view.aux_z != 1
    names = ("aux_x", "aux_y", "aux_z", "observed_aux")
    view = game.view.model_copy(update={name: getattr(game.view, name)[rows] for name in names})
    answer = played(Planted(view, game.z, game.member))
    assert not answer.score[:, 1].any()
    result = Planted(view, game.z, game.member).judged(answer)
    (accuracy,) = [one for one in measure(result, NoParams()).values if one.name == "balanced_accuracy"]
    recalls = [float((result.guess == value)[result.z == value].double().mean()) for value in range(3)]
    assert recalls[1] == 0
    assert isinstance(accuracy, Value)
    assert accuracy.estimate == pytest.approx(sum(recalls) / 3)
    assert accuracy.estimate > 0.6


def test_own_rows_of_a_single_value_give_that_value() -> None:
    game = planted(rows=40, aux=40)
    view = game.view.model_copy(update={"aux_z": torch.ones(40, dtype=torch.int64)})
    answer = played(Planted(view, game.z, game.member))
    assert answer.score.tolist() == [[0.0, 1.0]] * 40
    assert answer.threshold is None


def test_rare_values_are_told_as_well_as_frequent_ones() -> None:
    game = planted(shares=(0.88, 0.08, 0.04), in_outputs=5.0)
    guess = played(game).score.argmax(1)
    recalls = [float((guess == value)[game.z == value].double().mean()) for value in range(3)]
    assert min(recalls) > 0.85


def test_the_threshold_is_found_on_rows_that_the_network_was_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that knows its training rows by heart, and nothing else, must not make a threshold of them."""
    seen: list[tuple[set[float], set[float]]] = []

    def by_heart(
        aux: learner.Floats, z: learner.Integers, candidates: learner.Floats, *, values: int, params: LearnerParams
    ) -> learner.Floats:
        seen.append((set(aux[:, 0]), set(candidates[:, 0])))
        assert {0, 1} == set(z)
        return np.tile([0.7, 0.3], (len(candidates), 1))

    monkeypatch.setattr(learner, "probabilities", by_heart)
    z = np.array([0] * 30 + [1] * 12)
    learner.held_out_threshold(np.arange(42.0)[:, None], z, PARAMS)
    assert len(seen) == PARAMS.folds
    assert all(not trained & held for trained, held in seen)
    assert sorted(row for _, held in seen for row in held) == list(range(42))
    assert [sum(row >= 30 for row in held) for _, held in seen] == [4, 4, 4]


def test_the_threshold_is_the_most_accurate_one_on_the_held_out_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        learner, "probabilities", lambda _aux, _z, held, **_more: np.hstack([1 - held[:, :1], held[:, :1]])
    )
    score = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    z = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    assert learner.held_out_threshold(score[:, None], z, PARAMS) == 0.6


def test_fewer_rows_of_a_value_than_folds_fix_no_threshold() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    z = np.array([1, 1] + [0] * 18)
    assert learner.held_out_threshold(x, z, PARAMS) is None


def test_the_attack_and_its_control_know_the_same_but_for_the_outputs() -> None:
    game = planted(rows=30, aux=20, in_outputs=100.0)
    for own, more, observed in zip(
        known(game.view), with_outputs(game.view), (game.view.observed, game.view.observed_aux), strict=True
    ):
        assert np.array_equal(more[:, 2:], own)
        assert np.array_equal(more[:, :2], observed.double().numpy().clip(-SUREST))
    x, y = game.view.x.double().numpy(), np.eye(2)[game.view.y.numpy()]
    assert np.array_equal(known(game.view)[0], np.hstack([x, y]))


def test_images_are_learned_from_too() -> None:
    game = planted(rows=40, aux=40, in_x=4.0)
    shape = {"x": game.view.x.reshape(40, 1, 2, 3), "aux_x": game.view.aux_x.reshape(40, 1, 2, 3)}
    assert torch.equal(
        played(Planted(game.view.model_copy(update=shape), game.z, game.member)).score, played(game).score
    )


# The probabilities of the classes with each value put in; the true label is the second. By hand, by the paper's cases.
CASES = {
    "one value makes it right": ([[0.9, 0.1], [0.45, 0.55], [0.6, 0.4]], 1),
    "of two the surer": ([[0.2, 0.8], [0.7, 0.3], [0.1, 0.9]], 2),
    "none: the least sure error": ([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4]], 2),
    "right, though unsure, before a surely wrong one": ([[0.36, 0.34, 0.3], [0.3, 0.4, 0.3], [0.35, 0.34, 0.31]], 1),
    "all: the surest": ([[0.3, 0.7], [0.05, 0.95], [0.1, 0.9]], 1),
}


@pytest.mark.parametrize("case", CASES)
def test_csmia_follows_its_three_cases(case: str) -> None:
    said, expected = CASES[case]
    game = planted(rows=20, aux=20, shares=(0.4, 0.3, 0.3))
    asked = torch.tensor(said).log()[:, None]
    view = game.view.model_copy(update={"asked": asked, "y": torch.tensor([1])})
    assert csmia.attack(view, NoParams()).score.argmax(1).tolist() == [expected]


def test_csmia_needs_the_victim_asked_with_the_values_put_in() -> None:
    view = planted(rows=20, aux=20).view
    message = "the victim was not asked with the attribute's values put in: is it among its inputs?"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        csmia.attack(view.model_copy(update={"asked": view.asked[:0]}), NoParams())


@pytest.mark.parametrize("values", [2, 3])
def test_csmia_draws_lots_between_values_that_the_victim_does_not_tell_apart(values: int) -> None:
    score = played(planted(shares=(1 / values,) * values), "csmia").score
    assert torch.allclose(score[:, :1], score, rtol=1e-12, atol=0)
    shares = torch.nn.functional.one_hot(score.argmax(1), values).double().mean(0)
    assert (shares - 1 / values).abs().max() < 4 * (0.25 / 1600) ** 0.5


@pytest.mark.parametrize("base", [3.0, 10.0, 17.0, 20.0, 25.0])
@pytest.mark.parametrize("right", [True, False])
def test_csmia_finds_the_value_however_sure_the_victim_is(base: float, right: bool) -> None:
    game = planted()
    margin = base + 3.0 * (1 if right else -1) * torch.nn.functional.one_hot(game.z, 2).T
    sign = (2.0 * game.view.y - 1) * (1 if right else -1)
    asked = torch.log_softmax(torch.stack([torch.zeros(2, len(game.z)), margin * sign], -1), -1)
    view = game.view.model_copy(update={"asked": asked})
    assert torch.equal(played(Planted(view, game.z, game.member), "csmia").score.argmax(1), game.z)


def judged(game: Planted) -> AttributeResult:
    return game.judged(played(game), played(game, "imputation"))


def test_what_the_outputs_tell_of_members_alone_is_a_gap() -> None:
    values = {
        one.name: one for one in measure(judged(planted(in_outputs=1.0, on_members=3.0, seed=4)), NoParams()).values
    }
    gap, members, others = (values[f"advantage{part}"] for part in ("_gap", "_members", "_non_members"))
    assert isinstance(gap, Value)
    assert isinstance(members, Value)
    assert isinstance(others, Value)
    assert gap.estimate == pytest.approx(members.estimate - others.estimate)
    assert gap.low is not None
    assert gap.low > 0
