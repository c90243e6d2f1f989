"""Color profiles from a PNG's gAMA, cHRM and cICP chunks."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

D50 = (0.96420, 1.0, 0.82491)
"""White of the profile connection space, in XYZ."""

BRADFORD = np.array(
    [
        [0.8951, 0.2664, -0.1614],
        [-0.7502, 1.7135, 0.0367],
        [0.0389, -0.0685, 1.0296],
    ]
)
"""Bradford matrix from XYZ to cone responses, for white adaptation (ICC.1:2022, annex E)."""

D65 = (0.3127, 0.3290)
PRIMARIES = {
    1: (*D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
"""x and y of white, red, green and blue by ITU-T H.273 code: sRGB, BT.2020, Display P3."""

SRGB_CURVE = 13
"""ITU-T H.273 code of sRGB's transfer function."""


def png_profile(chunks: Mapping[bytes, bytes]) -> bytes | None:
    """Build the color profile that a PNG's chunks describe.

    Args:
        chunks: Data of the gAMA, cHRM, sRGB and cICP chunks in the file, by kind.

    Returns:
        An ICC profile; None for sRGB, or without color chunks.

    Raises:
        ValueError: If the values are invalid, or describe a high-dynamic-range display.
    """
    # cICP takes precedence over all other chunks.
    if b"cICP" in chunks:
        primaries, curve, matrix, full = struct.unpack(">4B", chunks[b"cICP"].ljust(4, b"\0")[:4])
        if curve != SRGB_CURVE or primaries not in PRIMARIES or matrix != 0 or full != 1:
            code = f"{primaries}-{curve}-{matrix}-{full}"
            msg = f"its cICP color code {code} is not supported"
            raise ValueError(msg)
        return None if primaries == 1 else rgb_profile(PRIMARIES[primaries], None)
    if b"sRGB" in chunks or not chunks.keys() & {b"gAMA", b"cHRM"}:
        return None
    # Read gamma and chromaticities.
    gamma = int.from_bytes(chunks[b"gAMA"][:4], "big") / 100_000 if b"gAMA" in chunks else None
    values = chunks.get(b"cHRM", b"")
    if (gamma is not None and not 0.1 <= gamma <= 10) or (b"cHRM" in chunks and len(values) < 32):
        msg = f"its gamma of {gamma} (allowed: 0.1 to 10) or its chromaticities are invalid"
        raise ValueError(msg)
    if not values:
        return rgb_profile(PRIMARIES[1], gamma)
    chromaticities = tuple(value / 100_000 for value in struct.unpack(">8I", values[:32]))
    return rgb_profile(chromaticities, gamma)


def rgb_profile(chromaticities: tuple[float, ...], gamma: float | None) -> bytes:
    """Encode an RGB profile (ICC.1:2001, version 2, matrix and curve).

    Args:
        chromaticities: x and y of white, red, green and blue.
        gamma: Exponent from light to values, such as 1 / 2.2; sRGB's curve if None.

    Returns:
        The ICC profile.

    Raises:
        ValueError: If the chromaticities span no color space.
    """
    # Compute the tags.
    colorants = _colorants(chromaticities)
    tags = {
        b"desc": _description("described by the image file"),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(D50),
        b"rXYZ": _xyz(colorants[:, 0]),
        b"gXYZ": _xyz(colorants[:, 1]),
        b"bXYZ": _xyz(colorants[:, 2]),
        b"rTRC": _curve(gamma),
        b"gTRC": _curve(gamma),
        b"bTRC": _curve(gamma),
    }
    # Lay out the tag table and its data.
    table = struct.pack(">I", len(tags))
    data = b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">2I", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    # Write the header.
    head = struct.pack(">I4xI4s4s4s", start + len(data), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp").ljust(44, b"\0") + _xyz(D50)[8:]
    return head.ljust(128, b"\0") + table + data


def _colorants(chromaticities: tuple[float, ...]) -> NDArray[np.float64]:
    """Compute XYZ of red, green and blue, as columns, adapted to D50."""
    pairs = np.reshape(chromaticities, (4, 2))
    white, *colors = (np.array([x, y, 1 - x - y]) for x, y in pairs)
    try:
        with np.errstate(all="raise"):
            primaries = np.stack(colors, axis=1)
            white = white / white[1]
            scaled = primaries * np.linalg.solve(primaries, white)
            scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
            result = np.linalg.solve(BRADFORD, scale @ BRADFORD @ scaled)
    except (np.linalg.LinAlgError, FloatingPointError) as error:
        msg = "its chromaticities span no color space"
        raise ValueError(msg) from error
    if not np.isfinite(result).all() or np.abs(result).max() > 10:
        msg = "its chromaticities span no color space"
        raise ValueError(msg)
    return result


def _xyz(values: object) -> bytes:
    fixed = (np.asarray(values) * 65536).round().astype(">i4")
    return b"XYZ \0\0\0\0" + fixed.tobytes()


def _curve(gamma: float | None) -> bytes:
    if gamma is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 / gamma))
    values = np.linspace(0, 1, 1024)
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    levels = (light * 65535).round().astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", 1024) + levels.tobytes()


def _description(text: str) -> bytes:
    content = text.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(content)) + content + bytes(78)
