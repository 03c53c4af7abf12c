"""Outputs come back from their bytes bit by bit: models, what they said, and what attacks gave."""

import pytest
import torch

from amulet_core.configuration.reading import resolve
from amulet_core.configuration.request import load_all
from amulet_core.performing import codec
from amulet_core.performing.codec import pack, unpack
from amulet_core.performing.perform import perform
from amulet_core.planning.jobs import AttackWork, BankWork, FitWork, PoisonedPlayWork, PoisonWork, WorstWork
from amulet_core.running.conduct import prepared
from amulet_core.storage.store import Store, Stored

LIRA = {"name": "lira", "params": {"shadow_models": 2, "variance": "shared"}}
FLIPS = [{"name": "label-flip", "params": params} for params in ({"mode": "random"}, {}, {"source": "yes"})]
EVERY = {
    "evasion": {"attacks": ["random-noise"]},
    "membership-inference": {"attacks": [LIRA]},
    "utility": {},
}


@pytest.fixture
def performed(toy, config, tmp_path):
    """Return a function that does all jobs of a configuration, and yields each with its output and the ground."""

    def done(**changes):
        request = resolve(config(defenses=["toy/keep"], **changes), toy())
        load_all(request)
        ready, outputs = prepared(request, Store(tmp_path / "cache")), {}
        for key, job in ready.plan.jobs.items():
            outputs[key] = perform(job, [outputs[need] for need in job.needs], ready.ground, threads=1)
            yield job, outputs[key], ready.ground

    return done


def through_a_store(job, output, ground, folder):
    store = Store(folder)
    store.put(job.key, pack(job, output, ground).entry)
    return unpack(job, store.get(job.key), ground)


def same(one, other):
    """Say whether two values are equal bit by bit: tensors with their types too."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    return one == other and type(one) is type(other)


IMAGES = {"dataset": {"name": "digits"}, "model": "cnn", "data": {"train": 50, "val": 10, "test": 60, "aux": 20}}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"risks": EVERY}, {FitWork, BankWork, AttackWork}),
        ({"model": "mlp", "risks": EVERY}, {FitWork, BankWork, AttackWork}),
        (IMAGES | {"risks": EVERY}, {FitWork, BankWork, AttackWork}),
        *(
            ({"risks": {"poisoning": {"attacks": [flip]}}}, {FitWork, PoisonWork, PoisonedPlayWork, AttackWork})
            for flip in FLIPS
        ),
        ({"risks": {"evasion": {"attacks": ["toy/nudge", "toy/shove"]}}}, {FitWork, AttackWork, WorstWork}),
    ],
    ids=["linear", "mlp", "cnn", "random flips", "targeted flips", "flips of one class", "worst case"],
)
def test_every_output_comes_back_bit_by_bit(performed, tmp_path, changes, kinds):
    seen = set()
    for job, output, ground in performed(**changes):
        found = through_a_store(job, output, ground, tmp_path / "store")
        seen.add(type(job.work))
        match job.work:
            case FitWork():
                assert found.fitted.keys() == output.fitted.keys()
                for place, fitted in output.fitted.items():
                    twin = found.fitted[place]
                    assert twin.evidence == fitted.evidence
                    assert not twin.model.training
                    ours, theirs = fitted.model.state_dict(), twin.model.state_dict()
                    assert ours.keys() == theirs.keys()
                    assert all(same(ours[name], theirs[name]) for name in ours)
            case BankWork():
                assert found.logits.keys() == output.logits.keys()
                for place, pair in output.logits.items():
                    assert [same(*both) for both in zip(pair, found.logits[place], strict=True)] == [True, True]
            case PoisonWork():
                fields = type(output.answer).model_fields
                assert found.place == output.place
                assert all(same(getattr(output.answer, name), getattr(found.answer, name)) for name in fields)
            case _:
                assert (found.measured, found.warnings) == (output.measured, output.warnings)
                assert dict(found.evidence) == dict(output.evidence)
                if job.joined:
                    fields = type(output.result).model_fields
                    assert type(found.result) is type(output.result)
                    assert all(same(getattr(output.result, name), getattr(found.result, name)) for name in fields)
    assert seen == kinds


def test_models_that_share_an_architecture_do_not_share_tensors(performed, tmp_path):
    job, output, ground = next(performed())
    first, second = list(through_a_store(job, output, ground, tmp_path / "store").fitted.values())[:2]
    with torch.no_grad():
        next(first.model.parameters()).zero_()
    assert next(second.model.parameters()).abs().sum() > 0


def test_packing_and_unpacking_draw_nothing(performed):
    job, output, ground = next(performed(model="mlp"))
    before = torch.get_rng_state()
    unpack(job, pack(job, output, ground).entry, ground)
    assert torch.equal(torch.get_rng_state(), before)


def halved(module, given, taken):
    return (given[0] / 2,)


def zeroed(module, given, taken):
    return (given[0] * 0,)


@pytest.mark.parametrize(
    ("hook", "unkept"),
    [
        (halved, ""),
        (
            zeroed,
            "its model cannot be kept in the cache: its modules, their settings or their hooks are not those of its "
            "architecture",
        ),
    ],
)
def test_hooks_are_those_of_the_architecture_where_their_functions_are(performed, monkeypatch, hook, unkept):
    """The twin has a hook as well: models that answer alike differ in their gradients alone."""
    job, output, ground = next(performed())
    twin = codec._twin

    def hooked(*given):
        model = twin(*given)
        model.register_full_backward_hook(halved)
        return model

    monkeypatch.setattr(codec, "_twin", hooked)
    for fitted in output.fitted.values():
        fitted.model.register_full_backward_hook(hook)
    assert pack(job, output, ground).unkept == unkept


@pytest.mark.parametrize("name", ["torch", "view"])
def test_only_a_result_is_made_from_an_entry(performed, name):
    job, output, ground = next(one for one in performed() if one[0].joined)
    entry = pack(job, output, ground).entry
    wrong = Stored({**entry.record, "result": {**entry.record["result"], "type": name}}, entry.tensors)
    with pytest.raises(TypeError) as error:
        unpack(job, wrong, ground)
    assert str(error.value) == f"{name} is no result"


def test_an_output_of_no_known_type_is_refused(performed):
    job, _output, ground = next(performed())
    with pytest.raises(TypeError) as error:
        pack(job, {"a": 1}, ground)
    assert str(error.value) == "a job gave dict"
