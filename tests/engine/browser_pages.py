"""Exported pages on a server that notes what is asked for, and photos of odd kinds."""

import functools
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.browser.build import HERE, RUNTIME

INSTALLED = pytest.mark.skipif(
    not RUNTIME.is_dir(), reason=f"onnxruntime-web is not installed (npm ci --prefix {HERE})"
)


@contextmanager
def serving(folder):
    """A folder's address, and every path that is asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()
    server.server_close()


def photo(height, width, seed=0):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    smooth = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    noise = rng.integers(-8, 9, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(smooth).astype(int) + noise, 0, 255).astype(np.uint8))


def odd_photos(folder):
    """Photos of odd sizes, formats and metadata."""
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo(32, 32).save(folder / "same size.png")
    photo(33, 31, 1).save(folder / "one off.png")
    photo(9, 14, 2).save(folder / "tiny.png")
    photo(40, 700, 3).save(folder / "wide.png")
    photo(301, 60, 4).save(folder / "tall.jpg", quality=92)
    photo(120, 90, 5).save(folder / "turned.jpg", exif=exif, quality=95)
    photo(77, 101, 6).save(folder / "profile.jpg", icc_profile=profile, quality=90)
    photo(64, 96, 7).save(folder / "progressive.jpeg", progressive=True, subsampling=0)
    photo(64, 64, 8).convert("L").save(folder / "gray.png")
    photo(50, 50, 9).quantize(64).save(folder / "palette.png")
    photo(60, 80, 10).save(folder / "lossless.webp", lossless=True)
    photo(48, 48, 11).convert("L").save(folder / "dim.jpg")
    return sorted(folder.iterdir())
