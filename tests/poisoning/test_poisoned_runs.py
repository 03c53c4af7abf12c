"""Poisoning from end to end: what a run trains, shares and keeps, and what its cells say."""

from collections import Counter

import pytest
import torch

from amulet_core import run
from amulet_core.configuration.reading import resolve
from amulet_core.discovery.registry import discover
from amulet_core.games.poisoning import PoisoningAnswer, PoisoningResult
from amulet_core.performing.ground import lay_ground, load_data
from amulet_core.performing.perform import perform
from amulet_core.planning.facts import facts_of
from amulet_core.planning.jobs import FitWork, PoisonedPlayWork, PoisonWork
from amulet_core.planning.layout import layout_of
from amulet_core.planning.plan import plan

VALUES = (
    "attack_success_rate",
    "success_rate_without_poison",
    "clean_accuracy",
    "balanced_accuracy",
    "accuracy_without_poison",
    "accuracy_under_trigger",
    "changed_inputs",
)


def config(**changes):
    return {
        "dataset": "digits",
        "training": {"epochs": 12},
        "data": {"train": 300, "val": 150, "test": 250, "aux": 50},
        "defenses": [],
        "risks": {"poisoning": poisoning()},
        "seeds": 2,
    } | changes


def poisoning(attacks=("badnets",), **threat):
    return {"attacks": list(attacks), "threat": {"rate": 0.05, "rows": 200} | threat}


def planned(raw):
    request = resolve(raw, discover())
    data = load_data(request)
    return plan(request, facts_of(data)), lay_ground(data, request, layout_of(request, data.schema))


def done(raw):
    """Do all jobs of a plan in this process; return every job with its output."""
    found, ground = planned(raw)
    outputs = {}
    for key, job in found.jobs.items():
        outputs[key] = perform(job, [outputs[need] for need in job.needs], ground, threads=1)
    return [(job, outputs[key]) for key, job in found.jobs.items()]


def outputs(doing, kind):
    return [(job, output) for job, output in doing if isinstance(job.work, kind)]


def estimates(results, name, row="none", attack="builtin/badnets"):
    """Return a value of all seeds of a row."""
    frame = results.frame.query("risk == 'poisoning' and value == @name and row == @row and attack == @attack")
    return frame.sort_values("seed").estimate.tolist()


def outcome(results):
    """Return all that two runs of one request must have in common."""
    return results.model_dump(mode="json", exclude={"provenance", "config"})


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Run badnets against two defenses on digits, once for all tests of it."""
    cache = tmp_path_factory.mktemp("digits") / "cache"
    raw = config(
        defenses=["outlier-removal", "fine-pruning"],
        risks={"poisoning": poisoning(), "membership-inference": {"attacks": ["loss-threshold"]}},
    )
    return raw, cache, run(raw, cache=cache)


def test_a_backdoor_is_learnt_on_digits_and_outlier_removal_takes_it_out_at_little_cost(digits):
    results = digits[2]
    assert {cell.status for cell in results.cells} == {"ok"}
    assert min(estimates(results, "attack_success_rate")) > 0.9
    assert max(estimates(results, "success_rate_without_poison")) < 0.05
    assert max(estimates(results, "attack_success_rate", "outlier-removal")) < 0.3
    for name in ("clean_accuracy", "accuracy_without_poison"):
        for own, cost in (("outlier-removal", 0.08), ("fine-pruning", 0.05)):
            before, after = estimates(results, name), estimates(results, name, own)
            assert min(b - a for a, b in zip(before, after, strict=True)) < cost, (name, own)
    assert estimates(results, "changed_inputs") == [1.0, 1.0]


def test_success_is_asked_of_rows_of_other_classes_alone(digits):
    cells = digits[2].frame.query("risk == 'poisoning' and row == 'none' and seed == 0").set_index("value").n
    assert cells["clean_accuracy"] == cells["changed_inputs"] == 200
    assert 170 <= cells["attack_success_rate"] < 190


def test_the_accuracy_without_poison_is_that_of_the_utility_column_s_victims(digits):
    """Every defense is also measured on a clean model: the very one of the other columns."""
    doing = done(config(defenses=["outlier-removal"], seeds=1))
    for job, _ in outputs(doing, PoisonedPlayWork):
        clean = [other for other, _ in doing if other.key == job.needs[2]]
        assert [one.work.poisoned for one in clean] == [False]
        others = [one for one, _ in doing if job.needs[2] in one.needs and one is not job]
        assert any(one.label.startswith("utility on ") for one in others)


def test_a_second_run_does_nothing_again_and_says_the_same(digits):
    raw, cache, first = digits
    again = run(raw, cache=cache)
    assert again.provenance.timings == {}
    assert outcome(again) == outcome(first)


def test_another_run_gives_the_same_bits(digits, tmp_path):
    raw = digits[0] | {"defenses": ["outlier-removal"]}
    known = {(c.row, c.risk, c.attack, c.seed): c for c in digits[2].cells}
    for cell in run(raw, cache=tmp_path / "fresh").cells:
        assert cell == known[cell.row, cell.risk, cell.attack, cell.seed]


def test_what_processes_find_is_what_inline_finds(digits, tmp_path):
    raw = digits[0] | {"executor": {"name": "processes", "params": {"workers": 2}}}
    assert outcome(run(raw, cache=tmp_path / "workers")) == outcome(digits[2])


def test_the_evidence_in_the_provenance_is_of_the_victim_that_all_games_share(digits):
    raw, cache, results = digits
    found = results.provenance.evidence["outlier-removal"]["outlier-removal"]
    assert (found["rows"], found["removed"], sum(found["by_class"].values())) == (300, 30, 30)
    assert run(raw | {"risks": ["utility"]}, cache=cache).provenance.evidence == results.provenance.evidence
    poisoned = run(raw, cache=cache).provenance.evidence  # all known now: in the plan's order, poisoning first
    assert poisoned == results.provenance.evidence


def test_removed_rows_stay_members(digits):
    """Candidates and members are those of the rows handed to the recipe, whatever it drops."""
    frame = digits[2].frame.query("risk == 'membership-inference' and value == 'auc'")
    assert frame.groupby("seed").n.nunique().tolist() == [1, 1]
    assert set(frame.n) == {600}


def test_every_row_s_victims_train_on_the_same_poison():
    found, _ = planned(config(defenses=["outlier-removal", "fine-pruning", "adversarial-training"]))
    kinds = Counter(type(job.work).__name__ for job in found.jobs.values())
    # 5 rows, the placebo among them, and 2 seeds whose victims train as one stack.
    assert kinds["PoisonWork"] == 2
    assert kinds["PoisonedPlayWork"] == 5 * 2
    fits = [job for job in found.jobs.values() if isinstance(job.work, FitWork)]
    assert [job.work.poisoned for job in fits].count(True) == [job.work.poisoned for job in fits].count(False) == 5
    poisons = {key for key, job in found.jobs.items() if isinstance(job.work, PoisonWork)}
    assert all(set(job.needs) == poisons for job in fits if job.work.poisoned)


@pytest.mark.parametrize("stack", [2, 16])
def test_at_rate_0_the_poisoned_model_is_the_clean_one_and_so_is_its_success(stack):
    doing = done(config(defenses=["outlier-removal"], risks={"poisoning": poisoning(rate=0)}, seeds=3, stack=stack))
    assert not [job.label for job, _ in outputs(doing, FitWork) if "poisoned" in job.label]
    plays = outputs(doing, PoisonedPlayWork)
    assert len(plays) == 9
    for _, played in plays:
        result = played.result
        assert isinstance(result, PoisoningResult)
        assert (result.poisoned, result.changed.all()) == (0, True)
        assert torch.equal(result.triggered, result.clean_triggered)
        assert torch.equal(result.plain, result.clean_plain)


def test_the_core_joins_what_both_models_say_of_the_same_inputs():
    doing = done(config(seeds=1))
    answers = {job.key: output.answer for job, output in outputs(doing, PoisonWork)}
    for job, played in outputs(doing, PoisonedPlayWork):
        answer: PoisoningAnswer = answers[job.needs[0]]
        models = [next(output for other, output in doing if other.key == need) for need in job.needs[1:]]
        poisoned, clean = (one.fitted[job.work.victim].model for one in models)
        assert torch.equal(played.result.triggered, poisoned(answer.triggered).argmax(1))
        assert torch.equal(played.result.clean_triggered, clean(answer.triggered).argmax(1))
        assert (played.result.poisoned, played.result.rows) == (15, 300)


def test_a_trigger_that_changes_no_input_is_warned_of_and_blocks_nothing_else():
    """A black patch in the corner of digits, which is black there already."""
    attack = {"name": "badnets", "params": {"size": 1, "position": "top-left", "value": 0}}
    results = run(config(seeds=1, risks={"poisoning": poisoning([attack])}))
    text = "the trigger changes none of the 200 test inputs: no success rate can show a backdoor"
    cells = [cell for cell in results.cells if cell.risk == "poisoning"]
    assert [cell.warnings for cell in cells] == [(text,), (text,)]
    assert estimates(results, "changed_inputs") == [0.0]
    (entry,) = [entry for entry in results.entries if (entry.row, entry.risk) == ("placebo", "poisoning")]
    assert entry.warnings == (text,)


def test_an_attack_without_a_trigger_is_not_warned_of():
    results = run(config(seeds=1, risks={"poisoning": poisoning(["label-flip"], rate=0.3)}))
    cells = [cell for cell in results.cells if cell.risk == "poisoning"]
    assert [cell.warnings for cell in cells] == [(), ()]
    (measured,) = cells[0].measured
    for name in ("changed_inputs", "accuracy_under_trigger"):
        assert measured.scores[name].reason == "the attack has no trigger"
    poisoned, clean = (measured.scores[f"{name}"].estimate for name in ("clean_accuracy", "accuracy_without_poison"))
    assert poisoned < clean


def test_flips_of_one_class_are_judged_on_the_rows_of_that_class():
    flips = {"name": "label-flip", "params": {"source": "3"}}
    doing = done(config(seeds=1, training={"epochs": 1}, risks={"poisoning": poisoning([flips], rate=0.02)}))
    for _, played in outputs(doing, PoisonedPlayWork):
        found = played.measured[0].scores["attack_success_rate"]
        assert played.result.source == 3
        assert found.n == int((played.result.y == 3).sum())
        assert 10 <= found.n <= 30


def test_random_flips_aim_at_no_class_and_have_no_success_rate():
    """That the target is not answered more often is no failure of theirs, and no merit of a defense."""
    random = {"name": "label-flip", "params": {"mode": "random"}}
    raw = config(seeds=1, training={"epochs": 1}, risks={"poisoning": poisoning([random])})
    reason = "the attack aims at no class: read what it does to clean_accuracy"
    results = run(raw)
    (found,) = [one for one in results.entries if (one.row, one.risk) == ("none", "poisoning")]
    assert (found.values, found.missing, found.degenerate) == ((), f"withheld: {reason}", "")
    assert len(estimates(results, "clean_accuracy", attack="builtin/label-flip")) == 1


def test_adult_is_backdoored_through_what_may_be_changed_and_outlier_removal_helps():
    raw = config(
        dataset="adult",
        data={"train": 600, "val": 200, "test": 400, "aux": 50},
        defenses=["outlier-removal"],
        seeds=1,
        risks={"poisoning": poisoning(target=">50K")},
    )
    results = run(raw)
    assert {cell.status for cell in results.cells} == {"ok"}
    undefended, defended = (estimates(results, VALUES[0], row)[0] for row in ("none", "outlier-removal"))
    assert undefended > 0.9
    assert estimates(results, "changed_inputs") == [1.0]
    assert defended <= undefended


def test_blending_is_skipped_on_tables_with_the_reason():
    raw = config(
        dataset="adult",
        training={"epochs": 1},
        data={"train": 100, "val": 20, "test": 100, "aux": 20},
        seeds=1,
        risks={"poisoning": poisoning(["badnets", "blended"])},
    )
    cells = [cell for cell in run(raw).cells if cell.attack == "builtin/blended"]
    assert {(cell.status, cell.reason) for cell in cells} == {
        ("skipped", "not applicable: builtin/blended works on image data, this is tabular")
    }


def test_a_trigger_larger_than_the_image_is_skipped_with_the_reason_before_anything_is_trained():
    attack = {"name": "badnets", "params": {"size": 9}}
    found, _ = planned(config(seeds=1, risks={"poisoning": poisoning([attack])}))
    assert not [job for job in found.jobs.values() if isinstance(job.work, PoisonWork | PoisonedPlayWork)]
    assert {cell.skipped for cell in found.cells if cell.risk == "poisoning"} == {
        "not applicable: builtin/badnets: the trigger is 9x9 pixels, the images are 8x8: set size to 8 or less"
    }


def test_outlier_removal_and_adversarial_training_chain_in_a_run():
    """Both leave their mark: evidence of the one, and other predictions than the one alone gives."""
    raw = config(defenses=["outlier-removal", ["outlier-removal", "adversarial-training"]], seeds=1)
    results = run(raw)
    assert {cell.status for cell in results.cells} == {"ok"}
    label = "outlier-removal + adversarial-training"
    assert results.provenance.evidence[label]["outlier-removal"]["removed"] == 30
    alone, both = ([estimates(results, name, row) for name in VALUES] for row in ("outlier-removal", label))
    assert alone != both


def test_beside_an_account_of_privacy_a_removal_must_be_declared():
    from amulet_core.errors import RequestError

    with pytest.raises(RequestError) as error:
        resolve(config(defenses=[["outlier-removal", "dp-sgd"]]), discover())
    assert len(error.value.problems) == 1
    assert error.value.problems[0].endswith(
        "builtin/dp-sgd accounts for privacy, but outlier-removal sees private rows outside its account: leave them "
        "out, or declare that epsilon holds only on condition of them: params.conditional_on: [outlier-removal]"
    )
