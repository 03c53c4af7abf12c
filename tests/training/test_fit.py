"""The training loop: stacked and single training agree, early stopping, and what it refuses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import nn

from amulet_core.data import Data, make_data
from amulet_core.schema import DataSchema, Feasible
from amulet_core.settings import TrainingSettings
from amulet_core.streams import isolated
from amulet_core.training import fit as fit_module
from amulet_core.training.fit import DivergedError, fit_by_steps, gradients_of
from amulet_core.training.parts import MeanGradient, ShuffledBatches, plain_training
from amulet_core.training.values import Batch, Call, Draw, Fitted, Problem, Step, Streams, Training
from amulet_plugins_builtin.privacy.dp_sgd import ClippedNoisyGradient

SCHEMA = DataSchema(modality="tabular", shape=(6,), classes=("a", "b", "c"), feasible=Feasible(low=-10.0, high=10.0))


def blobs(seed: int, n: int = 50) -> Data:
    """Three noisy clusters."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (n,), generator=generator)
    x = torch.randn(n, 6, generator=generator) + 1.5 * nn.functional.one_hot(y, 6)
    return make_data(x.clamp(-9, 9), y, SCHEMA)


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def training(*, stackable: bool = True, **settings: object) -> Training:
    chosen = {"epochs": 5, "batch_size": 16, "learning_rate": 0.05} | settings
    return plain_training(build, TrainingSettings(**chosen), stackable=stackable)


def fitted(recipe: Training, models: int = 3) -> list[Fitted]:
    rows = [blobs(seed) for seed in range(models)]
    val = [blobs(100 + seed) for seed in range(models)]
    return fit_by_steps(recipe, rows, val, [Streams(("test", index)) for index in range(models)])


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def noisy(recipe: Training) -> Training:
    """An objective that wants a draw of its own: the training of every model on its own noise."""

    def objective(call: Call, frozen: Call, batch: Batch) -> torch.Tensor:
        return recipe.objective(call, frozen, batch._replace(x=batch.x + 0.1 * batch.draws["noise"]))

    return replace(recipe, objective=objective, draws=(Draw("noise", "normal"),))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("patience", [0, 2])
@pytest.mark.parametrize("change", [lambda recipe: recipe, noisy], ids=["plain", "with draws"])
def test_a_stack_of_models_equals_as_many_single_runs(
    optimizer: str, schedule: str, patience: int, change: Callable[[Training], Training]
) -> None:
    settings = {"optimizer": optimizer, "schedule": schedule, "patience": patience, "epochs": 12}
    stacked = fitted(change(training(stackable=True, **settings)))
    single = fitted(change(training(stackable=False, **settings)))
    for one, other in zip(stacked, single, strict=True):
        torch.testing.assert_close(weights(one.model), weights(other.model), rtol=1e-4, atol=1e-5)


def test_order_noise_and_draws_of_a_model_come_from_streams_of_their_own() -> None:
    """Noise that is drawn from the stream of the coins would tell which rows a batch has: no account allows it."""
    begun: dict[str, list[int]] = {"order": [], "noise": [], "draws": []}

    @dataclass(frozen=True)
    class Sampling(ShuffledBatches):
        def epoch(self, n: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
            begun["order"].append(generator.initial_seed())
            return super().epoch(n, generator)

    class Noising(MeanGradient):
        def start(self, problem: Problem) -> Step:
            begun["noise"] += [one.initial_seed() for one in problem.noise]
            return super().start(problem)

    drawn = fit_module._drawn

    def drawing(wanted, x, generators):  # type: ignore[no-untyped-def]
        begun["draws"] += [one.initial_seed() for one in generators]
        return drawn(wanted, x, generators)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "_drawn", drawing)
        fitted(replace(noisy(training(epochs=1)), sampler=Sampling(50), gradient=Noising()), models=2)
    seeds = [seed for found in begun.values() for seed in found]
    assert {name: len(found) for name, found in begun.items()} == {"order": 2, "noise": 2, "draws": 2}
    assert len(set(seeds)) == 6


def test_models_of_a_stack_differ_from_each_other() -> None:
    one, other, _ = fitted(training())
    assert (weights(one.model) - weights(other.model)).abs().max() > 0.1


def test_the_single_run_equals_plain_torch() -> None:
    """One model, whole batches: the same steps as a textbook loop."""
    recipe = training(epochs=7, batch_size=50, optimizer="sgd", momentum=0.9, weight_decay=0.01, stackable=False)
    (ours,) = fitted(recipe, models=1)
    with isolated("test", 0, "init", "model"):
        theirs = build()
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    data = blobs(0)
    for _ in range(7):
        optimizer.zero_grad()
        nn.functional.cross_entropy(theirs(data.x), data.y).backward()
        optimizer.step()
    torch.testing.assert_close(weights(ours.model), weights(theirs), rtol=1e-4, atol=1e-6)


def test_the_cosine_schedule_starts_at_the_full_step_and_falls_to_nothing() -> None:
    """One epoch of the cosine is the constant schedule; of two epochs, the second takes half a step."""
    settings = {"batch_size": 50, "optimizer": "sgd", "momentum": 0.0, "stackable": False}
    (one,) = fitted(training(epochs=1, **settings), models=1)
    (same,) = fitted(training(epochs=1, schedule="cosine", **settings), models=1)
    assert torch.equal(weights(one.model), weights(same.model))
    (two,) = fitted(training(epochs=2, **settings), models=1)
    (slower,) = fitted(training(epochs=2, schedule="cosine", **settings), models=1)
    first, full, half = (weights(model.model) for model in (one, two, slower))
    torch.testing.assert_close(half - first, (full - first) / 2, rtol=1e-3, atol=1e-6)


def test_early_stopping_keeps_the_weights_that_were_best_on_val() -> None:
    """Labels of the training rows are noise, so that training longer only harms: val is best near the start."""
    data, val = blobs(1), blobs(2, n=200)
    noise = replace(data, y=data.y[torch.randperm(len(data), generator=torch.Generator().manual_seed(0))])

    def loss(**settings: object) -> float:
        recipe = training(epochs=60, stackable=False, **settings)
        (model,) = fit_by_steps(recipe, [noise], [val], [Streams(("stop",))])
        return float(nn.functional.cross_entropy(model.model(val.x), val.y))

    def best_of_all_epochs() -> float:
        return min(
            float(nn.functional.cross_entropy(model.model(val.x), val.y))
            for epochs in range(1, 61)
            for model in fit_by_steps(training(epochs=epochs, stackable=False), [noise], [val], [Streams(("stop",))])
        )

    assert loss(patience=60) == pytest.approx(best_of_all_epochs(), abs=1e-6)
    assert loss(patience=60) < loss(patience=0) - 0.1


def test_patience_ends_training_before_a_later_better_loss() -> None:
    """A patience of 1 stops at the first epoch that is no better than the one before."""
    data, val = blobs(1), blobs(2)
    recipe = training(epochs=30, learning_rate=0.3, stackable=False)

    def losses(epochs: int) -> float:
        (model,) = fit_by_steps(
            replace(recipe, settings=recipe.settings.model_copy(update={"epochs": epochs})),
            [data],
            [val],
            [Streams(("p",))],
        )
        return float(nn.functional.cross_entropy(model.model(val.x), val.y))

    by_epoch = [losses(epochs) for epochs in range(1, 31)]
    first_rise = next(epoch for epoch in range(1, 30) if by_epoch[epoch] >= by_epoch[epoch - 1])
    stopping = replace(recipe, settings=recipe.settings.model_copy(update={"patience": 1}))
    (stopped,) = fit_by_steps(stopping, [data], [val], [Streams(("p",))])
    found = float(nn.functional.cross_entropy(stopped.model(val.x), val.y))
    assert found == pytest.approx(by_epoch[first_rise - 1], abs=1e-6)


class Level(nn.Module):
    """Answers the first class as surely as its only weight says, whatever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.level * nn.functional.one_hot(torch.zeros_like(x[:, 0], dtype=torch.int64), 3)


@pytest.mark.parametrize("stackable", [True, False])
def test_a_model_whose_patience_ran_out_keeps_its_best_weights_while_others_go_on(stackable: bool) -> None:
    """Of levels 1, 1/2, 2, 3 in this order, with a patience of 1 the first class stops at 1, and the second at 1/2."""
    moves = (1.0, -0.5, 1.5, 1.0)

    def objective(call: Call, _frozen: Call, batch: Batch) -> torch.Tensor:
        return -moves[round(batch.progress * len(moves))] * call(batch.x)[:, 0]

    settings = {"epochs": 4, "batch_size": 50, "optimizer": "sgd", "momentum": 0.0, "learning_rate": 1.0}
    recipe = training(stackable=stackable, patience=1, **settings)
    recipe = replace(recipe, parts={"model": Level}, objective=objective)
    rows, val = blobs(0), [replace(blobs(1), y=torch.full((50,), label)) for label in (0, 1)]
    models = fit_by_steps(recipe, [rows] * 2, val, [Streams((0,)), Streams((1,))])
    assert [float(one.model.level) for one in models] == [1.0, 0.5]


@dataclass(frozen=True)
class Noting:
    """The usual rule, which notes what it is given."""

    noted: list[Batch]
    stackable: bool = True

    def start(self, problem: Problem) -> Step:
        step = MeanGradient().start(problem)

        def noting(batch: Batch) -> dict[str, torch.Tensor]:
            self.noted.append(batch)
            return step(batch)

        return noting


@pytest.mark.parametrize("stackable", [True, False])
def test_the_order_of_rows_and_the_draws_have_a_stream_each_for_every_model(stackable: bool) -> None:
    noted: list[Batch] = []
    fitted(replace(noisy(training(epochs=2, stackable=stackable)), gradient=Noting(noted)), models=2)
    assert len(noted) == (8 if stackable else 16)
    for index in range(2):
        batches, place = (noted, index) if stackable else (noted[8 * index : 8 * index + 8], 0)
        own = Streams(("test", index))
        order, draws = own.generator("order"), own.generator("draws")
        chosen = torch.cat([torch.randperm(50, generator=order) for _ in range(2)])
        assert torch.equal(torch.cat([batch.x[place] for batch in batches]), blobs(index).x[chosen])
        for batch in batches:
            found = batch.draws["noise"][place]
            assert torch.equal(found, torch.randn(found.shape, generator=draws))


def dropping(p: float = 0.5, *, stackable: bool = False, **settings: object) -> Training:
    """Train a network that draws by itself while it is trained."""
    recipe = training(**settings)
    parts = {"model": lambda: nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(p), nn.Linear(32, 3))}
    return replace(recipe, parts=parts, stackable=stackable)


@pytest.mark.parametrize("stackable", [True, False])
def test_what_a_network_draws_by_itself_is_keyed_by_its_model(stackable: bool) -> None:
    """Neither the models trained before it nor the state of the global generator reach a model's dropout."""
    before = torch.get_rng_state()
    _, second = fitted(dropping(), models=2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    rows, val, streams = [blobs(1)], [blobs(101)], [Streams(("test", 1))]
    (alone,) = fit_by_steps(dropping(stackable=stackable), rows, val, streams)
    (whole,) = fit_by_steps(dropping(p=0.0), rows, val, streams)
    assert torch.equal(weights(second.model), weights(alone.model))
    assert not torch.equal(weights(alone.model), weights(whole.model))


def test_models_with_dropout_do_not_share_their_masks() -> None:
    """From equal weights, on equal rows in whatever order, two models differ by their masks alone."""
    data = blobs(0).take(torch.zeros(50, dtype=torch.int64))

    def start() -> nn.Module:
        with isolated("start"):
            return dropping(p=p).parts["model"]()

    for p in (0.5, 0.0):
        recipe = replace(dropping(epochs=2, batch_size=50), parts={"model": start})
        one, other = fit_by_steps(recipe, [data] * 2, [data] * 2, [Streams((0,)), Streams((1,))])
        assert torch.equal(weights(one.model), weights(other.model)) == (p == 0.0)


def test_released_gradients_drop_what_the_models_own_draws_say() -> None:
    batches = [blobs(0), blobs(1)]
    _, one = gradients_of(dropping(), batches, Streams((0,)))
    torch.rand(1)
    _, other = gradients_of(dropping(), batches, Streams((0,)))
    assert all(torch.equal(one[name], other[name]) for name in one)
    _, whole = gradients_of(dropping(p=0.0), batches, Streams((0,)))
    assert not torch.equal(one["3.weight"], whole["3.weight"])


def test_early_stopping_judges_a_network_as_it_will_be_asked() -> None:
    data, val = blobs(1), blobs(2)

    def loss(epochs: int, patience: int = 0) -> float:
        (model,) = fit_by_steps(dropping(epochs=epochs, patience=patience), [data], [val], [Streams(("stop",))])
        return float(nn.functional.cross_entropy(model.model(val.x), val.y))

    assert loss(12, patience=12) == pytest.approx(min(loss(epochs) for epochs in range(1, 13)), abs=1e-6)


def test_training_leaves_its_data_and_the_global_state_alone() -> None:
    data, before = blobs(0), torch.get_rng_state()
    x, w = data.x.clone(), data.w.clone()
    fit_by_steps(training(), [data, blobs(1)], [data, data], [Streams((1,)), Streams((2,))])
    assert torch.equal(data.x, x)
    assert torch.equal(data.w, w)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_of_rows_count_as_repetitions() -> None:
    """A weight of 2 on every row doubles the gradient of sgd; weight 0 takes a row out."""
    data = blobs(3)
    recipe = training(epochs=3, batch_size=50, optimizer="sgd", momentum=0.0, stackable=False)
    doubled = replace(data, w=data.w * 2)
    twice = replace(recipe, settings=recipe.settings.model_copy(update={"learning_rate": 0.1}))
    (one,) = fit_by_steps(recipe, [doubled], [data], [Streams((0,))])
    (other,) = fit_by_steps(twice, [data], [data], [Streams((0,))])
    torch.testing.assert_close(weights(one.model), weights(other.model), rtol=1e-4, atol=1e-6)


def test_the_result_is_a_plain_model_that_wants_no_gradients() -> None:
    (model,) = fitted(training(), models=1)
    assert list(model.model.state_dict()) == list(build().state_dict())
    assert not model.model.training
    assert not any(parameter.requires_grad for parameter in model.model.parameters())


@pytest.mark.parametrize("patience", [0, 2])
def test_training_that_diverges_says_so(patience: int) -> None:
    with pytest.raises(DivergedError) as error:
        fitted(training(learning_rate=10.0, optimizer="sgd", weight_decay=1e30, patience=patience), models=1)
    assert str(error.value) == (
        "training diverged: 4 of 4 weight tensors are not finite (first: parts.model.0.weight); lower the learning rate"
    )


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.BatchNorm1d(3), "BatchNorm (parts.model.1): use GroupNorm, or no normalisation layer"),
        (
            nn.BatchNorm1d(3, track_running_stats=False),
            "BatchNorm (parts.model.1): use GroupNorm, or no normalisation layer",
        ),
        (
            nn.Sequential(nn.Unflatten(1, (3, 1)), nn.InstanceNorm1d(3, track_running_stats=True), nn.Flatten()),
            "running statistics of batches (parts.model.1.1): set track_running_stats=False",
        ),
    ],
    ids=["batchnorm", "batchnorm without running statistics", "instancenorm"],
)
def test_statistics_of_batches_are_refused(layer: nn.Module, message: str) -> None:
    recipe = plain_training(lambda: nn.Sequential(nn.Linear(6, 3), layer), TrainingSettings(), stackable=False)
    with pytest.raises(ValueError) as error:
        fitted(recipe, models=1)
    assert str(error.value) == f"the architecture has {message}"


def test_statistics_of_a_row_alone_are_not_refused() -> None:
    recipe = plain_training(
        lambda: nn.Sequential(nn.Unflatten(1, (3, 2)), nn.InstanceNorm1d(3), nn.Flatten(), nn.Linear(6, 3)),
        TrainingSettings(epochs=1),
        stackable=False,
    )
    assert len(fitted(recipe)) == 3


@pytest.mark.parametrize("stackable", [True, False])
def test_early_stopping_without_validation_rows_is_refused(stackable: bool) -> None:
    nothing = blobs(0).take(torch.zeros(0, dtype=torch.int64))
    places = [Streams((0,)), Streams((1,))]
    with pytest.raises(ValueError) as error:
        fit_by_steps(training(patience=2, stackable=stackable), [blobs(0), blobs(1)], [nothing] * 2, places)
    assert str(error.value) == (
        "early stopping (patience 2) has no validation rows to look at: give some, or set patience to 0"
    )
    assert len(fit_by_steps(training(stackable=stackable), [blobs(0), blobs(1)], [nothing] * 2, places)) == 2


class Backbone(nn.Module):
    """Layers on a fixed one, the first of which may share its bias; what is fixed wants no gradient."""

    def __init__(self, *, shares: bool = True) -> None:
        super().__init__()
        self.fixed, self.again, self.head = nn.Linear(6, 8), nn.Linear(8, 8, bias=shares), nn.Linear(8, 3)
        if shares:
            self.again.bias = self.fixed.bias
        self.fixed.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.again(torch.tanh(self.fixed(x)))))


def on_a_backbone(*, stackable: bool = True) -> Training:
    return plain_training(Backbone, TrainingSettings(epochs=3, batch_size=16, weight_decay=0.1), stackable=stackable)


@pytest.mark.parametrize(  # opacus takes no layer of which a part is fixed
    ("trained", "shares"),
    [("stacked", True), ("stacked", False), ("single", True), ("single", False), ("private", False)],
)
def test_parameters_that_want_no_gradient_stay_as_they_were_built(trained: str, shares: bool) -> None:
    recipe = replace(on_a_backbone(stackable=trained == "stacked"), parts={"model": partial(Backbone, shares=shares)})
    if trained == "private":
        recipe = replace(recipe, gradient=ClippedNoisyGradient(0.5, 1.0, 16))
    for index, one in enumerate(fitted(recipe, models=2)):
        with isolated("test", index, "init", "model"):
            start = Backbone(shares=shares)
        moved = [
            name for name, value in one.model.named_parameters() if not torch.equal(value, start.get_parameter(name))
        ]
        assert moved == ["again.weight", "head.weight", "head.bias"]


def test_a_head_is_trained_as_it_is_on_what_the_fixed_layers_make_of_the_rows() -> None:
    """Plain torch, whole batches: the fixed part of the network might as well have been run beforehand."""
    recipe = on_a_backbone(stackable=False)
    (ours,) = fitted(replace(recipe, sampler=ShuffledBatches(50)), models=1)
    with isolated("test", 0, "init", "model"):
        theirs = Backbone()
    wanting = [value for value in theirs.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(wanting, lr=recipe.settings.learning_rate, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(theirs(blobs(0).x), blobs(0).y).backward()
        optimizer.step()
    torch.testing.assert_close(weights(ours.model), weights(theirs), rtol=1e-4, atol=1e-6)


def test_nothing_is_released_of_parameters_that_want_no_gradient() -> None:
    module, released = gradients_of(on_a_backbone(), [blobs(0)], Streams((0,)))
    assert list(released) == ["again.weight", "head.weight", "head.bias"]
    assert list(module.state_dict()) == list(Backbone().state_dict())


def test_an_architecture_with_nothing_to_train_is_refused() -> None:
    recipe = plain_training(lambda: build().requires_grad_(False), TrainingSettings(), stackable=True)
    with pytest.raises(ValueError) as error:
        fitted(recipe)
    assert str(error.value) == "the architecture has no parameter that wants a gradient: there is nothing to train"


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.two.weight = self.one.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.two(torch.tanh(self.one(x)))))


@pytest.mark.parametrize("stackable", [True, False])
def test_shared_weights_are_trained_as_one(stackable: bool) -> None:
    settings = TrainingSettings(epochs=3, batch_size=50, optimizer="sgd", learning_rate=0.05)
    for index, ours in enumerate(fitted(plain_training(Tied, settings, stackable=stackable), models=2)):
        with isolated("test", index, "init", "model"):
            theirs = Tied()
        optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=settings.momentum)
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(theirs(blobs(index).x), blobs(index).y).backward()
            optimizer.step()
        torch.testing.assert_close(weights(ours.model), weights(theirs), rtol=1e-4, atol=1e-6)


def test_data_of_different_sizes_train_one_after_the_other() -> None:
    rows = [blobs(0), blobs(1, n=37)]
    models = fit_by_steps(training(), rows, rows, [Streams((0,)), Streams((1,))])
    (alone,) = fit_by_steps(training(), rows[1:], rows[1:], [Streams((1,))])
    assert torch.equal(weights(models[1].model), weights(alone.model))


def test_no_gradient_flows_through_the_frozen_networks() -> None:
    """A loss of the frozen model alone moves nothing, stacked or not."""

    def frozen_only(call: Call, frozen: Call, batch: Batch) -> torch.Tensor:
        return nn.functional.cross_entropy(frozen(batch.x), batch.y, reduction="none") + 0 * call(batch.x).sum(1)

    for stackable in (True, False):
        recipe = training(epochs=2, optimizer="sgd", momentum=0.0, stackable=stackable)
        still = fitted(replace(recipe, objective=frozen_only), models=2)
        start = fitted(replace(recipe, settings=recipe.settings.model_copy(update={"learning_rate": 1e-12})), models=2)
        for one, other in zip(still, start, strict=True):
            torch.testing.assert_close(weights(one.model), weights(other.model), rtol=0, atol=1e-9)
