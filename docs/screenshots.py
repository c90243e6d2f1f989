"""Take the pictures of the pages: each on a desk, light, beside a phone, dark.

Run ``python docs/screenshots.py scan=scores.html find=http://127.0.0.1:7860/#Find``. Each
``NAME=PAGE`` becomes ``docs/images/pages/NAME.webp``. The page is a file or an address on this
machine. The word after ``#`` is a tab of the demo, whose first example is clicked.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, Route, ViewportSize, sync_playwright

FOLDER = Path(__file__).parent / "images" / "pages"
DESK = ViewportSize(width=1400, height=1100)
PHONE = ViewportSize(width=390, height=844)
GAP = 24
EXAMPLE = "eval/demo/examples/portrait.png"
WORK_MS = 300_000
"""Longest time that an example of the demo may take."""


def main(arguments: list[str]) -> None:
    """Take the picture of every page that is named."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for argument in arguments:
            name, _, address = argument.partition("=")
            if Path(address).is_file():
                address = Path(address).resolve().as_uri()
            picture(browser, address).save(FOLDER / f"{name}.webp", quality=80, method=6)
            print(FOLDER / f"{name}.webp")


def picture(browser: Browser, address: str) -> Image.Image:
    """Draw a page on a desk and on a phone, side by side."""
    desk = shot(browser, address, DESK, "light")
    phone = shot(browser, address, PHONE, "dark")
    phone = phone.resize((phone.width * desk.height // phone.height, desk.height))
    both = Image.new("RGB", (desk.width + GAP + phone.width, desk.height), "white")
    both.paste(desk, (0, 0))
    both.paste(phone, (desk.width + GAP, 0))
    return both.resize((1400, both.height * 1400 // both.width), Image.Resampling.LANCZOS)


def shot(
    browser: Browser, address: str, size: ViewportSize, scheme: Literal["light", "dark"]
) -> Image.Image:
    """Draw what a window of a size shows of a page."""
    page = browser.new_page(viewport=size, color_scheme=scheme)
    page.set_default_timeout(WORK_MS)
    page.route("**/*", stay_here)
    page.goto(address, wait_until="domcontentloaded")
    page.wait_for_timeout(1000)
    _, _, tab = address.partition("#")
    if tab:
        run_example(page, tab)
    elif page.locator("form[action='/begin']").count():
        begin_study(page)
    elif page.locator("main input[type=file]").count():
        page.locator("main input[type=file]").first.set_input_files(EXAMPLE)
        page.wait_for_timeout(8000)
    drawn = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.close()
    return drawn


def stay_here(route: Route) -> None:
    """Let nothing be asked of other machines."""
    here = route.request.url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:"))
    route.continue_() if here else route.abort()


def begin_study(page: Page) -> None:
    """Give the first answer to every question of a study's first page, and go on."""
    for question in page.locator("fieldset").all():
        question.locator("input").first.check()
    page.get_by_role("button", name="Begin").click()
    page.wait_for_timeout(1000)


def run_example(page: Page, tab: str) -> None:
    """Click a tab's first example, and wait for its results."""
    page.wait_for_selector("#protect-files")
    heads = page.get_by_role("tab", name=tab)
    if not heads.count():  # on a phone the last tabs are in a menu
        page.locator(".overflow-menu > button").click()
        heads = page.locator(".overflow-dropdown button", has_text=tab)
    heads.first.click()
    page.wait_for_selector(f"#{tab.lower()}-files")
    page.get_by_role("button", name="Example: ").locator("visible=true").first.click()
    report = f"document.querySelector('#{tab.lower()}-report textarea').value"
    page.wait_for_function(f"/: protected|judged|looked up|planted|photos attacked/.test({report})")
    page.wait_for_timeout(3000)
    page.evaluate("window.scrollTo(0, 0)")


if __name__ == "__main__":
    main(sys.argv[1:])
