"""Unexpected contents of files: odd images, odd tar files, and files of other kinds."""

import io
import zipfile
from collections.abc import Callable
from functools import cache

from PIL import Image

from tests.hostile.readers import picture, tar


def _frames(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue", "green")]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _image(mode: str, size: tuple[int, int], kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 0).save(buffer, kind, **options)
    return buffer.getvalue()


PICTURES: list[Callable[[], bytes]] = [
    lambda: _frames("PNG"),
    lambda: _frames("TIFF"),
    lambda: _frames("WEBP"),
    lambda: _frames("GIF"),
    lambda: _image("RGB", (60000, 1)),
    lambda: _image("RGB", (1, 30000)),
    lambda: _image("RGB", (1, 1)),
    lambda: _image("CMYK", (64, 48), "JPEG"),
    lambda: _image("I;16", (64, 48)),
    lambda: _image("1", (64, 48)),
    lambda: _image("LA", (64, 48)),
    lambda: _image("RGBA", (64, 48)),
    lambda: _image("P", (64, 48), transparency=0),
    lambda: _image("F", (64, 48), "TIFF"),
    lambda: _image("RGB", (64, 48), icc_profile=b"garbage" * 20),
    lambda: picture("JPEG").replace(b"Exif\x00\x00", b"Exif\x00\x00\xff\xff", 1),
]


def foreign() -> list[Callable[[], bytes]]:
    """Contents that belong to files of other kinds."""

    def zipped() -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a.png", picture("PNG"))
        return buffer.getvalue()

    return [
        lambda: picture("PNG"),
        lambda: tar({"0.png": picture("PNG")}),
        zipped,
        lambda: b"%!PS\n(" + b"x" * 99 + b") show",
        lambda: b"<html><body>404</body></html>",
        lambda: (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5\n"
        ),
        lambda: b"{}",
        lambda: b"[]",
        lambda: b"null",
        lambda: b"[" * 100_000,
        lambda: b"\x1f\x8b" + bytes(60),
        lambda: b"SQLite format 3\x00" + bytes(200),
        lambda: b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        lambda: b"\xef\xbb\xbf",
        lambda: "text\n".encode("utf-16"),
    ]


@cache
def tars() -> dict[bytes, int]:
    """Tar files, and how many images each has; one where it is refused as a whole."""
    sound = picture("PNG")
    return {
        tar({f"a.{number}.v.png": sound for number in range(4)}): 4,
        tar({"a.png": sound, "a.gif": _frames("GIF"), "b.jfif": picture("JPEG")}): 3,
        tar({"../a.png": sound}): 1,
        tar({"/a.png": sound, "b.png": sound}): 1,
        tar({"a.png": b"", "b.png": sound, "c.png": b"text"}): 3,
        tar({"a.png": _frames("PNG"), "b.tif": _frames("TIFF")}): 2,
        tar({"a.json": b"{}", "b.json": b"{"}): 1,
        tar({"a/b/c/" + "d" * 90 + ".png": sound, "\udcff.png": sound}): 2,
        tar({"a.png": sound}) + tar({"b.png": sound}): 1,
        tar({}): 1,
        tar({"a.png": _image("RGB", (60000, 1))}): 1,
    }
