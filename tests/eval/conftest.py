"""Fixtures: a browser, images, and the service and collection of the sentinels' tests."""

import shutil

import numpy as np
import pytest
from PIL import Image

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
