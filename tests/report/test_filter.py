"""Searching, filtering and choosing columns of a long report, in a real browser; without JavaScript nothing of it."""

import pytest

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def address(long_results, tmp_path_factory):
    """Give the address of a report of 40 rows."""
    return long_results.report(tmp_path_factory.mktemp("long") / "report.html").as_uri()


@pytest.fixture
def page(opened, address):
    """Give the report in the browser."""
    return opened(address)[0]


def _shown(page, selector=".matrix tbody tr"):
    """Return the marks of the parts that are not hidden."""
    script = "parts => parts.filter(part => getComputedStyle(part).display !== 'none').map(part => part.dataset.row)"
    return [int(mark) for mark in page.locator(selector).evaluate_all(script)]


def _rows(results, wanted):
    return [index for index, row in enumerate(results.rows) if wanted(row)]


def _says(page):
    return page.locator("#filter-count").inner_text()


def test_the_long_page_asks_for_nothing_and_complains_of_nothing(opened, address):
    page, requests, complaints = opened(address)
    page.get_by_label("Search rows").fill("dp-sgd")
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert complaints == []


def test_without_javascript_every_row_is_there_and_no_control(opened, address, long_results):
    page, _, complaints = opened(address, java_script_enabled=False)
    assert page.locator(".matrix tbody tr:visible").count() == len(long_results.rows)
    assert page.locator("#filter").is_hidden()
    assert page.locator("input:visible, select:visible, button:visible, .filtered:visible").count() == 0
    assert complaints == []


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("outlier", lambda row: "outlier" in row.label),
        ("DP-SGD  steps", lambda row: "dp-sgd" in row.label and "steps" in row.label),
        ("builtin/adversarial-training", lambda row: "builtin/adversarial-training" in [used.id for used in row.chain]),
        ("placebo", lambda row: row.kind == "placebo"),
    ],
)
def test_typing_leaves_the_rows_whose_label_or_components_match(page, long_results, typed, wanted):
    rows = _rows(long_results, wanted)
    page.get_by_label("Search rows").press_sequentially(typed)
    assert 0 < len(rows) < len(long_results.rows)
    assert _shown(page) == rows
    assert _says(page) == f"{len(rows)} of 40 rows"


def test_the_sections_follow_the_search_and_say_so(page, long_results):
    rows = _rows(long_results, lambda row: "outlier" in row.label)
    page.get_by_label("Search rows").fill("outlier")
    for selector in (
        "#risk-2 details.row",
        "#risk-2 .primary tbody tr",
        "#risk-2 .attacks tbody[data-row]",
        "#utility tbody tr",
    ):
        assert _shown(page, selector) == rows, selector
    note = page.locator("#risk-2 .filtered")
    assert note.inner_text() == f"The tables and details below show {len(rows)} of 40 rows, as chosen above the matrix."
    page.get_by_role("button", name="Show all").click()
    assert note.is_hidden()


def test_a_verdict_leaves_the_rows_that_have_it_in_a_column_that_is_shown(page, long_results):
    def having(*risks):
        found = {
            entry.row
            for entry in long_results.entries
            if entry.risk in risks and entry.effect and entry.effect.verdict == "risk down"
        }
        return _rows(long_results, lambda row: row.label in found)

    risks = ("evasion", "membership-inference", "discriminatory-behavior")  # in the utility column it has another name
    assert 0 < len(having("evasion")) < len(having(*risks)) < 40
    page.get_by_label("Verdict in any column shown").select_option("risk down")
    assert _shown(page) == having(*risks)
    page.get_by_role("checkbox", name="Membership inference").uncheck()
    page.get_by_role("checkbox", name="Discriminatory behavior").uncheck()
    assert _shown(page) == having("evasion")
    assert _says(page) == f"{len(having('evasion'))} of 40 rows, 2 of 4 columns"


def test_the_verdicts_on_offer_are_those_of_the_matrix(page):
    offered = page.locator("#filter-verdict option").all_inner_texts()
    words = page.locator(".matrix .verdict").evaluate_all("all => all.map(each => each.lastChild.data.trim())")
    assert offered[0] == "any"
    assert sorted(offered[1:]) == sorted(set(words))


def test_a_column_that_is_not_chosen_is_hidden_head_and_squares(page, long_results):
    page.get_by_role("checkbox", name="Evasion").uncheck()
    table = page.get_by_role("table", name="Interactions: defenses by risks")
    assert [text.splitlines()[0] for text in table.get_by_role("columnheader").all_inner_texts()] == [
        "Row", "Membership inference", "Discriminatory behavior", "Utility",
    ]  # fmt: skip
    assert table.get_by_role("cell").count() == 3 * len(long_results.rows)
    assert _says(page) == "40 rows, 3 of 4 columns"


def test_show_all_undoes_everything(page):
    page.get_by_label("Search rows").fill("no row has this")
    page.get_by_label("Verdict in any column shown").select_option("risk down")
    page.get_by_role("checkbox", name="Evasion").uncheck()
    assert _shown(page) == []
    assert _says(page) == "0 of 40 rows, 3 of 4 columns"
    page.get_by_role("button", name="Show all").click()
    assert _shown(page) == list(range(40))
    assert page.locator(".matrix .off").count() == 0
    assert _says(page) == "40 rows"
    assert page.evaluate("document.activeElement.id") == "filter-text"


def test_the_count_is_announced(page):
    assert page.locator("#filter-count").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("typed", [HOSTILE, "[data-row]", "\\", "a.*(", "<script>alert(1)</script>"])
def test_hostile_words_are_words_and_nothing_more(opened, address, typed):
    page, requests, complaints = opened(address)
    dialogs = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    before = page.evaluate("document.getElementsByTagName('*').length")
    page.get_by_label("Search rows").fill(typed)
    assert len(_shown(page)) == (1 if "<script>" in typed else 0)  # one row's label is hostile itself
    assert page.evaluate("document.getElementsByTagName('*').length") == before
    assert (dialogs, complaints, requests) == ([], [], [address, *requests[1:]])
    assert all(url.startswith("data:") for url in requests[1:])


def test_a_row_with_a_hostile_label_is_found_and_runs_nothing(opened, long_results, tmp_path):
    rows = tuple(
        row.model_copy(update={"label": HOSTILE}) if row.label == "dp-sgd" else row for row in long_results.rows
    )
    entries = tuple(
        each.model_copy(update={"row": HOSTILE}) if each.row == "dp-sgd" else each for each in long_results.entries
    )
    renamed = long_results.model_copy(update={"rows": rows, "entries": entries, "cells": ()})
    page, requests, complaints = opened(renamed.report(tmp_path / "report.html").as_uri())
    page.get_by_label("Search rows").fill("onerror")
    assert _shown(page) == [3]
    assert page.locator("img").count() == 0
    assert complaints == []
    assert [url for url in requests[1:] if not url.startswith("data:")] == []


def test_the_keyboard_reaches_every_control_in_order(page):
    page.locator("#filter-text").focus()
    reached = []
    for _ in range(7):
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.type"))
        page.keyboard.press("Tab")
    assert reached == ["filter-text", "filter-verdict", "checkbox", "checkbox", "checkbox", "checkbox", "filter-all"]
    assert page.evaluate("document.activeElement.getAttribute('aria-labelledby')") == "matrix-caption"


def test_what_is_hidden_on_the_screen_is_printed(page, long_results):
    page.get_by_label("Search rows").fill("outlier")
    page.get_by_role("checkbox", name="Evasion").uncheck()
    page.emulate_media(media="print")
    assert _shown(page) == list(range(len(long_results.rows)))
    assert page.locator("#filter").is_hidden()
    assert page.locator("#risk-2 .filtered").is_hidden()
    box = page.locator("#matrix .scroll").first
    assert box.evaluate("each => each.scrollHeight - each.clientHeight") == 0
    assert page.get_by_role("columnheader", name="Evasion").first.is_visible()


@pytest.mark.parametrize("width", [400, 1280])
def test_heads_and_row_labels_stay_in_sight_while_the_matrix_scrolls(opened, address, width):
    page, _, _ = opened(address, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("#matrix .scroll").first
    box.evaluate("each => { each.scrollTop = 1500; each.scrollLeft = 150; }")
    frame = box.bounding_box()
    assert frame["height"] <= 0.85 * 800 + 1
    corner, head = (page.locator(f".matrix thead th >> nth={index}").bounding_box() for index in (0, 1))
    row = page.locator(".matrix tbody th").nth(20).bounding_box()
    assert corner["x"] == row["x"] == frame["x"]
    assert corner["y"] == head["y"] == frame["y"]
    over = "([x, y]) => document.elementFromPoint(x, y).closest('th')?.className"
    box.evaluate("each => window.scrollTo({ top: each.getBoundingClientRect().y + scrollY, behavior: 'instant' })")
    assert page.evaluate(over, [corner["x"] + 20, box.bounding_box()["y"] + 20]) == "corner"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_controls_are_readable_in_every_theme(opened, address, scheme):
    page, _, _ = opened(address, color_scheme=scheme)
    colours = page.locator("#filter-text").evaluate(
        "each => [getComputedStyle(each).color, getComputedStyle(each).backgroundColor]"
    )
    assert colours == {
        "light": ["rgb(27, 31, 36)", "rgb(255, 255, 255)"], "dark": ["rgb(230, 233, 237)", "rgb(20, 23, 27)"],
    }[scheme]  # fmt: skip


def test_a_link_leads_to_its_section_although_much_is_laid_out_late(page):
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("navigation").get_by_role("link", name="Methods").click()
    page.wait_for_function("Math.abs(document.querySelector('#methods').getBoundingClientRect().y) < 40")
    assert page.locator("#methods-title").is_visible()
