"""Addresses of models on the Hub."""

from __future__ import annotations

SCHEME = "hf://"


def split_address(name: str) -> tuple[str, str | None]:
    """Split ``org/model@revision``, optionally after ``hf://``, into repository and revision."""
    repository, _, revision = name.removeprefix(SCHEME).strip("/").partition("@")
    return repository, revision or None
