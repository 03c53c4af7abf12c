"""What the report and the terminal say of chains, and of a value that exists only with a certain defense."""

import csv
import json
import re

import pytest

from amulet_core.matrix.conflicts import conflicts
from amulet_core.matrix.tables import read_results, write_results
from amulet_core.report.chains import chains
from amulet_core.report.matrix import grid
from amulet_core.report.page import render
from amulet_core.report.sections import sections
from amulet_core.report.summary import summary
from amulet_core.report.terminal import text_matrix
from amulet_core.report.words import CONFLICT_LOOKS, LOOKS
from amulet_core.results import Conflict

LOST = (
    "watermark + adversarial-training loses part of what adversarial-training does alone for evasion: robust accuracy "
    "0.698 alone, 0.597 together, 0.399 without; 0.199 of 0.299 left",
    "watermark + dp-sgd loses part of what watermark does alone for ownership verification: TPR 0.969 alone, 0.297 "
    "together, 0.050 without; 0.247 of 0.919 left",
)
OPENING = (
    "of 8 pairs of a chain's member and a risk, 2 conflicts, 2 kept, 0 inconclusive and 4 in which the member alone "
    "shows no protection."
)


@pytest.fixture(scope="module")
def chained(examples):
    """Give planted results of two chains, with a column that has a floor."""
    return examples.chain_results()


@pytest.fixture
def judged(chained):
    """Return a function that gives the results one verdict on each of these lines."""

    def make(*verdicts, **changes):
        found = [
            chained.conflicts[0].model_copy(update={"verdict": verdict, "partial": False, **changes})
            for verdict in verdicts
        ]
        return chained.model_copy(update={"conflicts": tuple(found)})

    return make


def test_the_planted_conflicts_come_out(chained):
    assert {(one.chain, one.member, one.risk): one.verdict for one in chained.conflicts} == {
        ("watermark + dp-sgd", "builtin/dp-sgd", "evasion"): "kept",
        ("watermark + adversarial-training", "builtin/adversarial-training", "evasion"): "conflict",
        ("watermark + dp-sgd", "builtin/watermark", "ownership-verification"): "conflict",
        ("watermark + adversarial-training", "builtin/watermark", "ownership-verification"): "kept",
    }


def test_the_terminal_lists_the_conflicts_below_the_matrix(chained):
    text = text_matrix(chained)
    block = text.split("\n\n")[1]
    assert re.sub(r"\n  ", " ", block).splitlines() == [f"Chains: {OPENING}", *(f"✗ {lost}" for lost in LOST)]
    assert max(map(len, text.splitlines())) <= 110


def test_conflicts_read_as_a_table_with_what_is_left(chained):
    said = chains(chained)
    assert (said.opening, said.lost, said.gaps) == (OPENING, LOST, ())
    lost = next(line for line in said.lines if line.risk == "Ownership verification" and "dp-sgd" in line.chain)
    assert (lost.member, lost.without, lost.alone, lost.together) == ("watermark", "0.050", "0.969", "0.297")
    assert (lost.left, lost.difference, lost.level) == ("0.247 of 0.919", "−0.673", "97.50%")
    assert (lost.look.sign, lost.look.word, lost.look.colour) == ("✗", "conflict in part", "up")


def test_where_lower_is_better_what_is_left_is_counted_downwards(judged):
    results = judged("conflict", without=0.65, with_member=0.55, together=0.66, difference=0.11)
    columns = (results.columns[0].model_copy(update={"better": "lower"}), *results.columns[1:])
    (lost,) = chains(results.model_copy(update={"columns": columns})).lost
    assert lost == (
        "watermark + dp-sgd loses what dp-sgd does alone for evasion: robust accuracy 0.550 alone, 0.660 together, "
        "0.650 without; −0.010 of 0.100 left"
    )


@pytest.mark.parametrize(
    ("verdicts", "opening"),
    [
        ((), "0 conflicts, 0 kept, 0 inconclusive and 8 in which"),
        (("conflict",), "1 conflict, 0 kept, 0 inconclusive and 7 in which"),
        (("kept", "inconclusive", "inconclusive"), "0 conflicts, 1 kept, 2 inconclusive and 5 in which"),
        (
            ("degenerate", "too few seeds", "blocked", "missing"),
            "0 conflicts, 0 kept, 0 inconclusive, 4 without a verdict and 4 in which",
        ),
    ],
)
def test_the_opening_counts_every_pair_once(judged, verdicts, opening):
    said = chains(judged(*verdicts)).opening
    assert said == f"of 8 pairs of a chain's member and a risk, {opening} the member alone shows no protection."


def test_a_bound_is_no_protection_and_its_column_no_pair(judged):
    results = judged("conflict")
    columns = (*results.columns[:1], results.columns[1].model_copy(update={"bound": True}), *results.columns[2:])
    assert chains(results.model_copy(update={"columns": columns})).opening == (
        "of 4 pairs of a chain's member and a risk, 1 conflict, 0 kept, 0 inconclusive and 3 in which the member alone shows "
        "no protection."
    )


def test_pairs_without_values_are_sentences_with_equal_reasons_joined(chained):
    gone = Conflict(chain="c", member="builtin/m", alone="", risk="evasion", verdict="missing", verdict_reason="why")
    both = (gone, gone.model_copy(update={"risk": "ownership-verification"}))
    said = chains(chained.model_copy(update={"conflicts": both}))
    assert (said.lines, said.lost, said.gaps) == ((), (), ("builtin/m in c (evasion, ownership verification): why",))


def test_without_a_chain_nothing_is_said_of_chains(chained):
    rows = chained.rows[:3]
    entries = tuple(entry for entry in chained.entries if entry.row in [row.label for row in rows])
    results = chained.model_copy(update={"rows": rows, "entries": entries, "conflicts": ()})
    assert chains(results) is None
    assert "Chains" not in text_matrix(results)
    assert "of a chain" not in render(results)


def test_the_report_has_a_section_a_link_to_it_and_the_conflicts_in_the_summary(chained):
    html = render(chained)
    (section,) = re.findall(r'<section id="chains".*?</section>', html, re.DOTALL)
    assert "Do the defenses of a chain keep what each does alone?</h2>" in section
    assert f'<p class="lead">O{OPENING[1:].replace(chr(39), "&#39;")}</p>' in section
    assert section.count('<tr><th scope="row">') == 4
    assert section.count('<span class="tag v-up"><span class="sign" aria-hidden="true">✗</span> conflict in part') == 2
    for shown in CONFLICT_LOOKS.values():
        assert (
            f'aria-hidden="true">{shown.sign}</span> {shown.word}</dt><dd>{shown.meaning.replace(chr(39), "&#39;")}'
            in section
        )
    assert html.count('href="#chains"') == 2
    (top,) = re.findall(r'<section id="summary".*?</section>', html, re.DOTALL)
    assert all(f"{lost}." in top for lost in LOST)


def test_every_verdict_on_a_chain_has_a_look_and_equal_words_have_equal_signs():
    assert set(CONFLICT_LOOKS) == set(Conflict.model_fields["verdict"].annotation.__args__)
    for verdict in set(CONFLICT_LOOKS) & set(LOOKS):
        assert CONFLICT_LOOKS[verdict].sign == LOOKS[verdict].sign


def test_a_value_without_a_change_to_judge_stands_in_the_matrix_with_its_interval(chained):
    lines = {line.label: line.squares[1] for line in grid(chained).lines}
    own, none = lines["watermark"], lines["none"]
    assert (own.mean, own.effect, own.interval, own.look) == ("0.969", "", "[0.965, 0.974]", None)
    assert (none.mean, none.interval) == ("", "")
    html = render(chained)
    assert '<span class="effect">0.969</span>\n<span class="interval">[0.965, 0.974]</span>' in html
    assert (
        "Ownership verification exists only for rows with a defense that makes it: its squares show the value" in html
    )
    text = text_matrix(chained)
    assert "In the column Ownership verification each square shows the value itself, over its 95 % interval." in text
    assert re.search(r"^watermark  .* 0\.969 .*\n .*\[0\.965, 0\.974\]", text, re.MULTILINE)


def test_the_section_of_such_a_value_says_why_there_is_no_verdict(chained):
    section = sections(chained)[1]
    line = next(line for line in section.primary if line.label == "watermark")
    assert (line.mean, line.effect, line.interval, line.level, line.look) == (
        *("0.969", "", "[0.965, 0.974]", "95.00%"),
        None,
    )
    assert section.chart is None
    assert (
        "The value is <strong>TPR</strong> (higher is better for the defender; 0.05 without any protection). It exists "
        "only for rows with a defense that makes it, so there is no change against <em>none</em> to judge. Whether a "
        "chain keeps it is judged by a margin of 0.1."
    ) in render(chained)


def test_the_summary_gives_such_a_value_and_calls_no_row_without_the_defense_unmeasured(chained):
    said = dict(summary(chained).defenses)
    assert said["watermark"].endswith("Without a change to judge: ownership verification (TPR 0.969 [0.965, 0.974]).")
    assert said["dp-sgd"] == "lowered the risk of evasion (robust accuracy +0.051) and cost utility (accuracy −0.099)."
    entries = tuple(
        entry.model_copy(update={"inapplicable": False, "missing": "failed: it broke"}) for entry in chained.entries
    )
    failed = dict(summary(chained.model_copy(update={"entries": entries})).defenses)
    assert failed["dp-sgd"].endswith("Not measured: ownership verification.")


def test_what_was_published_stands_beside_such_a_value(chained, examples):
    expected = examples.expected("RD3", "R3")
    entries = tuple(
        entry.model_copy(update={"expected": (expected,) if entry.risk == examples.VERIFICATION else ()})
        for entry in chained.entries
        if entry.row == "watermark"
    )
    html = render(chained.model_copy(update={"entries": entries}))
    assert '<td class="number">0.969 (no value without it)</td>' in html


def test_the_conflicts_are_a_file_of_their_own_where_there_are_any(chained, tmp_path):
    path = write_results(chained, tmp_path) / "conflicts.csv"
    with path.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["verdict"] for line in lines] == [one.verdict for one in chained.conflicts]
    assert [float(line["difference"]) for line in lines] == [one.difference for one in chained.conflicts]
    assert list(lines[0]) == list(Conflict.model_fields)
    assert read_results(tmp_path) == chained
    write_results(chained.model_copy(update={"conflicts": ()}), tmp_path)
    assert not path.exists()


def test_results_of_before_there_were_conflicts_are_still_read(chained, tmp_path):
    path = write_results(chained, tmp_path) / "results.json"
    whole = json.loads(path.read_text())
    del whole["conflicts"]
    for part, names in (("entries", ("low", "high", "inapplicable")), ("columns", ("floor",))):
        for one in whole[part]:
            for name in names:
                del one[name]
    path.write_text(json.dumps(whole))
    old = read_results(tmp_path)
    assert old.conflicts == ()
    assert "of 8 pairs" in text_matrix(old)
    found = conflicts(old.rows, old.columns, old.entries, overlap=0.0, members_alone=True)
    assert found[:2] == chained.conflicts[:2]


@pytest.mark.parametrize("width", [400, 1280])
def test_in_a_browser_the_table_of_chains_scrolls_by_itself(opened, chained, tmp_path, width):
    address = chained.report(tmp_path / "report.html").as_uri()
    page, _, complaints = opened(address, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    table = page.get_by_role("table", name="What chains keep of what their members do alone")
    assert table.get_by_role("row").count() == 5
    assert "conflict in part" in table.get_by_role("row").nth(3).inner_text()
    assert complaints == []
