"""The pages in a real browser: studies, the demo's tabs, sortable tables; on a screen, on a phone, light and dark.

Chromium is the distribution's (``apt-get install chromium``); without it, or without the pages' libraries, these tests are skipped.
"""

# ruff: noqa: E402  what may be missing is looked for before anything that needs it

import re
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make install-dev)")
pytest.importorskip("gradio", reason="the pages' libraries are not installed (make install-pages)")
CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine (apt-get install chromium)", allow_module_level=True)

import httpx
import uvicorn

from datamodules.views import View
from detectors.calibration import Calibration
from detectors.detector import Detector
from detectors.leaderboard import leaderboard
from eval.demo import detect, protect
from eval.demo.app import build, launch
from eval.human.answers import analyse
from eval.human.design import Design
from eval.human.pictures import LabelledFolders
from eval.human.server import application, prepare_study
from eval.matrix_report import write_matrix_report
from tiny.dataset import PortraitDataset

PHONE = {"width": 375, "height": 740}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        yield opened
        opened.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture
def visit(browser):
    """Opens pages of a colour scheme and size; at the end no page may have asked any other server for anything."""
    asked, contexts = [], []

    def opened(scheme="light", size=PHONE):
        context = browser.new_context(color_scheme=scheme, viewport=size, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not [url for url in asked if not url.startswith(("http://127.0.0.1:", "file://", "data:", "blob:"))]


CONTRAST = """() => {
  const lum = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parse = (s) => s.match(/[\\d.]+/g).map(Number);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const bad = [];
  for (const e of document.querySelectorAll("main *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length
      || e.closest("[aria-hidden=true], [inert], .visually-hidden")) continue;
    const [a, b] = [lum(parse(getComputedStyle(e).color).slice(0, 3)), lum(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) bad.push([e.tagName, e.className, e.textContent.trim().slice(0, 40)].join(" "));
  }
  return bad;
}"""
UNLABELLED = """() => [...document.querySelectorAll("main input:not([type=hidden]), main select, main button, main progress")]
  .filter((e) => !(e.labels && e.labels.length) && !e.textContent.trim() && !e.ariaLabel).map((e) => e.outerHTML)"""


def readable(page):
    """Contrast AA, every control labelled, no sideways scrolling of the page itself."""
    for _ in range(20):
        if not (faint := page.evaluate(CONTRAST)):
            break
        page.wait_for_timeout(250)  # colours may still be fading in
    assert not faint
    assert page.evaluate(UNLABELLED) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("[...document.images].every((image) => image.alt !== '')")


@pytest.fixture(scope="module")
def portraits_on_disk(tmp_path_factory):
    """Drawn portraits, 64 pixels, as two labels of a study."""
    folder = tmp_path_factory.mktemp("portraits")
    for index, item in enumerate(PortraitDataset(1_000_000, 4, 2).__getitems__(list(range(8)))):
        levels = (item["image"].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        (folder / ("real", "generated")[index % 2]).mkdir(exist_ok=True)
        Image.fromarray(levels).save(folder / ("real", "generated")[index % 2] / f"{index}.png")
    return folder


@pytest.fixture
def study(portraits_on_disk, tmp_path):
    design = Design(
        kind="label", title="Photograph or generated?", question="Is this a photograph, or was it generated?",
        labels={"real": "A photograph", "generated": "Generated by a model"}, target="generated", number=3, size=64,
        introduction="You will see six pictures.", reasons=["Blur", "Detail"], about={"Used generators before?": ["Yes", "No"]},
    )  # fmt: skip
    store = prepare_study(design, LabelledFolders({name: portraits_on_disk / name for name in design.labels}), tmp_path / "study", 0)
    port = free_port()
    app = application(design, store, tmp_path / "study", 0)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}", tmp_path / "study"
    server.should_exit = True
    thread.join(20)


def test_a_study_is_done_by_keyboard_on_a_phone(study, visit, scheme):
    url, folder = study
    page = visit(scheme)
    page.goto(url)
    readable(page)
    page.get_by_role("button", name="Begin").click()
    assert page.url.rstrip("/") == url, "nothing is sent before consent"
    page.get_by_label("Yes").check()
    page.get_by_label("I agree that").check()
    page.get_by_role("button", name="Begin").click()
    page.wait_for_url("**/take/*")
    readable(page)
    for number in range(1, 7):
        assert page.get_by_text(f"Question {number} of 6").is_visible()
        page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth === 64)")
        assert not page.get_by_role("checkbox", name="Blur").is_visible(), "reasons are asked for only after 'generated'"
        if number % 2:
            page.get_by_role("radio", name="A photograph").focus()
            page.keyboard.press("Space")
        else:
            page.get_by_role("radio", name="Generated by a model").check()
            page.get_by_role("checkbox", name="Blur").check()
        page.get_by_role("button", name="Answer").focus()
        page.keyboard.press("Enter")
        if number == 3:  # comes back another day
            address, page = page.url, visit(scheme)
            page.goto(address)
        page.wait_for_selector("text=Thank you" if number == 6 else f"text=Question {number + 1} of 6")
    readable(page)
    record = analyse(folder)
    assert (record["people"], record["answers"]) == (1, 6)
    assert record["reasons"]["Blur"]["count"] == 3


@pytest.fixture(scope="module")
def demo(generator_folder, tmp_path_factory):
    """The demo with small real models, and the folder of its visitors' files."""
    torch.manual_seed(0)
    weights, folder = tmp_path_factory.mktemp("detector"), tmp_path_factory.mktemp("visitors")
    detector = Detector("tiny_patches", view=View("crop", size=32, resize=32))
    detector.calibration = Calibration(real_below=0.4, generated_above=0.6, pictures=100)
    detector.save_pretrained(weights)
    pages = build({"protector": (protect, str(generator_folder)), "detector": (detect, str(weights)), "index": (detect, None)}, folder)
    port = free_port()
    launch(pages, folder, "127.0.0.1", port, wait=False)
    yield f"http://127.0.0.1:{port}", folder
    pages.close()


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


def test_the_demo_protects_and_detects_and_keeps_nothing(demo, visit, scheme, portraits_on_disk, tmp_path):
    url, folder = demo
    page = visit(scheme)
    page.goto(url)
    page.wait_for_selector("#protect-files")
    readable(page)
    photo = sorted((portraits_on_disk / "real").glob("*.png"))[0]
    hostile = tmp_path / "drawing.png"
    hostile.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    page.locator("#protect-files input[type=file]").set_input_files([photo, hostile])
    page.get_by_role("button", name="Protect", exact=True).click()
    page.wait_for_function("document.querySelector('#protect-report textarea').value.includes('protected')")
    page.wait_for_selector("#protect-shown img")
    readable(page)
    report = page.locator("#protect-report textarea").input_value()
    assert "drawing.png: not a PNG" in report
    with page.expect_download() as download:
        page.locator("#protect-made a[download]").first.click()
    saved = tmp_path / "saved.png"
    download.value.save_as(saved)
    before, after = (np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (photo, saved))
    assert 1 <= np.abs(after - before).max() <= 6
    page.get_by_role("tab", name="Detect").first.click()
    page.locator("#detect-files input[type=file]").set_input_files(photo)
    page.get_by_role("button", name="Detect", exact=True).click()
    page.wait_for_function("document.querySelector('#detect-report textarea').value.includes('1 judged')")
    words = page.locator("#detect-table").inner_text()
    detector_says = re.search(r"(real|unsure|generated)\s+(0\.\d+|1\.000)", words)
    assert detector_says, words
    page.wait_for_selector("#detect-shown img")
    assert files_in(folder)
    page.close()
    for _ in range(120):
        if not files_in(folder):
            break
        threading.Event().wait(0.5)
    assert not files_in(folder), "uploads and results go with the visitor"


def test_names_and_paths_lead_nowhere(demo):
    url, folder = demo
    answer = httpx.post(f"{url}/gradio_api/upload", files={"files": ("../../../evil.png", b"x", "image/png")})
    for stored in [*map(Path, answer.json() if answer.status_code == 200 else []), *folder.parent.rglob("evil.png")]:
        assert stored.resolve().is_relative_to(folder.resolve()), "three folders up is not reached"
    for path in ("/etc/hostname", str(Path(__file__).resolve()), "../../../../etc/hostname"):
        assert httpx.get(f"{url}/gradio_api/file={path}").status_code in (403, 404)
    assert httpx.post(f"{url}/gradio_api/upload", files={"files": ("big.png", b"\0" * 26_000_000, "image/png")}).status_code == 413
    assert httpx.get(url, headers={"host": "evil.example"}).status_code == 400


def test_tables_sort_and_filter_by_keyboard(visit, scheme, tmp_path):
    for name, flips in (("alpha", 0), ("beta", 2)):
        rows = [f"{i % 2},{0.9 if (i % 2) ^ (i < flips) else 0.1}" for i in range(20)]
        (tmp_path / f"{name}.csv").write_text("label,score\n" + "\n".join(rows) + "\n")
    leaderboard([tmp_path / "alpha.csv", tmp_path / "beta.csv"], tmp_path)
    page = visit(scheme)
    page.goto((tmp_path / "leaderboard.html").as_uri())
    readable(page)
    ranking, board = page.locator("table").nth(0), page.locator("table").nth(1)
    head = ranking.get_by_role("button", name="AUC", exact=True)
    head.focus()
    page.keyboard.press("Enter")
    assert ranking.locator("tbody tr td:first-child").all_inner_texts() == ["alpha", "beta"]
    page.keyboard.press("Enter")
    assert ranking.locator("tbody tr td:first-child").all_inner_texts() == ["beta", "alpha"]
    assert ranking.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    board.get_by_role("button", name="Midjourney").or_(board.get_by_role("button").nth(12)).first.click()
    page.get_by_label("Show rows with").nth(1).fill("convnext 0.5")
    shown = board.locator("tbody tr:visible td:first-child").all_inner_texts()
    assert len(shown) == 4
    assert all("ConvNeXt" in name for name in shown)
    assert page.locator("output").nth(1).inner_text().strip().startswith("4 of")


def test_the_matrix_is_such_a_table(visit, tmp_path):
    rows = []
    for place, arm in enumerate(("clean", "rid", "noise")):
        for attack in ("ti", "db"):
            folder = tmp_path / "cells" / attack / "none" / "people" / "anna" / arm
            folder.mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(folder / "generated_00.png")
            facts = {"attack": attack, "purification": "none", "arm": arm, "person": "anna", "real_ism": 0.9}
            rows.append(facts | {"ism_all": 0.8 - 0.1 * place, "fdfr": 0.0, "brisque": 30.0})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "results.parquet")
    write_matrix_report(tmp_path)
    page = visit()
    page.goto((tmp_path / "report.html").as_uri())
    readable(page)
    table = page.locator("table.sortable").first
    before = table.locator("tbody tr td:first-child").all_inner_texts()
    table.get_by_role("button", name="ISM").first.click()
    values = [float(text.split()[0]) for text in table.locator("tbody tr td:nth-child(2)").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    table.get_by_role("button", name="arm").click()
    assert sorted(before) == table.locator("tbody tr td:first-child").all_inner_texts()
