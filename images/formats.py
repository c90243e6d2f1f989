"""Supported and unsupported image formats, by file name."""

from __future__ import annotations

from pathlib import PurePosixPath

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff"}
    | {".avif", ".gif", ".heic", ".heif"}
)
"""File name endings of supported image formats."""

UNSUPPORTED = frozenset(
    {".jp2", ".jxl", ".psd"} | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"}
)
"""File name endings of unsupported image formats, which are reported as failures."""


def unsupported_reason(name: str) -> str:
    """Explain why a file's format is unsupported; empty if it is supported."""
    suffix = PurePosixPath(name).suffix
    if suffix.lower() not in UNSUPPORTED:
        return ""
    return f"{suffix} files are not supported; convert it to PNG, JPEG, WebP or TIFF first"


def has_image_suffix(name: str) -> bool:
    """Return True for the name of an image file, supported or not."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES | UNSUPPORTED
