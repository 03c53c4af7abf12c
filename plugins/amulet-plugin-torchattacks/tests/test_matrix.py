import amulet_core as amulet
import pytest

ATTACKS = ("torchattacks/pgd", "torchattacks/fgsm", "torchattacks/deepfool", "torchattacks/gn", "builtin/pgd")


@pytest.fixture(scope="module")
def frame():
    config = {
        "dataset": "digits",
        "model": "mlp",
        "training": {"epochs": 10},
        "data": {"train": 400, "val": 50, "test": 300, "aux": 50},
        "risks": {
            "evasion": {"threat": {"epsilon": 0.1, "curve": [0.02], "rows": 150}, "attacks": list(ATTACKS)},
        },
        "seeds": 1,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMULET_PLUGINS", "torchattacks")
        return amulet.run(config).frame


def robust_accuracy(frame, attack):
    chosen = (frame["attack"] == attack) & (frame["value"] == "robust_accuracy") & (frame["row"] == "none")
    (estimate,) = frame[chosen]["estimate"]
    return estimate


def test_a_matrix_is_measured_with_the_attacks_of_this_plugin_beside_the_built_in_ones(frame):
    found = {attack: robust_accuracy(frame, attack) for attack in ATTACKS if attack != "torchattacks/deepfool"}
    assert found["torchattacks/pgd"] == pytest.approx(found["builtin/pgd"], abs=0.05)
    assert found["torchattacks/pgd"] <= found["torchattacks/fgsm"] + 0.02
    assert found["torchattacks/fgsm"] < found["torchattacks/gn"] - 0.2
    assert set(frame[frame["control"]]["attack"]) == {"torchattacks/gn", "builtin/random-noise"}


def test_an_attack_for_another_norm_is_skipped_with_the_reason(frame):
    assert "failed" not in set(frame["status"])
    skipped = frame[frame["status"] == "skipped"]
    assert set(skipped["attack"]) == {"torchattacks/deepfool"}
    assert set(skipped["reason"]) == {"torchattacks/deepfool keeps to budgets in l2, the threat model's norm is linf"}
