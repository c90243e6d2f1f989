"""Fixtures: a browser, images, and the service and collection of the sentinels' tests."""

import shutil

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.eval.pages import PHONE
from tests.sentinels.conftest import collection, service, stub
from tiny.dataset import PortraitDataset

__all__ = ["collection", "service", "stub"]


@pytest.fixture(scope="module")
def browser():
    """The distribution's Chromium; without it, or without playwright, the tests are skipped."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (make install-dev)"
    )
    chromium = next(
        (
            found
            for name in ("chromium", "chromium-browser", "google-chrome")
            if (found := shutil.which(name))
        ),
        None,
    )
    if chromium is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        yield opened
        opened.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture
def visit(browser):
    """Open pages of a color scheme and size.

    At the end, no page may have requested anything from another server.
    """
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
    assert not [
        url
        for url in asked
        if not url.startswith(("http://127.0.0.1:", "file://", "data:", "blob:"))
    ]


@pytest.fixture(scope="module")
def portraits_on_disk(tmp_path_factory):
    """Drawn portraits, 64 pixels, as two labels of a study."""
    folder = tmp_path_factory.mktemp("portraits")
    for index, item in enumerate(PortraitDataset(1_000_000, 4, 2).__getitems__(list(range(8)))):
        levels = (item["image"].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        (folder / ("real", "generated")[index % 2]).mkdir(exist_ok=True)
        Image.fromarray(levels).save(folder / ("real", "generated")[index % 2] / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Photographs as camera JPEGs with metadata, and generated images as PNGs of another size."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for label, side in (("real", (40, 60)), ("generated", (64, 64))):
        for number in range(12):
            folder = root / label / ("people" if number % 3 else "plants")
            folder.mkdir(parents=True, exist_ok=True)
            small = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
            image = Image.fromarray(small).resize(side[::-1], Image.Resampling.BICUBIC)
            if label == "real":
                notes = Image.Exif()
                notes[271] = "CAMERA-MAKER"
                image.save(folder / f"real-{number}.jpg", exif=notes, quality=80)
            else:
                text = PngImagePlugin.PngInfo()
                text.add_text("parameters", "GENERATED-BY-MODEL")
                image.save(folder / f"generated-{number}.png", pnginfo=text)
    return {label: root / label for label in ("real", "generated")}
