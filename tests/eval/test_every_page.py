"""Every page in a real browser: light and dark, on a desk and on a phone, with hostile names."""

import pytest

from engine.pages.shell import FILE_POLICY
from tests.eval.every_page import NAME, PAGES, personalization
from tests.eval.pages import readable, wait_for_images

SIZES = {"width": 1280, "height": 900}, {"width": 390, "height": 844}, {"width": 360, "height": 640}
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


def test_it_can_be_read(file, visit, scheme):
    page = visit(scheme)
    opened(page, file)
    for size in SIZES:
        page.set_viewport_size(size)
        readable(page)
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    assert page.evaluate("[...document.images].every((image) => image.src.startsWith('data:'))")
    assert page.evaluate(CUT) == [], "the column of names leaves room for figures"
    assert page.locator("meta[http-equiv]").get_attribute("content") == FILE_POLICY
    assert page.locator("h1").count() == 1
    assert page.title() == page.locator("h1").inner_text()


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
    assert page.get_by_text("python -m eval personalize", exact=True).is_visible()
    whole = page.locator("details pre")
    assert not whole.is_visible()
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    assert whole.is_visible()


def test_one_person_has_no_interval(visit, tmp_path):
    page = visit()
    (tmp_path / "alone").mkdir()
    opened(page, personalization(tmp_path / "alone"))
    row = page.locator("table", has_text="95 % interval").first.locator("tbody tr").first
    assert row.locator("td").nth(1).inner_text() == "\N{EN DASH}"


def test_lost_images_are_counted_once(visit, tmp_path):
    page = visit()
    opened(page, PAGES["search"](tmp_path))
    assert page.get_by_text("2 of the 20 files named here are not at their place").count() == 1
    assert page.locator("figure:not(:has(img))").count() == 12


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
