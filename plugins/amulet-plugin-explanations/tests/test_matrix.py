import amulet_core as amulet
import pytest

ROWS = ("integrated-gradients", "deep-lift", "smooth-grad")
ATTACKS = ("explanations/released-outputs", "explanations/attributions")


@pytest.fixture(scope="module")
def frame():
    config = {
        "dataset": "compas",
        "model": "logistic",
        "training": {"epochs": 3},
        "data": {"train": 300, "val": 50, "test": 400, "aux": 500},
        "defenses": [
            {"name": "explanations/integrated-gradients", "params": {"steps": 4}},
            "explanations/deep-lift",
            {"name": "explanations/smooth-grad", "params": {"samples": 4}},
        ],
        "risks": {
            "distribution-inference": {
                "threat": {"victims": 3, "models": 3, "queries": 40},
                "attacks": list(ATTACKS),
            },
            "discriminatory-behavior": {},
        },
        "seeds": 1,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMULET_PLUGINS", "explanations")
        return amulet.run(config).frame


def test_explanations_change_no_prediction(frame):
    for risk in ("discriminatory-behavior", "utility"):
        values = frame[(frame["risk"] == risk) & (frame["row"] != "placebo")]
        assert set(values["row"]) == {"none", *ROWS}
        assert (values.groupby(["metric", "value"], dropna=False)["estimate"].nunique() <= 1).all()


def test_all_that_is_released_is_read_in_every_row_and_attributions_where_there_are_any(frame):
    assert "failed" not in set(frame["status"])
    played = frame[frame["status"] == "ok"].groupby("row")["attack"].agg(set)
    assert {row for row in played.index if ATTACKS[0] in played[row]} == {"none", "placebo", *ROWS}
    assert {row for row in played.index if ATTACKS[1] in played[row]} == set(ROWS)
    skipped = frame[frame["status"] == "skipped"]
    assert set(skipped["row"]) == {"none", "placebo"}
    assert 'explanations/attributions reads explanations, and no defense of the row "none" releases any' in set(
        skipped["reason"]
    )
