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

DATA_SUFFIXES = frozenset(
    {".json", ".jsn", ".jsonl", ".yaml", ".yml", ".xml", ".csv", ".tsv", ".cbor", ".msgpack"}
    | {".txt", ".text", ".md", ".transcript", ".caption", ".captions", ".prompt", ".tags", ".url"}
    | {".cls", ".cls2", ".class", ".label", ".count", ".index", ".inx", ".id", ".uid", ".score"}
    | {".npy", ".npz", ".ten", ".tb", ".mp", ".msg", ".pt", ".pth", ".safetensors", ".emb"}
    | {".pyd", ".pickle", ".pkl", ".md5", ".sha256"}
)
"""File name endings of records, texts, labels and arrays in tar files.

They are those that WebDataset decodes, and other common ones.
"""

NOT_AN_IMAGE = "not an image by its name"
"""Reason for skipping a file without an image's ending."""


def unsupported_reason(name: str) -> str:
    """Explain why a file's format is unsupported; empty if it is supported."""
    suffix = PurePosixPath(name).suffix
    if suffix.lower() not in UNSUPPORTED:
        return ""
    return f"{suffix} files are not supported; convert it to PNG, JPEG, WebP or TIFF first"


def has_image_suffix(name: str) -> bool:
    """Return True for the name of an image file, supported or not."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES | UNSUPPORTED
