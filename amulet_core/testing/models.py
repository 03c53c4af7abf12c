"""Conformance of architectures: logits, stacking, and weights that are a function of the seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from amulet_core.components import Model
from amulet_core.configuration.request import Use
from amulet_core.errors import cause_of
from amulet_core.modules import Classifier
from amulet_core.testing.clipping import CLIPPABLE, clips
from amulet_core.testing.findings import ConformanceCheck, ConformanceError, NotCheckedError, conformance
from amulet_core.testing.manners import Trial, manners, trial, working
from amulet_core.testing.toys import SETTINGS, Toy, task_rows
from amulet_core.training.fit import statistics_of_batches
from amulet_core.training.learning import fit_by_itself
from amulet_core.training.parts import plain_training
from amulet_core.training.values import Streams
from amulet_core.victims import logits_of

LOGITS = "its logits are finite, one for each class"
NO_BATCH_NORM = "it has no BatchNorm"
ROWS = 6


def model_checks(component: str, use: Use, toys: Callable[[], Sequence[Toy]]) -> tuple[ConformanceCheck, ...]:
    """Return the checks of an architecture."""
    model = cast("Model", use.entry.component)

    def prepare(toy: Toy) -> tuple[Callable[[], Any], Mapping[str, Any]]:
        return partial(use.entry.load(), use.params, toy.schema), {}

    @cache
    def trials() -> list[Trial]:
        use.entry.load()
        return [trial(toy.label, partial(prepare, toy)) for toy in toys()]

    def check(name: str, why: str, examine: Callable[[Toy, Trial], None], *, fails_from: str = "") -> ConformanceCheck:
        def run() -> None:
            working(trials)
            for toy, one in zip(toys(), trials(), strict=True):
                examine(toy, one)

        return conformance(component, name=name, why=why, examine=run, fails_from=fails_from)

    stacking = check("it works as a stack", "shadow models are trained as one stack of parameters", _stacks)
    showing = check(
        "it shows its hidden features, as produces says",
        "defenses that require features read them, and write the head that stands on them",
        _shows_features,
    )
    learning = check(
        "it learns by itself, the same from the same seed, and is its tensors",
        "trains_itself puts it in the place of the training loop, and the cache keeps tensors alone",
        partial(_learns, use),
    )
    clipping = check(
        CLIPPABLE,
        "dp-sgd counts a row's gradient where layers are called; what it does not see is not clipped: epsilon is false",
        _clips,
        fails_from="0.2",
    )
    return (
        *manners(component, trials, inputs=False),
        check(LOGITS, "everything else reads them", _gives_logits),
        check(
            NO_BATCH_NORM,
            "statistics of a batch mix its rows: private training rejects them, and stacks cannot hold them",
            _no_batch_norm,
        ),
        check(
            "another seed gives other weights", "all repetitions would start from the same weights", _follows_the_seed
        ),
        *((stacking,) if model.stackable else ()),
        *((showing,) if "features" in model.produces else ()),
        *((learning,) if model.trains_itself else ()),
        *((clipping,) if model.clippable and not model.trains_itself else ()),
        *(
            (check("its logits are differentiable in its input", "attacks follow gradients there", _differentiable),)
            if model.differentiable
            else ()
        ),
    )


def _gives_logits(toy: Toy, one: Trial) -> None:
    problem = _logits_problem(toy, one)
    if problem:
        raise ConformanceError(
            found=f"on {toy.label} {problem}",
            expected=f"finite float32 logits [n, {len(toy.schema.classes)}]",
            fix="end with a linear layer of len(schema.classes) outputs, and read the row's shape from schema.shape",
        )


def _logits_problem(toy: Toy, one: Trial) -> str:
    model = one.first.value
    if not isinstance(model, nn.Module):
        return f"it built {type(model).__name__}, not a torch.nn.Module"
    try:
        logits = logits_of(model, _inputs(toy))
    except Exception as error:  # noqa: BLE001 - whatever an architecture raises is what this check reports
        return f"asking it raised {type(error).__name__}: {error}"
    expected = (ROWS, len(toy.schema.classes))
    wrong = tuple(logits.shape) != expected or logits.dtype != torch.float32
    return f"its logits for {ROWS} rows are {logits.dtype} {list(logits.shape)}" if wrong else ""


def _built(toy: Toy, one: Trial) -> nn.Module:
    if _logits_problem(toy, one):
        raise NotCheckedError(f'not checked, because "{LOGITS}" fails')
    model: nn.Module = one.first.value
    return model


def _inputs(toy: Toy) -> Tensor:
    return task_rows(toy, rows=ROWS, key=("model",)).x


def _clips(toy: Toy, one: Trial) -> None:
    model, rows = _built(toy, one), task_rows(toy, rows=ROWS, key=("model",))
    if statistics_of_batches(model):
        raise NotCheckedError(f'not checked, because "{NO_BATCH_NORM}" fails')
    clips(model, rows.x, rows.y, where=toy.label)


def _no_batch_norm(toy: Toy, one: Trial) -> None:
    model = _built(toy, one)
    found = statistics_of_batches(model)
    if found is not None:
        raise ConformanceError(found=f"on {toy.label} it has {found[0]}", expected="none", fix=found[1])


def _follows_the_seed(toy: Toy, one: Trial) -> None:
    first, other = _built(toy, one), one.run("another key", 1).value
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True)]
    if same and all(same):
        raise ConformanceError(
            found=f"on {toy.label} two seeds gave equal weights",
            expected="other weights",
            fix="draw the weights from torch's global generator, as its layers do, and do not seed it",
        )


def _stacks(toy: Toy, one: Trial) -> None:
    models, x = [_built(toy, one), one.run("another key", 1).value], _inputs(toy)
    fix = (
        "leave out what vmap cannot run (draws such as dropout's, in-place changes, .item(), data-dependent shapes), "
        "or set stackable=False"
    )
    expected = "the logits of each model alone, as stackable=True promises"
    for training in (True, False):  # some layers act in one mode only
        try:
            off = _off_in_a_stack([model.train(training) for model in models], x)
        except Exception as error:
            found = f"on {toy.label} as a stack it raised {cause_of(error).partition('. ')[0]}"
            raise ConformanceError(found=found, expected=expected, fix=fix) from error
        if off:
            found = f"on {toy.label} the logits of a stack are off by {off:.2g}"
            raise ConformanceError(found=found, expected=expected, fix=fix)


def _off_in_a_stack(models: list[nn.Module], x: Tensor) -> float:
    """Return by how much logits of a stack are off those of each model alone; 0 where they agree up to rounding."""
    params, buffers = stack_module_state(models)
    with torch.no_grad():
        together = vmap(lambda p, b: functional_call(models[0], (p, b), (x,)))(params, buffers)
        alone = torch.stack([model(x) for model in models])
    same = torch.allclose(alone, together, rtol=1e-4, atol=1e-5)
    return 0.0 if same else float((alone - together).abs().max())


def _shows_features(toy: Toy, one: Trial) -> None:
    model, x = _built(toy, one).eval(), _inputs(toy)
    problem = _features_problem(model, x)
    if problem:
        raise ConformanceError(
            found=f"on {toy.label} {problem}",
            expected="an amulet_core.modules.Classifier, whose logits are head(features(x))",
            fix='derive the architecture from Classifier, or leave "features" out of produces',
        )


def _features_problem(model: nn.Module, x: Tensor) -> str:
    if not isinstance(model, Classifier):
        return f"it is a {type(model).__name__}, which shows no features"
    with torch.no_grad():
        off = (model.head(model.features(x)) - model(x)).abs().max()
    return f"its logits are off by {float(off):.2g} from the head of its features" if off > 1e-4 else ""


def _learns(use: Use, toy: Toy, one: Trial) -> None:
    _built(toy, one)
    rows, x = task_rows(toy, rows=60, key=("model",)), _inputs(toy)
    training = replace(
        plain_training(lambda: use.entry.load()(use.params, toy.schema), SETTINGS, stackable=False), fit=fit_by_itself
    )
    try:
        models = [training.fit(training, [rows], [rows], [Streams(("learn",))])[0].model for _ in range(2)]
        twin = use.entry.load()(use.params, toy.schema)
        twin.load_state_dict(models[0].state_dict())
        answers = [logits_of(model, x) for model in (*models, twin)]
    except Exception as error:
        raise ConformanceError(
            found=f"on {toy.label} it raised {cause_of(error).rstrip('.')}",
            expected="that learn(data, val) fits it, and that load_state_dict brings another to the same state",
            fix="register what is learnt as buffers, and let load_state_dict make room for them",
        ) from error
    if not torch.equal(answers[0], answers[1]) or not torch.equal(answers[0], answers[2]):
        what = "a second time" if not torch.equal(answers[0], answers[1]) else "from its tensors"
        raise ConformanceError(
            found=f"on {toy.label} its logits {what} are others",
            expected="equal bits",
            fix="draw from torch's global generator only, and keep all that is learnt in the state dict",
        )


def _differentiable(toy: Toy, one: Trial) -> None:
    model, x = _built(toy, one).eval(), _inputs(toy).requires_grad_()
    logits = model(x)
    gradient = torch.autograd.grad(logits[:, 0].sum(), x, allow_unused=True)[0] if logits.requires_grad else None
    if gradient is None or not torch.isfinite(gradient).all() or not gradient.any():
        raise ConformanceError(
            found=f"on {toy.label} the gradient of its logits in its input is "
            + ("missing" if gradient is None else "zero or not finite"),
            expected="a gradient, as differentiable=True promises",
            fix="keep the input in the graph (no detach, no rounding), or set differentiable=False",
        )
