"""A job's key holds what its output depends on: which jobs are done anew after which change, and which are not."""

import pytest
from keyed import FACTS, RISKS, among, anew, asked, changed_registry, keys, known_code

from amulet_core.games.table import GAMES
from amulet_core.planning import job_specs
from amulet_core.settings import TrainingSettings


@pytest.fixture(autouse=True)
def _known_code(monkeypatch):
    known_code(monkeypatch)


@pytest.fixture(scope="module")
def before():
    with pytest.MonkeyPatch.context() as patched:
        known_code(patched)
        return keys(asked())


ALL = ["*"]
TRAINED = ["*", "-Poison/*"]
"""All but the adversary that changes rows before anything is trained."""
VERIFIED = ["VerificationPlay/*", "Worst/ownership-verification/*"]
VERIFIED_BY_INFERENCE = ["*dataset-inference*", "-Fit/*", "-Theft/*"]
TRAINING = {
    "epochs": 3,
    "batch_size": 7,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.5,
    "weight_decay": 0.1,
    "schedule": "cosine",
    "patience": 3,
}
SETTINGS = {
    "name=other": [],
    "executor=processes": [],
    "reporters=[]": [],
    "members_alone=false": [],
    "dataset.params.sensitive_in_x=true": ALL,
    "model.params.capacity=m2": TRAINED,
    **{f"training.{name}={value}": TRAINED for name, value in TRAINING.items()},
    **{f"data.{part}=399": ALL for part in ("train", "test", "val")},
    "data.aux=900": ALL,
    "data.design=disjoint": ALL,
    "root_seed=1": ALL,
    "threads_per_job=2": ALL,
    "stack=3": [*TRAINED, "-Theft/*independent-model*", "-*poisoned by*", "-*audit*"],
    "defenses.0.params.triggers=11": ["*watermark*"],
    "defenses.1.params.epsilon=4": ["*dp-sgd*"],
    "defenses.2.params.decimals=2": ["*output-rounding*"],
    "defenses.3.params.sigma=0.5": ["*randomized-smoothing*"],
    "defenses.4.params.walks=6": VERIFIED_BY_INFERENCE,
    "risks.evasion.attacks.0.params.steps=3": ["*evasion/pgd on*", "Worst/evasion/*"],
    "risks.poisoning.attacks.0.params.features=3": ["*badnets*"],
    "risks.unauthorized-model-ownership.attacks.0.params.epochs=3": ["*/unauthorized*/model-extraction*"],
    "risks.ownership-verification.attacks.0.params.epochs=3": [
        "*300 queries*",
        "VerificationPlay/*model-extraction*",
        "Worst/ownership-verification/*",
    ],
    "risks.membership-inference.attacks.0.params.mode=offline": ["*/lira*"],
    "risks.membership-inference.attacks.0.params.shadow_models=6": ALL,
    "risks.attribute-inference.attacks.0.params.hidden=3": ["*/attribute-inference/*"],
    "risks.distribution-inference.attacks.0.params.width=3": ["*/pim*"],
    "risks.data-reconstruction.attacks.0.params.steps=3": ["*/mi-face*"],
    "risks.privacy-audit.attacks.0.params.false_positive_rate=0.2": ["AuditPlay/*by loss-threshold*"],
    "risks.membership-inference.metrics.0.params.resamples=100": ["*/membership-inference/*"],
    "risks.data-reconstruction.metrics.0.params.resamples=100": ["*/data-reconstruction/*"],
    "risks.discriminatory-behavior.metrics.0.params.permutations=20": ["*/discriminatory-behavior/*"],
}
POISONED = ["*/poisoning/*", "*poisoned by*"]
TOLD = ["*/unauthorized*", "-Theft/*model-copy*", "-Theft/*independent-model*"]
DRAWN = ["DistributionPlay/*", "Fit/victims/*", "Fit/adversary/*"]
AUDITED = ["*audit*"]
THREATS = {
    "evasion": {
        name: (value, ["*/evasion/*"])
        for name, value in {"norm": "l2", "epsilon": 0.07, "curve": [0.02], "rows": 100}.items()
    },
    "poisoning": {"rate": (0.05, POISONED), "target": ("yes", POISONED), "rows": (100, POISONED)},
    "unauthorized-model-ownership": {
        "oracle": ("labels", TOLD),
        "top_k": (1, TOLD),
        "budget": (600, ["TheftPlay/*"]),
        "curve": ([100, 200], ["TheftPlay/*"]),
        "rows": (100, ["TheftPlay/*"]),
    },
    "ownership-verification": {
        "oracle": ("labels", ["*300 queries*", *VERIFIED]),
        "top_k": (1, ["*300 queries*", *VERIFIED]),
        "budget": (200, VERIFIED),
        "fpr": (0.1, VERIFIED),
        "independent": (40, ["Independent/*", "Fit/aux/*", *VERIFIED]),
        "fine_tuning_epochs": (3, VERIFIED),
        "pruned": (0.3, VERIFIED),
    },
    "membership-inference": {
        name: (value, ["*/membership-inference/*"])
        for name, value in {"shadow": "undefended", "population": 100}.items()
    },
    "attribute-inference": {
        name: (value, ["*/attribute-inference/*"])
        for name, value in {
            "attribute": "age",
            "knows": "class",
            "without": ["a"],
            "candidates": 200,
            "aux": 100,
        }.items()
    },
    "distribution-inference": {
        "attribute": ("age", DRAWN),
        "value": ("m", DRAWN),
        "ratios": ([0.5, 0.3], DRAWN),
        "victims": (3, ["DistributionPlay/*", "Fit/victims/*"]),
        "models": (3, ["DistributionPlay/*", "Fit/adversary/*"]),
        "shadow": ("undefended", ["DistributionPlay/*"]),
        "rows": (70, DRAWN),
        "queries": (50, ["DistributionPlay/*"]),
    },
    "data-reconstruction": {
        name: (value, ["*/data-reconstruction/*"])
        for name, value in {"verdict": "class", "rows": 100, "gradients": 3, "batch": 2, "taken_at": "end"}.items()
    },
    "discriminatory-behavior": {"attribute": ("age", ["*/discriminatory-behavior/*"])},
    "privacy-audit": {
        "canaries": (80, AUDITED),
        "labels": ("true", AUDITED),
        **{
            name: (value, ["AuditPlay/*"])
            for name, value in {"guessed_in": 20, "guessed_out": 20, "confidence": 0.9, "population": 100}.items()
        },
    },
    "utility": {},
}
STOLEN = ["Theft/*/{0}*", "TheftPlay/*/{0}*", "VerificationPlay/*{0}*", "Worst/ownership-verification/*"]
VERSIONS = {
    "compas": ALL,
    "mlp": TRAINED,
    "watermark": ["*watermark*"],
    "dp-sgd": ["*dp-sgd*"],
    "output-rounding": ["*output-rounding*"],
    "randomized-smoothing": ["*randomized-smoothing*"],
    "dataset-inference": VERIFIED_BY_INFERENCE,
    "pgd": ["*evasion/pgd on*", "Worst/evasion/*"],
    "fgsm": ["*evasion/fgsm on*", "Worst/evasion/*"],
    "random-noise": ["*evasion/random-noise on*"],
    "robustness": ["Attack/evasion/*", "Worst/evasion/*"],
    "badnets": ["*badnets*"],
    "label-flip": ["*label-flip*"],
    "poisoning": ["PoisonedPlay/*"],
    "model-extraction": [one.format("model-extraction") for one in STOLEN],
    "model-copy": [one.format("model-copy") for one in STOLEN],
    "independent-model": ["Theft/*independent-model*", "TheftPlay/*"],
    "extraction": ["TheftPlay/*"],
    "verification": VERIFIED,
    "lira": ["*/lira on*"],
    "loss-threshold": ["*loss-threshold*"],
    "random-score": ["*random-score*"],
    "membership": ["*/membership-inference/*"],
    "attribute-mlp": ["*attribute-mlp on*"],
    "imputation": ["*/attribute-inference/*"],
    "attribute-inference": ["*/attribute-inference/*"],
    "pim": ["*/pim on*"],
    "kl-test": ["*/kl-test on*"],
    "random-hypothesis": ["*/random-hypothesis on*"],
    "distinguishing": ["DistributionPlay/*"],
    "mi-face": ["*/mi-face on*"],
    "output-decoder": ["*/output-decoder on*"],
    "class-mean": ["*/class-mean on*"],
    "zero-input": ["*/zero-input on*"],
    "reconstruction": ["*/data-reconstruction/*"],
    "group-fairness": ["*/discriminatory-behavior/*"],
    "privacy-audit": ["AuditPlay/*"],
    "accuracy": ["*/utility/*"],
}


@pytest.mark.parametrize(("setting", "patterns"), SETTINGS.items())
def test_another_setting_gives_other_keys_to_the_jobs_that_depend_on_it(before, setting, patterns):
    declared = ["defenses.1.params.conditional_on=['early-stopping']"] if "patience" in setting else []
    assert anew(before, keys(asked(setting, *declared))) == among(before, patterns)


@pytest.mark.parametrize(
    ("risk", "field", "value", "patterns"),
    [(risk, field, *told) for risk, fields in THREATS.items() for field, told in fields.items()],
)
def test_another_threat_gives_other_keys_to_the_jobs_that_depend_on_it(before, risk, field, value, patterns):
    given = RISKS[risk].get("threat", {}) | {field: value}
    found = keys(asked(f"risks.{risk}.threat={given}"))
    assert anew(before, found) == among(before, patterns)


@pytest.mark.parametrize(("component", "patterns"), VERSIONS.items())
def test_another_version_of_a_component_gives_other_keys_to_the_jobs_that_use_it(before, component, patterns):
    found = keys(asked(known=changed_registry(component, version="another")))
    assert anew(before, found) == among(before, patterns)


def test_the_tables_above_have_every_setting_and_every_component():
    assert {risk: set(fields) for risk, fields in THREATS.items()} == {
        risk: set(game.threat.model_fields) for risk, game in GAMES.items()
    }
    assert set(TRAINING) == set(TrainingSettings.model_fields)
    request = asked()
    named = {
        one.entry.component.name for one in request.uses if one.entry.component.kind not in ("executor", "reporter")
    }
    assert set(VERSIONS) == named


def test_other_data_code_or_surroundings_give_every_job_another_key(before, monkeypatch):
    assert anew(before, keys(asked(), FACTS.model_copy(update={"content": "others"}))) == set(before)
    known = changed_registry("compas", module="other.module")
    assert anew(before, keys(asked(known=known))) == set(before)
    monkeypatch.setattr(job_specs, "environment", lambda: {"processor": "another"})
    assert anew(before, keys(asked())) == set(before)
