"""Small image files of every kind, built here."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms


def drawn(width=90, height=70, seed=0):
    """A smooth image of many colours."""
    small = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def saved(image, kind, **options):
    """The bytes of a file that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def chunk(kind, data):
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows, depth, colours, *chunks):
    """A PNG of rows that are packed already.

    Args:
        rows: Bytes of each row.
        depth: Bits of a value.
        colours: PNG's colour type.
        chunks: Chunks before the image.
    """
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    width = len(rows[0]) * 8 // (depth * channels)
    head = chunk(b"IHDR", struct.pack(">2I5B", width, len(rows), depth, colours, 0, 0, 0))
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + b"".join(chunks)
        + chunk(b"IDAT", content)
        + chunk(b"IEND", b"")
    )


def with_chunks(content, *chunks):
    """A PNG with more chunks behind its header."""
    return content[:33] + b"".join(chunks) + content[33:]


def bomb(width, height):
    """A PNG of one colour, small on disk."""
    packer = zlib.compressobj(9)
    row = b"\0" + bytes(3 * width)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def profile(space):
    """A colour profile: sRGB, grey with a steep curve, or CMYK with a table of its corners."""
    if space == "RGB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = {
        b"desc": b"desc\0\0\0\0\0\0\0\x02g\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061),
    }
    if space == "GRAY":
        tags[b"kTRC"] = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * 1.2))
        kind = b"mntrGRAYXYZ "
    else:
        straight = bytes(range(256))
        inks = np.array(list(np.ndindex(2, 2, 2, 2)))  # none or all of each
        corners = inks @ [[-25, -60, -50], [-25, 70, 0], [-25, 0, 90], [-180, 0, 0]] + [
            255,
            128,
            128,
        ]
        table = np.clip(corners, 0, 255).astype(np.uint8).tobytes()
        matrix = struct.pack(">9i", *(65536 * value for value in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
        tags[b"A2B0"] = b"mft1\0\0\0\0\x04\x03\x02\0" + matrix + 4 * straight + table + 3 * straight
        kind = b"prtrCMYKLab "
    places = struct.pack(">I", len(tags))
    data = b""
    for name, content in tags.items():
        places += name + struct.pack(">2I", 132 + 12 * len(tags) + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI", 128 + len(places) + len(data), 0x02400000) + kind
    head += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp").ljust(44, b"\0") + tags[b"wtpt"][8:]
    return head.ljust(128, b"\0") + places + data
