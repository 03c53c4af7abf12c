"""The page as text: complete, in order, escaped, accessible in its structure, asking for nothing outside."""

import re
from collections import Counter
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from amulet_core.report.page import render, write

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Everything about a page that a test asks for."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text, self.errors = [], [], "", []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.errors.append(f"</{tag}> closes another element, at {self.getpos()}")

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def html(results):
    return render(results)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_every_element_is_closed_where_it_was_opened(page):
    assert page.errors == []
    assert page.open == []


def test_every_chart_is_well_formed(html):
    charts = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(charts) == 4 + 5 + 6 + 6  # a chart of effects a risk; budgets, ROC and groups by row, as measured
    for chart in charts:
        image = ET.fromstring(chart)
        assert (image.get("role"), image[0].tag, image[1].tag) == ("img", "title", "desc")


def test_hostile_texts_come_out_as_texts(page, html, examples):
    assert page.all("script", "b") == [
        attributes for tag, attributes in page.tags if attributes.get("class") == "first"
    ]
    assert examples.HOSTILE in page.text
    assert "<script" not in html
    assert "<b>overflowed" not in html


def test_nothing_is_loaded_from_outside_the_file(page, html):
    policy = next(each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert not [attributes for _, attributes in page.tags if {"src", "srcset", "action", "style"} & set(attributes)]
    assert [each["href"] for each in page.all("link")] == ["data:,"]
    assert not page.all("script", "iframe", "object", "embed", "img", "form", "base")
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert not re.search(r"url\(|@import|@font-face", style[1])


def test_links_lead_to_references_or_into_the_page(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert [name for name, times in Counter(ids).items() if times > 1] == []
    for link in page.all("a"):
        assert link["href"].startswith("https://") or link["href"].removeprefix("#") in ids
    assert {"https://arxiv.org/abs/1706.06083", "https://doi.org/10.1145/2976749.2978318"} <= {
        link["href"] for link in page.all("a")
    }
    labels = [attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes]
    assert set(labels) <= set(ids)


def test_the_sections_come_in_reading_order(html):
    heads = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert heads == [
        "Summary",
        "Matrix",
        "Do the defenses of a chain keep what each does alone?",
        "What it costs in utility",
        "Data",
        "What to know when reading",
        "Evasion",
        "Membership inference",
        "Discriminatory behavior",
        "Utility",
        "Warnings and gaps",
        "Methods",
        "What the defenses left as evidence",
        "Provenance",
    ]


def test_headings_skip_no_level_and_there_is_one_title(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_page_has_landmarks_a_language_and_a_way_past_the_contents(page):
    names = Counter(tag for tag, _ in page.tags)
    assert (names["main"], names["header"], names["nav"], names["footer"]) == (1, 1, 1, 1)
    assert page.all("html") == [{"lang": "en"}]
    assert page.all("a")[0] == {"class": "skip", "href": "#main"}


def test_every_table_has_a_caption_and_every_heading_cell_a_scope(page):
    assert len(page.all("table")) == len(page.all("caption"))
    assert {each.get("scope") for each in page.all("th")} == {"col", "row", "rowgroup"}


def test_every_scrolling_region_can_be_reached_and_has_a_name(page):
    regions = [each for each in page.all("div") if each.get("class") == "scroll"]
    assert len(regions) == len(page.all("table"))
    for each in regions:
        assert (each["role"], each["tabindex"]) == ("region", "0")
        assert each.get("aria-labelledby") or each.get("aria-label")


def test_a_verdict_is_a_colour_a_sign_and_a_word(results, html):
    squares = [re.sub(r"\s+", " ", square) for square in re.findall(r"<td class=\"v-.*?</td>", html, re.DOTALL)]
    assert len(squares) == sum(entry.effect is not None for entry in results.entries)
    words = {"up": "risk up|utility down", "down": "risk down|utility up", "same": "no change", "open": "inconclusive"}
    words |= {"weak": "degenerate"}
    for square in squares:
        colour = re.match(r'<td class="v-(\w+)"', square)
        shown = rf'<span class="sign" aria-hidden="true">[▲▼=?~·!]</span> ({words[colour[1]]})</span>'
        assert re.search(shown, square), square


def test_cells_that_the_sok_left_unexplored_are_marked_as_first_time(examples):
    results = examples.example_results(risks=9, defenses=7, hostile=False)
    html = render(results)
    first = sum(each.first_time for entry in results.entries for each in entry.expected)
    assert first > 0
    words = r'<b class="first">first-time</b> (differential privacy: )?unexplored in the SoK of 2024</span>'
    assert len(re.findall(words, html)) == first
    assert "unexplored in the SoK of 2024, measured since by arXiv:2509.12386" in html


def test_the_matrix_and_the_sections_name_the_threat_model(html):
    matrix = html[html.index('<table class="matrix">') : html.index("</table>")]
    for text in ("robust accuracy at ε 0.05, linf", "AUC, adaptive shadow models", "parity gap by sex"):
        assert f'<span class="sub">{text},<br>' in matrix
        assert f"Verdicts are about <strong>{text}</strong>" in html
        assert f">{text}, by row and seed</caption>" in html


def test_the_page_says_which_interval_decides_for_no_change_and_which_is_shown(page, html, results):
    text = re.sub(r"\s+", " ", page.text)
    assert (
        "“No change” is decided by a test of its own, not by the interval shown: two one-sided t tests, which is to say "
        "that the 90 % interval (before adjustment) lies inside the margin. The interval shown belongs to the test for a "
        "change and is wider, so it may reach beyond the margin where the verdict is “no change”. Both p values are "
        "adjusted by Holm's procedure; a verdict needs one of at most 0.05, and a change is looked for first."
    ) in text
    said = (
        "The interval shown goes with “p of a change”. “No change” is decided by “p of no change”: the 90 % interval, "
    )
    assert text.count(f"{said}before adjustment, lies inside the margin (more).") == len(results.columns)
    heads = '<th scope="col">p of a change</th><th scope="col">p of no change</th>'
    assert html.count(heads) == len(results.columns) + 1  # utility's cost is told once more


@pytest.mark.parametrize(
    ("overlap", "said"),
    [
        (
            1.0,
            "Seeds share rows. So the variance of a mean over J seeds is taken as (1/J + 1) S² instead of S²/J, S² being that of "
            "the seeds (corrected resampled t test, Nadeau and Bengio 2003): for each row of the pool that a model is trained "
            "on, 1 is held out. The findings are for this data set.",
        ),
        (0.25, "(1/J + 0.25) S² instead of S²/J"),
        (0.25, "that a model is trained on, 0.25 are held out."),
        (0.0, "No correction for shared rows was applied to the intervals."),
    ],
)
def test_the_page_says_what_shared_rows_do_to_the_variance(results, overlap, said):
    assert said in render(results.model_copy(update={"overlap": overlap}))


def test_gaps_say_why_and_who_is_to_blame(page, examples):
    for text in (
        "20 cells failed and 20 were skipped",
        f"all seeds failed: {examples.REASON}",
        "builtin/square needs probabilities, and this model gives labels only",
        "balanced accuracy .51, near chance",
        "0.5 false positives are expected, fewer than 10",
        "the input gradient was zero for 37 of 1000 rows",
        "<script>alert(2)</script>",
    ):
        assert text in re.sub(r"\s+", " ", page.text)


def test_the_page_holds_methods_evidence_provenance_and_the_configuration(page):
    for text in (
        "privacy.epsilon_prv", "7.61", "AMD EPYC", "2.6.0", "192.4 s", "sensitive_in_x: false",
        "(1/J + 0.25) S² instead of S²/J", "levels here: 95.00% to 99.00%", "Seeds. 5: 0, 1, 2, 3, 4",
        "crossed: all seeds share one block of rows", "CC BY 4.0", "stratified bootstrap, 95 %",
        "by chance alone: mean .05, 95 % quantile .10", "what chance alone gives is of the first seed",
    ):  # fmt: skip
        assert text in page.text


def test_an_incomplete_run_says_so_at_the_top_and_a_complete_one_does_not(examples):
    complete, incomplete = (render(examples.example_results(complete=complete)) for complete in (True, False))
    assert "This run is not complete." not in complete
    assert incomplete.index("This run is not complete.") < incomplete.index("<h2")
    assert "Run the same configuration again and it goes on where it stopped." in incomplete


def test_with_fewer_than_five_seeds_the_page_says_that_there_are_no_verdicts(examples):
    html = render(examples.example_results(seeds=(0, 1, 2)))
    assert "Fewer than five seeds give intervals and no verdicts." in html
    assert "3 seeds, fewer than the 5 that a verdict needs" in html
    matrix = html[html.index('<table class="matrix">') : html.index("</table>")]
    assert "too few seeds" in matrix
    assert "risk up</span>" not in matrix


@pytest.mark.parametrize("seeds", [(4,), (1, 2)])
def test_one_or_two_seeds_still_make_a_page(examples, seeds):
    assert Page(render(examples.example_results(seeds=seeds))).errors == []


def test_a_run_in_which_nothing_was_done_still_makes_a_page(results):
    empty = results.model_copy(update={"cells": (), "entries": (), "columns": (), "rows": ()})
    page = Page(render(empty))
    assert page.errors == []
    assert "Nothing could be compared." in page.text


def test_ten_rows_and_nine_risks_stay_a_page_that_a_browser_likes(examples):
    html = render(examples.example_results(risks=9, defenses=7))
    assert len(html) < 1_500_000
    assert len(Page(html).tags) < 20_000


def test_the_same_results_give_the_same_page(results, html, tmp_path):
    path = write(results, tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == html
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]


def _colours(block):
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block))


def _luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_texts_reach_the_contrast_of_wcag_aa_in_every_theme(theme):
    style = files("amulet_core.report.templates").joinpath("page.css").read_text(encoding="utf-8")
    colours = _colours(re.findall(r":root \{(.*?)\}", style, re.DOTALL)[theme])
    pairs = [(ink, ground) for ink in ("ink", "soft", "link") for ground in ("paper", "wash")]
    pairs += [(f"{name}-ink", name) for name in ("up", "down", "same", "open", "weak", "first")]
    for ink, ground in pairs:
        dark, light = sorted(_luminance(colours[name]) for name in (ink, ground))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)
    for name in ("s0", "s1", "s2", "s3", "s4", "s5"):  # lines need 3 to 1
        dark, light = sorted(_luminance(colours[each]) for each in (name, "paper"))
        assert (light + 0.05) / (dark + 0.05) >= 3, name
