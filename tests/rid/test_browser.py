"""The exported page in a real browser: odd photos, requests, metadata and words."""

import hashlib
import json
from itertools import product

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from engine.browser.build import PART_BYTES, POLICY, write_parts
from images.io import open_photo
from rid.__main__ import main
from tests.engine.browser_pages import INSTALLED, odd_photos, photo, serving
from tests.eval.conftest import browser, visit
from tests.eval.pages import readable
from tests.rid.test_export import small_generator

__all__ = ["browser", "visit"]

pytest.importorskip("onnxruntime", reason="needs requirements-onnx.txt")


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    small_generator(folder / "rid")
    assert main(["export", str(folder / "rid"), "-o", str(folder / "page"), "--quiet"]) == 0
    return folder / "page"


@pytest.fixture(scope="module")
def served(page_folder):
    with serving(page_folder) as (address, asked):
        yield address, asked


def protected_here(page, files, count):
    page.locator("#photos").set_input_files([str(file) for file in files])
    page.get_by_text(f"{count} of {len(files)} photos protected").wait_for(timeout=120_000)


def saved(page, folder):
    """Every file that the page offers, by name."""
    for link in page.get_by_role("link", name="Save as PNG").all():
        with page.expect_download() as download:
            link.click()
        download.value.save_as(folder / download.value.suggested_filename)
    return {file.name: file for file in folder.iterdir()}


@INSTALLED
@pytest.mark.parametrize("mode", ["resize", "tile"])
def test_it_equals_rid_protect_and_sends_nothing(mode, visit, served, page_folder, tmp_path):
    address, asked = served
    files = odd_photos(tmp_path / "photos")
    command = ["protect", str(tmp_path / "photos"), "-o", str(tmp_path / "here")]
    command += ["--weights", str(page_folder.parent / "rid"), "--resize-mode", mode, "--quiet"]
    assert main(command) == 0
    page = visit()
    page.goto(address)
    page.get_by_text("works without a network").wait_for()
    found = {}
    for half in (files[:6], files[6:]):  # Chromium saves ten files in a row at most
        page.reload()
        page.get_by_label("Large photos").select_option(mode)
        before = len(asked)
        protected_here(page, half, len(half))
        assert not any(file.stem.split()[0] in path for file in half for path in asked[before:])
        found |= saved(page, tmp_path / "there")
    assert all(path.count("/") <= 2 for path in asked), "the page's own files alone"
    assert len(found) == len({file.stem for file in files})
    different = total = 0
    for file in (tmp_path / "here").glob("*.png"):
        ours, theirs = open_photo(file), open_photo(found[file.name])
        assert ours.rgb.shape == theirs.rgb.shape
        gaps = np.abs(ours.rgb.astype(int) - theirs.rgb)
        different += (gaps > 1).sum()
        total += gaps.size
    assert total > 50_000
    assert different <= 0.001 * total


@INSTALLED
def test_it_works_offline_on_several_threads(visit, served, tmp_path):
    address, _ = served
    page = visit()
    page.goto(address)
    page.get_by_text("works without a network").wait_for()
    protected_here(page, odd_photos(tmp_path / "a")[:1], 1)
    assert page.evaluate("crossOriginIsolated")
    page.context.set_offline(True)
    page.reload()
    protected_here(page, odd_photos(tmp_path / "b")[:2], 2)
    assert page.get_by_text("changed by at most 6 of 255").count() == 2
    page.context.set_offline(False)


@INSTALLED
def test_metadata_stays_and_changed_files_are_refused(visit, served, tmp_path):
    address, _ = served
    files = odd_photos(tmp_path / "photos")
    turned = next(file for file in files if file.name == "turned.jpg")
    profile = next(file for file in files if file.name == "profile.jpg")
    photo(64, 64).convert("RGBA").save(tmp_path / "opaque.png")
    ghost = photo(64, 64).convert("RGBA")
    ghost.putalpha(128)
    ghost.save(tmp_path / "ghost.png")
    (tmp_path / "words.jpg").write_text("not a photo")
    page = visit()
    page.goto(address)
    protected_here(page, [turned, profile, tmp_path / "opaque.png"], 3)
    found = saved(page, tmp_path / "saved")
    with Image.open(found["turned.png"]) as kept:
        assert kept.size == (120, 90)
        assert kept.getexif()[0x010F] == "a camera"
        assert kept.getexif().get(0x0112, 1) == 1
    with Image.open(found["profile.png"]) as kept, Image.open(profile) as original:
        assert kept.info["icc_profile"] == original.info["icc_profile"]
    (mark,) = open_photo(found["turned.png"]).metadata.marks
    assert (mark.job, mark.levels) == ("protect", 6)
    assert mark.original == hashlib.sha256(turned.read_bytes()).hexdigest()
    page.reload()
    again = [found["turned.png"], tmp_path / "ghost.png", tmp_path / "words.jpg"]
    page.locator("#photos").set_input_files([str(file) for file in again])
    page.get_by_text("0 of 3 photos protected, 3 not").wait_for(timeout=120_000)
    assert page.get_by_text("changed by this project before").count() == 1
    assert page.get_by_text("transparent parts").count() == 1
    assert page.get_by_text("cannot read it").count() == 1


@INSTALLED
def test_it_can_be_read(visit, served, tmp_path):
    page = visit()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(served[0])
    protected_here(page, odd_photos(tmp_path / "photos")[:2], 2)
    for scheme, width in product(("light", "dark"), (1400, 390)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        readable(page)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
        assert [rule["id"] for rule in found] == []
    assert said == []
    assert page.locator("meta[http-equiv]").get_attribute("content") == POLICY
    page.get_by_role("button", name="Enlarge: after").first.click()
    assert page.get_by_role("slider", name="before | after").is_visible()


@INSTALLED
def test_a_large_network_comes_in_parts(page_folder, monkeypatch, tmp_path):
    monkeypatch.setattr("engine.browser.build.PART_BYTES", 20_000)
    content = (page_folder / "network.onnx.0").read_bytes()
    parts = write_parts(content, tmp_path)
    assert len(parts) > 2
    assert b"".join((tmp_path / name).read_bytes() for name in parts) == content
    assert json.loads((page_folder / "facts.json").read_text())["parts"] == ["network.onnx.0"]
    assert PART_BYTES < 100_000_000


def test_without_the_runtime_nothing_is_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("engine.browser.build.RUNTIME", tmp_path / "nowhere")
    small_generator(tmp_path / "rid")
    with pytest.raises(FileNotFoundError, match="npm ci --ignore-scripts"):
        main(["export", str(tmp_path / "rid"), "-o", str(tmp_path / "page")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rid"]
