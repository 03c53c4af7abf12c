"""The page in a real browser, offline and from the disk: no request, no error, and readable without JavaScript."""

from functools import partial

import pytest


@pytest.fixture(scope="module")
def address(results, tmp_path_factory):
    """Give the address of a report on the disk."""
    return results.report(tmp_path_factory.mktemp("report") / "report.html").as_uri()


@pytest.fixture
def visit(opened, address):
    """Give a function that opens the report in a fresh offline context; what it asked for and complained of is kept."""
    return partial(opened, address)


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_page_asks_for_nothing_but_itself_and_complains_of_nothing(visit, address, javascript):
    page, requests, complaints = visit(java_script_enabled=javascript)
    page.wait_for_load_state("load")
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert complaints == []


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_matrix_is_found_by_its_role_with_the_right_cells(visit, results, javascript):
    page, _, _ = visit(java_script_enabled=javascript)
    table = page.get_by_role("table", name="Interactions: defenses by risks")
    assert table.is_visible()
    heads = table.get_by_role("columnheader")
    assert heads.count() == 1 + len(results.columns)
    assert [text.splitlines()[0] for text in heads.all_inner_texts()[1:]] == [
        column.title for column in results.columns
    ]
    rows = table.get_by_role("row")
    assert rows.count() == 1 + len(results.rows)
    entries = {(entry.row, entry.risk): entry for entry in results.entries}
    for index, row in enumerate(results.rows, start=1):
        line = rows.nth(index)
        assert line.get_by_role("rowheader").inner_text().startswith(row.label)
        cells = line.get_by_role("cell").all_inner_texts()
        assert len(cells) == len(results.columns)
        for column, cell in zip(results.columns, cells, strict=True):
            _agrees(cell, entries[row.label, column.risk])


def _agrees(cell, entry):
    if entry.effect:
        word = entry.effect.verdict.replace("risk", "utility") if entry.risk == "utility" else entry.effect.verdict
        turned = {"utility up": "utility down", "utility down": "utility up"}
        assert turned.get(word, word) in cell
        assert f"{abs(entry.effect.difference):.3f}" in cell
        assert f"{abs(entry.effect.high):.3f}]" in cell
    elif entry.mean is not None:
        assert cell.strip() == f"{entry.mean:.3f}"
    else:
        assert cell.startswith("not measured")


def test_hostile_texts_run_nothing_and_are_shown(visit, examples):
    page, _, _ = visit()
    dialogs = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    assert page.get_by_role("heading", level=1).inner_text().endswith(examples.HOSTILE)
    assert dialogs == []


def test_the_keyboard_reaches_and_opens_the_details(visit):
    page, _, _ = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open") is True


def test_without_javascript_the_details_still_open_and_show_their_chart(visit):
    page, _, _ = visit(java_script_enabled=False)
    chart = page.get_by_role("img", name="ROC curves on logarithmic axes, adversarial-training")
    assert chart.count() == 0  # hidden from screen readers, too, until it is asked for
    page.locator("summary", has_text="Membership inference: adversarial-training").first.click()
    assert chart.is_visible()


@pytest.mark.parametrize("width", [320, 400, 1280])
def test_only_the_tables_scroll_sideways_and_the_row_labels_stay_in_sight(visit, width):
    page, _, _ = visit(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    label = page.locator(".matrix tbody th").nth(2)
    before = label.bounding_box()["x"]
    page.evaluate("document.querySelector('#matrix .scroll').scrollLeft = 400")
    assert label.bounding_box()["x"] == before


@pytest.mark.parametrize(("risks", "defenses"), [(4, 3), (9, 7)])
def test_on_paper_no_table_is_cut_and_wide_ones_lie_across(opened, examples, tmp_path, risks, defenses):
    results = examples.example_results(risks=risks, defenses=defenses)
    page, _, _ = opened(results.report(tmp_path / "report.html").as_uri(), java_script_enabled=True)
    page.emulate_media(media="print")
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    tables = "[...document.querySelectorAll('table')].filter((each) => getComputedStyle(each).page {} 'wide')"
    cut = ".filter((each) => each.offsetWidth > each.parentElement.clientWidth).map((each) => each.caption.textContent)"
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 upright, without its margins
    assert page.evaluate(tables.format("!==") + cut) == []
    page.set_viewport_size({"width": 1047, "height": 700})  # and across
    assert page.evaluate(tables.format("===") + cut) == []
    across = page.evaluate(tables.format("===") + ".some((each) => each.className === 'matrix')")
    assert across is (risks > 6)


def test_the_verdict_and_its_reason_stand_first_where_a_table_may_go_on_beyond_the_edge(visit):
    page, _, _ = visit(viewport={"width": 1280, "height": 800})
    for table in (".primary", "#utility table"):
        heads = page.locator(table).first.locator("thead th").all_inner_texts()
        assert heads[:2] == ["Row", "Verdict"]
    right = "Math.max(...[...document.querySelectorAll('#utility td:nth-child(3)')].map((e) => e.getBoundingClientRect().right))"
    assert page.evaluate(right) < 1280


def test_the_dark_theme_is_dark_and_the_light_one_light(visit):
    grounds = [
        visit(color_scheme=scheme)[0].evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 23, 27)"]
