"""The demo in a real browser: every tab, what is handed in and what comes back."""

import contextlib
import os
import re
import threading
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

pytest.importorskip("gradio", reason="the pages' libraries are not installed (make install-pages)")

import gradio as gr
import httpx
from gradio_client import Client, handle_file

from detectors.calibration import Calibration
from detectors.detector import Detector
from detectors.operating_points import OperatingPoint
from eval.demo import attack, detect, find, protect, sentinel
from eval.demo.app import ENTRIES, POLICY, build, launch
from eval.demo.background import Cancelled, in_steps
from eval.demo.tab import Tab
from images.transforms.views import View
from tests.conftest import SHIPPED
from tests.eval.pages import readable
from tests.eval.test_service import Waiting, served
from tests.ports import free_port
from tiny.collages import collage
from tiny.dataset import PortraitDataset

SCREEN = {"width": 1000, "height": 900}
"""On a phone the last tabs are in a menu."""


BEGUN, ENDED = threading.Event(), threading.Event()


def endless(step):
    """Work that only cancelling ends."""
    BEGUN.set()
    try:
        while True:
            threading.Event().wait(0.01)
            step()
    except Cancelled:
        ENDED.set()
        raise


def add_slow(sessions):
    """A tab with such work."""

    def slow(given):
        for _ in in_steps(endless):
            yield ([],)

    tab = Tab(sessions, "slow", "Images", {"Wait": slow}, {"Slow example": ("Wait", ["copy.jpg"])})
    tab.connect(gr.Gallery(label="Nothing"))


@pytest.fixture(scope="module")
def demo(generator_folder, pipelines, tmp_path_factory):
    """The demo with small real models, and the folder of its visitors' files."""
    torch.manual_seed(0)
    weights, folder = tmp_path_factory.mktemp("detector"), tmp_path_factory.mktemp("visitors")
    detector = Detector("tiny_patches", view=View("crop", size=32, resize=32))
    detector.calibration = Calibration(images=100, points=(OperatingPoint(0.05, -0.4, 0.4),))
    detector.save_pretrained(weights)
    tabs = {
        "protector": (protect.NAME, partial(protect.add, str(generator_folder))),
        "detector": (detect.NAME, partial(detect.add, str(weights))),
        "index": (find.NAME, partial(find.add, str(SHIPPED / "index"), entries=ENTRIES)),
        "reader": (sentinel.NAME, partial(sentinel.add, str(SHIPPED / "embedder"))),
        "attacker": (
            attack.NAME,
            partial(attack.add, str(generator_folder), pipelines[0], str(SHIPPED / "faces")),
        ),
        "slow": ("Slow", add_slow),
        "other": ("Other", None),
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(attack, "STEPS", 3)
        pages = build(tabs, folder)
    port = free_port()
    launch(pages, folder, "127.0.0.1", port, wait=False)
    yield f"http://127.0.0.1:{port}", folder
    pages.close()


def files_in(folder):
    """Files that are not empty; what vanishes while it is listed is none."""
    found = []
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                found += [path] if path.stat().st_size else []
    return found


def test_the_demo_protects_and_detects_and_keeps_nothing(
    demo, visit, scheme, portraits_on_disk, tmp_path
):
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
    page.wait_for_function(
        "document.querySelector('#protect-report textarea').value.includes('protected')"
    )
    page.wait_for_selector("#protect-shown img")
    readable(page)
    report = page.locator("#protect-report textarea").input_value()
    assert "drawing.png: its content is SVG, not a PNG" in report
    with page.expect_download() as download:
        page.locator("#protect-made a[download]").first.click()
    saved = tmp_path / "saved.png"
    download.value.save_as(saved)
    before, after = (
        np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (photo, saved)
    )
    assert 1 <= np.abs(after - before).max() <= 6
    page.get_by_role("tab", name="Detect").first.click()
    page.locator("#detect-files input[type=file]").set_input_files(photo)
    page.get_by_role("button", name="Detect", exact=True).click()
    page.wait_for_function(
        "document.querySelector('#detect-report textarea').value.includes('1 judged')"
    )
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


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A drawn picture of 160 by 120 pixels that no index knows."""
    file = tmp_path_factory.mktemp("drawn") / "my collage.png"
    Image.fromarray(collage(1_020_000, 160)[:120]).save(file)
    return file


def test_the_demo_activates_a_picture_and_finds_it_again(demo, visit, drawn, tmp_path):
    page = opened(visit, demo, "Find")
    page.locator("#find-files input[type=file]").set_input_files(drawn)
    page.get_by_role("button", name="Search", exact=True).click()
    said(page, "#find-report", "1 looked up")
    assert "yours" not in page.locator("#find-table").inner_text()
    page.get_by_role("button", name="Activate", exact=True).click()
    report = said(page, "#find-report", "1 activated")
    page.wait_for_selector("#find-shown img")
    readable(page)
    activated, before, quality = re.search(
        r"after (\d+) of 15 edits, before activation after (\d+); PSNR ([\d.]+)", report
    ).groups()
    assert int(activated) >= 1 <= int(before), "unedited it is found first"
    assert float(quality) >= 41.99
    rows = page.locator("#find-table").inner_text().split()
    assert rows[rows.index("none") + 1] == rows[rows.index("none") + 2] == "first"
    saved = tmp_path / "saved.png"
    with page.expect_download() as download:
        page.locator("#find-made a[download]").first.click()
    download.value.save_as(saved)
    before, after = (
        np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (drawn, saved)
    )
    assert 1 <= np.abs(after - before).max() <= 40
    copy = tmp_path / "copy.jpg"
    Image.open(saved).convert("RGB").resize((80, 60)).save(copy, quality=70)
    page.locator("#find-files button[aria-label=Clear]").or_(
        page.get_by_label("Clear")
    ).first.click()
    page.locator("#find-files input[type=file]").set_input_files(copy)
    page.get_by_role("button", name="Search", exact=True).click()
    said(page, "#find-report", "1 looked up")
    page.wait_for_function(
        "document.querySelector('#find-table').innerText.includes('my collage.png (yours)')"
    )
    stranger = opened(visit, demo, "Find")
    stranger.locator("#find-files input[type=file]").set_input_files(drawn)
    stranger.get_by_role("button", name="Search", exact=True).click()
    said(stranger, "#find-report", "1 looked up")
    assert "yours" not in stranger.locator("#find-table").inner_text(), (
        "what a visitor enters is theirs alone"
    )


def test_the_demo_plants_a_key_and_reads_it_back(demo, visit, tmp_path):
    portrait, small = tmp_path / "portrait.png", tmp_path / "small.png"
    levels = (
        PortraitDataset(1_000_000, 1, 1, size=128)
        .__getitems__([0])[0]["image"]
        .permute(1, 2, 0)
        .numpy()
        * 255
    ).round()
    Image.fromarray(levels.astype(np.uint8)).save(portrait)
    Image.new("RGB", (20, 20)).save(small)
    page = opened(visit, demo, "Sentinel")
    page.locator("#sentinel-files input[type=file]").set_input_files([portrait, small])
    page.get_by_role("button", name="Plant", exact=True).click()
    assert "small.png: an image of 20x20 pixels is too small" in said(
        page, "#sentinel-report", "1 planted"
    )
    page.wait_for_selector("#sentinel-shown img")
    readable(page)
    key = re.search(r"\b[A-Z]{6}\b", page.locator("#sentinel-table").inner_text()).group()
    saved = tmp_path / "sentinel.png"
    with page.expect_download() as download:
        page.locator("#sentinel-made a[download]").first.click()
    download.value.save_as(saved)
    page.reload()
    page.get_by_role("tab", name="Sentinel").first.click()
    page.locator("#sentinel-files input[type=file]").set_input_files(saved)
    page.get_by_role("button", name="Read", exact=True).click()
    said(page, "#sentinel-report", "1 read")
    page.wait_for_function(f"document.querySelector('#sentinel-table').innerText.includes('{key}')")


def test_every_tab_has_an_example_at_one_click(demo, visit):
    page = opened(visit, demo, "Protect")
    for tab, example, report, words in (
        ("Protect", "a drawn portrait", "protect", "portrait.png: protected"),
        ("Detect", "a portrait by a small pipeline", "detect", "1 judged"),
        ("Find", "an edited copy of an entry", "find", "1 looked up"),
        ("Sentinel", "read a sentinel", "sentinel", "1 read"),
        ("Attack", "four portraits of a drawn person", "attack", "4 photos attacked"),
    ):
        page.get_by_role("tab", name=tab).first.click()
        page.get_by_role("button", name=f"Example: {example}").click()
        said(page, f"#{report}-report", words)
        readable(page)
    rows = page.locator("#attack-table").inner_text()
    assert re.search(r"clean\s.*protected\s", rows, re.DOTALL)
    assert page.locator("#attack-clean img").count() == 4
    assert page.locator("#attack-protected img").count() == 4
    page.get_by_role("tab", name="Sentinel").first.click()
    page.wait_for_function("document.querySelector('#sentinel-table').innerText.includes('QRVXHK')")
    page.get_by_role("tab", name="Find").first.click()
    page.wait_for_function("document.querySelector('#find-table').innerText.includes('collage_')")
    table = page.locator("#find-table")
    assert re.search(r"\b1\s+collage_1010017\.png\s+0\.\d+\s+unsure", table.inner_text())
    assert page.locator("#find-shown img").count() >= 6, "the image and its five entries"
    page.get_by_role("button", name="Example: a drawn image that is no entry").click()
    page.wait_for_function(
        "/^stranger.png\\s+1\\s+collage_\\d+.png\\s+0.\\d+\\s+\\w/m.test("
        "document.querySelector('#find-table').innerText)"
    )
    assert re.search(r"\b1\s+collage_\d+\.png\s+0\.\d+\s+not in the index", table.inner_text())


def test_programs_can_ask(demo, drawn, tmp_path):
    client = Client(demo[0], verbose=False, download_files=str(tmp_path))
    actions = ("protect", "detect", "search", "activate", "plant", "read", "attack", "wait")
    described = client.view_api(return_format="dict")["named_endpoints"]
    assert set(described) == {f"/{action}" for action in actions}
    table, _, report = client.predict([handle_file(str(drawn))], api_name="/detect")
    assert report == "1 judged"
    assert table["data"][0][1] in ("real", "unsure", "generated")
    _, files, _ = client.predict([handle_file(str(drawn))], api_name="/protect")
    assert [Path(file).name for file in files] == ["my collage-protected.png"]
    assert np.asarray(Image.open(files[0])).shape == (120, 160, 3)
    client.close()


def test_cancelled_work_ends_at_its_next_step(demo, visit):
    page = opened(visit, demo, "Slow")
    page.get_by_role("button", name="Slow example").click()
    assert BEGUN.wait(60)
    page.get_by_role("button", name="Cancel").locator("visible=true").click()
    assert ENDED.wait(60)
    results = []

    def whole():
        results.append((yield from in_steps(lambda step: step() or "done")))

    list(whole())
    assert results == ["done"]


def test_frames_are_for_named_pages_only(demo):
    assert httpx.get(demo[0]).headers["content-security-policy"] == POLICY + "'none'"


def test_the_page_of_the_service_can_be_read(visit):
    with served([Waiting()], ["a key of a test, none".replace(" ", "-")]) as client:
        page = visit()
        page.goto(str(client.base_url))
        for scheme, width in product(("light", "dark"), (1400, 390)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            readable(page)
            found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]})
            assert [rule["id"] for rule in found.response["violations"]] == []


def test_a_tab_without_a_model_says_how_to_give_it_one(demo, visit):
    page = opened(visit, demo, "Other")
    assert page.get_by_text("--other NAME").is_visible()


def opened(visit, demo, tab):
    """The demo at a tab."""
    page = visit(size=SCREEN)
    page.goto(demo[0])
    page.get_by_role("tab", name=tab).first.click()
    return page


def said(page, report, words):
    """The report of a tab, once it has these words."""
    page.wait_for_function(f"document.querySelector('{report} textarea').value.includes('{words}')")
    return page.locator(f"{report} textarea").input_value()


def test_names_and_paths_lead_nowhere(demo):
    url, folder = demo
    answer = httpx.post(
        f"{url}/gradio_api/upload", files={"files": ("../../../evil.png", b"x", "image/png")}
    )
    for stored in [
        *map(Path, answer.json() if answer.status_code == 200 else []),
        *folder.parent.rglob("evil.png"),
    ]:
        assert stored.resolve().is_relative_to(folder.resolve()), "three folders up is not reached"
    for path in ("/etc/hostname", str(Path(__file__).resolve()), "../../../../etc/hostname"):
        assert httpx.get(f"{url}/gradio_api/file={path}").status_code in (403, 404)
    assert (
        httpx.post(
            f"{url}/gradio_api/upload",
            files={"files": ("big.png", b"\0" * 26_000_000, "image/png")},
        ).status_code
        == 413
    )
    assert httpx.get(url, headers={"host": "evil.example"}).status_code == 400
