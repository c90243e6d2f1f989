"""Image formats by file name: those that are read, and those that are refused by name."""

from __future__ import annotations

from pathlib import PurePosixPath

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff"})
"""File name endings of images that are read."""

UNSUPPORTED = frozenset(
    {".heic", ".heif", ".avif", ".gif", ".jp2", ".jxl", ".psd"} | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"}
)
"""Endings of images that are not read: named as failures, never passed over in silence."""


def unsupported_reason(name: str) -> str:
    """Why a file is not read, by its name; empty if it is one that is read."""
    suffix = PurePosixPath(name).suffix
    if suffix.lower() not in UNSUPPORTED:
        return ""
    return f"{suffix} files are not read; convert it to PNG, JPEG, WebP or TIFF first"


def has_image_suffix(name: str) -> bool:
    """Whether a file's name says that it is an image, supported or not."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES | UNSUPPORTED
