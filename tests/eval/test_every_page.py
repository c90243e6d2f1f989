"""Every page in a real browser: light and dark, on a desk and on a phone, with hostile names."""

import csv
import json

import pytest
from axe_playwright_python.sync_playwright import Axe

from engine.pages.shell import FILE_POLICY
from tests.eval.every_page import NAME, PAGES, personalization
from tests.eval.pages import readable, wait_for_images

SIZES = {"width": 1400, "height": 900}, {"width": 390, "height": 844}, {"width": 360, "height": 640}
CUT = """() => [...document.querySelectorAll("table.sortable")].filter((table) => {
  const name = table.querySelector("tbody th").getBoundingClientRect().width;
  return table.closest(".scroll").clientWidth - name < 120;
}).map((table) => table.outerHTML.slice(0, 300))"""


@pytest.fixture(scope="module", params=PAGES)
def file(request, tmp_path_factory):
    return PAGES[request.param](tmp_path_factory.mktemp(request.param))


def opened(page, file):
    """Open a page; it may not log to its console, nor run a script in a name."""
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(file.as_uri())
    wait_for_images(page)
    assert said == []


def test_it_can_be_read_and_keeps_the_rules_of_accessibility(file, visit, scheme):
    page = visit(scheme)
    opened(page, file)
    for size in SIZES:
        page.set_viewport_size(size)
        readable(page)
        if size["width"] == 360:
            continue  # as 390 for these rules
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]})
        broken = [
            (rule["id"], rule["nodes"][0]["html"][:200]) for rule in found.response["violations"]
        ]
        assert broken == []
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    assert page.evaluate("[...document.images].every((image) => image.src.startsWith('data:'))")
    assert page.evaluate(CUT) == [], "the column of names leaves room for figures"
    assert page.locator("meta[http-equiv]").get_attribute("content") == FILE_POLICY
    assert page.locator("h1").count() == 1
    assert page.title() == page.locator("h1").inner_text()


def test_images_are_enlarged_and_compared(visit, tmp_path):
    page = visit()
    opened(page, personalization(tmp_path))
    viewer = page.get_by_role("dialog")
    page.get_by_role("button", name="Enlarge: protected by rid").first.click()
    assert viewer.get_attribute("aria-label") == "protected by rid"
    before = viewer.get_by_alt_text("real images of")
    slider = viewer.get_by_role("slider", name="before | after")
    slider.fill("30")
    assert before.evaluate("(image) => image.style.clipPath") == "inset(0px 70% 0px 0px)"
    page.keyboard.press("Escape")
    assert viewer.count() == 0
    page.get_by_role("button", name="Enlarge: generated after rid").first.focus()
    page.keyboard.press("Enter")
    assert not before.is_visible(), "an image without another to compare with has no slider"
    last = page.locator("main img").last.get_attribute("alt")
    page.get_by_role("button", name="Enlarge: real images of").first.evaluate("(b) => b.click()")
    page.keyboard.press("ArrowLeft")
    assert viewer.get_attribute("aria-label") == last, "before the first comes the last"
    viewer.get_by_role("button", name="Close").click()
    assert viewer.count() == 0


def test_rows_are_chosen_and_saved(visit, tmp_path):
    page = visit()
    opened(page, PAGES["scan"](tmp_path))
    page.get_by_label("verdict").select_option("generated")
    assert page.get_by_text("2 of 45", exact=True).is_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as CSV").click()
    rows = list(csv.DictReader(saved.value.path().read_text().splitlines()))
    assert saved.value.suggested_filename == "Findings.csv"
    assert [row["verdict"] for row in rows] == ["generated"] * 2
    page.get_by_label("verdict").select_option("")
    page.get_by_label("Show rows with").fill("cmd")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as CSV").click()
    assert saved.value.path().read_text().splitlines()[1].startswith('"\'=cmd.png"'), "no formula"
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as JSON").click()
    (row,) = json.loads(saved.value.path().read_text())
    assert (row["file"], row["P"]) == ("=cmd.png", "0.100")


def test_a_record_is_copied(visit, tmp_path):
    page = visit()
    opened(page, personalization(tmp_path))
    page.get_by_text("How this was made").click()
    page.get_by_role("button", name="Copy").click()
    page.get_by_text("copied").wait_for()


def test_a_name_is_a_name(file, visit):
    page = visit()
    opened(page, file)
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("document.querySelectorAll('main script, main style').length") == 0
    text = page.locator("body").text_content()
    assert NAME.removesuffix("gnp.png") in text or "<b>" in text


def test_what_was_recorded_is_folded_away(visit, tmp_path):
    page = visit()
    opened(page, personalization(tmp_path))
    whole = page.locator("details pre")
    assert not whole.is_visible()
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    assert whole.is_visible()
    assert page.get_by_text("python -m eval personalize", exact=True).is_visible()


def test_one_person_has_no_interval(visit, tmp_path):
    page = visit()
    (tmp_path / "alone").mkdir()
    opened(page, personalization(tmp_path / "alone"))
    row = page.locator("table", has_text="95 % interval").first.locator("tbody tr").first
    assert row.locator("td").nth(1).inner_text() == "\N{EN DASH}"


def test_lost_images_are_counted_once(visit, tmp_path):
    page = visit()
    opened(page, PAGES["search"](tmp_path))
    assert page.get_by_text("3 of the 21 files named here are not at their place").count() == 1
    assert page.locator(".match figure:not(:has(img))").count() == 13


def test_findings_are_explained_sorted_and_searched(visit, tmp_path):
    page = visit()
    opened(page, PAGES["scan"](tmp_path))
    facts = page.locator("dl.facts").inner_text()
    assert "the logit is above 0.500, P above 0.622" in facts
    assert "the logit is below -0.500, P below 0.378" in facts
    table = page.get_by_role("region", name="Findings").locator("table")
    names = table.locator("tbody tr:visible th")
    table.get_by_role("button", name="P", exact=True).click()
    table.get_by_role("button", name="P", exact=True).click()
    assert names.first.inner_text() == "0.png"
    table.get_by_role("button", name="file", exact=True).click()
    assert names.all_inner_texts().index("2.png") < names.all_inner_texts().index("10.png"), (
        "numbers in names count as numbers"
    )
    page.get_by_label("Show rows with").fill("0001")
    assert names.all_inner_texts() == ["0001.png"]
    page.get_by_label("Show rows with").fill("0.9")
    assert names.count() == 0, "figures are not searched"


def test_columns_are_chosen_and_a_phone_begins_with_few(visit, tmp_path):
    page = visit()
    opened(page, PAGES["protections"](tmp_path))
    table = page.locator("table.choosable").first
    shown = "(table) => [...table.querySelectorAll('th[data-column]:not([hidden])')].length"
    assert table.evaluate(shown) == 1 + 2 * 2, "a phone begins with two figures of each attack"
    page.get_by_text("Choose columns").first.click()
    page.get_by_role("checkbox", name="FDFR").first.check()
    assert table.evaluate(shown) == 1 + 2 * 3
    page.get_by_role("checkbox", name="lora", exact=True).first.uncheck()
    assert table.evaluate(shown) == 1 + 3
    assert not table.get_by_role("columnheader", name="lora", exact=True).is_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as JSON").first.click()
    row = json.loads(saved.value.path().read_text())[0]
    assert {"protection", "lora: ISM", "lora after jpeg75: ISM"} <= set(row), "groups name columns"
