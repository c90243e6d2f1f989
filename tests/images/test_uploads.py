"""Uploaded files: their content, not their name, decides."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from images.kinds import UnreadableImage


def test_uploads_are_what_they_say(tmp_path):
    from images.uploads import open_upload

    levels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    kinds = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF"}
    for ending, kind in kinds.items():
        Image.fromarray(levels).save(
            tmp_path / f"a.{ending}",
            format=kind,
            **({"progressive": True} if ending == "jpg" else {}),
        )
        assert open_upload(tmp_path / f"a.{ending}").rgb.shape == levels.shape
        if ending != "tif":
            (tmp_path / "two.png").write_bytes(
                (tmp_path / f"a.{ending}").read_bytes() + b"PK\x03\x04<script>alert(1)</script>"
            )
            with pytest.raises(UnreadableImage, match="after the end of the image"):
                open_upload(tmp_path / "two.png")
    png = (tmp_path / "a.png").read_bytes()
    for name, sides in (("huge.png", (20_000, 10_000)), ("large.png", (8_000, 5_000))):
        head = b"IHDR" + struct.pack(">II", *sides) + png[24:29]
        (tmp_path / name).write_bytes(
            png[:12] + head + struct.pack(">I", zlib.crc32(head)) + png[33:]
        )
    (tmp_path / "cut.png").write_bytes(png[:300])
    (tmp_path / "drawing.png").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    )
    (tmp_path / "page.png").write_bytes(b"%PDF-1.7\n" + png)
    (tmp_path / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    Image.fromarray(levels).save(tmp_path / "film.gif")
    for name, words in {
        "huge.png": "pixels; scale it down",
        "large.png": "more than 30 million",
        "cut.png": "damaged",
        "drawing.png": "not a PNG",
        "page.png": "not a PNG",
        "script.png": "not a PNG",
        "film.gif": "a GIF image; save it as PNG",
    }.items():
        with pytest.raises(UnreadableImage, match=words):
            open_upload(tmp_path / name)
    with pytest.raises(UnreadableImage, match="MB"):
        open_upload(tmp_path / "a.png", max_bytes=100)
