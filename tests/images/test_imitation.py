"""Images encoded as other files are: nothing but the pixels differs."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from images.containers import jpeg_segments, png_chunks
from images.headers import read_header
from images.imitation import encode_like
from images.io import decode_photo
from images.kinds import UnreadableImage

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def drawn(mode="RGB", size=(96, 64)):
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    rgb = np.stack([x * 2 % 256, y * 3 % 256, (x + y) % 256], -1).astype(np.uint8)
    image = Image.fromarray(rgb)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(((x > 20) * 255).astype(np.uint8)))
    return image.convert(mode)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation=1, thumbnail=False):
    block = Image.Exif()
    block[ExifTags.Base.Make] = "Camera works"
    block[ExifTags.Base.Orientation] = orientation
    block.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2019:06:12 14:30:22"
    content = block.tobytes()
    if not thumbnail:
        return content
    # A second directory after the first, with a JPEG, as cameras write it.
    small = saved(Image.new("RGB", (160, 107), (250, 0, 0)), "JPEG", quality=90) + bytes(900)
    tiff = bytearray(content[6:])
    order = "little" if tiff[:2] == b"II" else "big"
    start = int.from_bytes(tiff[4:8], order)
    end = start + 2 + 12 * int.from_bytes(tiff[start : start + 2], order)
    tiff[end : end + 4] = len(tiff).to_bytes(4, order)
    where = len(tiff) + 2 + 2 * 12 + 4
    entries = [(513, where), (514, len(small))]
    tiff += len(entries).to_bytes(2, order)
    for tag, value in entries:
        tiff += tag.to_bytes(2, order) + (4).to_bytes(2, order) + (1).to_bytes(4, order)
        tiff += value.to_bytes(4, order)
    return content[:6] + bytes(tiff) + bytes(4) + small


def lettered(content):
    rgb = decode_photo(content).rgb.copy()
    rgb[20:40, 30:70] = (255, 255, 255)
    return rgb


CASES = {
    "plain": saved(drawn(), "JPEG", quality=83, subsampling=1),
    "progressive": saved(drawn(), "JPEG", quality=71, progressive=True, subsampling=0),
    "optimized": saved(drawn(), "JPEG", quality=90, optimize=True, restart_marker_blocks=3),
    "profile": saved(drawn(), "JPEG", icc_profile=SRGB, dpi=(300, 300), comment=b"summer"),
    "notes": saved(drawn(), "JPEG", exif=exif()),
    "turned": saved(drawn(), "JPEG", exif=exif(6)),
    "gray": saved(drawn("L"), "JPEG", quality=60),
    "png": saved(drawn(), "PNG", icc_profile=SRGB, dpi=(72, 72), exif=exif(8)),
    "transparent": saved(drawn("RGBA"), "PNG"),
    "gray png": saved(drawn("L"), "PNG"),
    "gray, transparent": saved(drawn("LA"), "PNG"),
    "palette": saved(drawn().quantize(64), "PNG"),
    "wide": saved(Image.fromarray(np.asarray(drawn("L")).astype(np.uint16) * 257), "PNG"),
    "webp": saved(drawn(), "WEBP", quality=60, exif=exif(), icc_profile=SRGB),
    "lossless webp": saved(drawn(), "WEBP", lossless=True),
    "tiff": saved(drawn(), "TIFF", compression="tiff_lzw", dpi=(240, 240)),
    "noted tiff": saved(drawn(), "TIFF", exif=exif()),
    "bmp": saved(drawn(), "BMP"),
    "gif": saved(drawn().quantize(64), "GIF"),
    "avif": saved(drawn(), "AVIF", quality=50),
}


def facts(content):
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        info = {
            key: value
            for key, value in image.info.items()
            if key not in ("exif", "background", "resolution")
        }
        tags = dict(image.getexif())
        quantization = getattr(image, "quantization", None)
        ignored = {
            ExifTags.Base.StripOffsets,
            ExifTags.Base.StripByteCounts,
            ExifTags.Base.ExifOffset,
        }
        tags = {tag: str(value) for tag, value in tags.items() if tag not in ignored}
        return image.format, image.mode, image.size, info, tags, quantization, read_header(content)


@pytest.mark.parametrize("name", CASES)
def test_only_the_pixels_differ(name):
    content = CASES[name]
    rgb = lettered(content)
    made, differences = encode_like(rgb, content)
    assert not differences
    assert facts(made) == facts(content)
    shown = decode_photo(made).rgb.astype(int)
    before = decode_photo(content).rgb.astype(int)
    assert shown.shape == before.shape
    assert np.abs(shown - before)[:12].mean() < 6
    assert np.abs(shown - rgb)[22:38, 32:68].mean() < 40
    if content.startswith(b"\xff\xd8"):
        parts = [[kind for kind, _, _ in jpeg_segments(io.BytesIO(one))] for one in (made, content)]
        assert parts[0] == parts[1]
    if content.startswith(b"\x89PNG"):
        parts = [[kind for kind, _, _ in png_chunks(io.BytesIO(one))] for one in (made, content)]
        assert parts[0] == parts[1]
    alphas = decode_photo(made).alpha, decode_photo(content).alpha
    assert all(alpha is None for alpha in alphas) or (alphas[0] == alphas[1]).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_thumbnail_shows_the_new_image(kind):
    """A thumbnail of the source beside another image gives the file away."""
    content = saved(drawn(), kind, exif=exif(thumbnail=True))
    made, _ = encode_like(np.full((64, 96, 3), (0, 0, 250), np.uint8), content)
    with Image.open(io.BytesIO(made)) as image:
        notes = image.getexif()
        assert notes[ExifTags.Base.Make] == "Camera works"
        block = image.info["exif"]
    start = block.index(b"\xff\xd8\xff")
    with Image.open(io.BytesIO(block[start:])) as thumbnail:
        assert thumbnail.size == (160, 107)
        assert np.asarray(thumbnail).mean((0, 1))[2] > 200
    assert len(block.removeprefix(b"Exif\0\0")) == len(exif(thumbnail=True)) - 6


def test_what_cannot_be_imitated_is_said():
    made, differences = encode_like(np.zeros((64, 96, 3), np.uint8), saved(drawn("CMYK"), "JPEG"))
    assert differences == ("RGB instead of CMYK",)
    assert decode_photo(made).rgb.max() == 0
    with pytest.raises(ValueError, match="to imitate"):
        encode_like(np.zeros((9, 9, 3), np.uint8), CASES["plain"])
    with pytest.raises(UnreadableImage):
        encode_like(np.zeros((9, 9, 3), np.uint8), b"no image")
