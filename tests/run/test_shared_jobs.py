"""Which jobs are shared: by rows, by plans that ask for more beside them, and never by two that would do other things."""

from dataclasses import replace

import pytest
from keyed import CONFIG, FACTS, among, anew, asked, changed_registry, keys, known_code, use

from amulet_core.planning.job_specs import JobSpecs
from amulet_core.planning.jobs import (
    AttackWork,
    BankWork,
    IndependentWork,
    Job,
    PoisonedPlayWork,
    Recipe,
    TheftWork,
    VerificationPlayWork,
)
from amulet_core.planning.plan import plan
from amulet_core.settings import TrainingSettings


@pytest.fixture(autouse=True)
def _known_code(monkeypatch):
    known_code(monkeypatch)


@pytest.fixture(scope="module")
def before():
    with pytest.MonkeyPatch.context() as patched:
        known_code(patched)
        return keys(asked())


MORE = {
    "another row": ({"defenses": [*CONFIG["defenses"], use("ibp")]}, []),
    "a row more to audit": (
        {"defenses": [*CONFIG["defenses"], {"label": "also", "chain": [use("dp-sgd", epsilon=4)]}]},
        ["AuditPlay/*by loss-threshold*"],  # whose lower bounds are corrected for how many there are
    ),
    "another attack that is joined": ({"evasion": [use("apgd")]}, ["Worst/evasion/*"]),
    "another thief": ({"ownership-verification": [use("equation-solving")]}, []),
    "another attack": ({"membership-inference": [use("gap")]}, []),
    "another attack, which wants more shadow models": (
        {"membership-inference": [use("rmia", shadow_models=8)]},
        ["*"],
    ),
    "another audit": ({"privacy-audit": [use("gap")]}, ["AuditPlay/*"]),
    "another poisoner": ({"poisoning": [use("blended")]}, []),
}


@pytest.mark.parametrize(("more", "patterns"), MORE.values(), ids=MORE)
def test_what_is_asked_for_beside_it_leaves_a_job_alone(before, more, patterns):
    risks = {
        risk: given | {"attacks": [*given.get("attacks", ()), *more.get(risk, ())]} if risk in more else given
        for risk, given in CONFIG["risks"].items()
    }
    config = {**CONFIG, "defenses": more.get("defenses", CONFIG["defenses"]), "risks": risks}
    assert anew(before, keys(asked(config=config))) == among(before, patterns)


@pytest.mark.parametrize(
    ("design", "seeds", "patterns"),
    [
        ("crossed", 3, ["AuditPlay/*by loss-threshold*"]),  # whose lower bounds are corrected for how many there are
        (
            "crossed",
            4,
            ["*"],
        ),  # the fourth needs a pair of models more than the three of the lab, and all are drawn anew
        ("disjoint", 3, ["*"]),  # the rows are dealt anew to more blocks
    ],
)
def test_more_seeds_leave_a_job_alone_where_its_rows_stay(design, seeds, patterns):
    one, more = (keys(asked("stack=1", f"data.design={design}", f"seeds={count}")) for count in (1, seeds))
    assert anew(one, more) == among(one, patterns)


@pytest.mark.parametrize(("design", "rate"), [("crossed", 0.1), ("disjoint", 0)])
def test_jobs_with_one_key_would_do_the_same(monkeypatch, design, rate):
    """Of every two jobs of a plan, though one of them never comes into it."""
    made = {}

    def add(specs, job):
        made.setdefault(job.key, []).append(job)
        return plain(specs, job)

    plain = JobSpecs.add
    monkeypatch.setattr(JobSpecs, "add", add)
    chains = (["label-smoothing", "output-rounding"], ["dp-sgd", "output-rounding"], ["watermark", "output-rounding"])
    defenses = [*CONFIG["defenses"], *([use(name) for name in chain] for chain in chains)]
    settings = ["seeds=2", "stack=3", f"data.design={design}", f"risks.poisoning.threat.rate={rate}"]
    plan(asked(*settings, config={**CONFIG, "defenses": defenses}), FACTS)
    assert sum(len(alike) > 1 for alike in made.values()) > 100
    for alike in made.values():
        first, *others = (_done(job) for job in alike)
        assert all(other == first for other in others), {job.label for job in alike}


def _done(job):
    """Return a job's work without what makes no difference to it."""
    work = job.work
    if isinstance(work, TheftWork):
        work = replace(work, risk=None)  # a theft is what it is, whichever game it is for
    # A defense that only verifies changes no model, and nothing released of one; an owner looks behind all wrappers.
    verifying, scores = isinstance(work, VerificationPlayWork | IndependentWork), isinstance(work, IndependentWork)
    for name in {"recipe", "own"} & vars(work).keys():
        recipe = getattr(work, name)
        chain = [(one, one.entry.component) for one in recipe.chain]
        kept = tuple(
            one
            for one, defense in chain
            if (verifying and defense.verify)
            or (defense.stages and not (scores and set(defense.stages) == {"inference"}))
        )
        work = replace(work, **{name: replace(recipe, chain=kept)})
    attack = job.label.split(" on ")[0] if isinstance(work, PoisonedPlayWork) else ""  # which only its inputs tell
    return type(work), work, attack


def test_a_certificate_of_a_wrapper_which_no_training_knows_of_is_its_own():
    known = changed_registry("randomized-smoothing", stages={"inference": "made.up:wrapped"})
    one, other = (keys(asked(f"defenses.3.params.sigma={sigma}", known=known)) for sigma in (0.25, 0.5))
    assert anew(one, other) == among(one, ["*randomized-smoothing*"])
    assert among(one, ["Certify/*randomized-smoothing*"])


def test_a_key_tells_kinds_settings_and_needs_of_jobs_apart():
    bank = BankWork(Recipe(asked().model, (), TrainingSettings()))
    some = [
        Job(bank, "", {"a": 1}, ("need",)),
        Job(AttackWork(bank.recipe, asked().risks[0], None, 0, 0, None, (), False), "", {"a": 1}, ("need",)),
        Job(bank, "", {"a": 2}, ("need",)),
        Job(bank, "", {"a": 1}, ("other",)),
        Job(bank, "", {"a": 1}, ("need", "other")),
        Job(bank, "", {"a": 1}, ("other", "need")),
    ]
    assert len({job.key for job in some}) == len(some)
    assert Job(bank, "another label", {"a": 1}, ("need",)).key == some[0].key
