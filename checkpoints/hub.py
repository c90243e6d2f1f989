"""The Hugging Face Hub: fetching into its cache with every new file checked against the Hub's own hash, and faults in plain words.

Endpoint, cache, token and offline mode are the client's: ``HF_ENDPOINT``, ``HF_HOME``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import httpx2
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from engine.files import file_digest

SCHEME = "hf://"

FAULTS = (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, httpx2.HTTPError)
"""What the client raises when the Hub or the way there is at fault, or the name."""


def split_address(name: str) -> tuple[str, str | None]:
    """Repository and revision of ``org/model``, ``org/model@revision`` or the same after ``hf://``."""
    repository, _, revision = name.removeprefix(SCHEME).strip("/").partition("@")
    return repository, revision or None


def fetch(name: str, patterns: list[str] | None = None) -> Path:
    """The folder of a repository in the cache, downloaded as far as it is not there; offline, as it was downloaded before.

    Args:
        name: See :func:`split_address`.
        patterns: Which files; all if None.

    Raises:
        FileNotFoundError: If it cannot be had, with the reason and what to do.
        ValueError: If a file arrived otherwise than the Hub says it is; it is removed.
    """
    repository, revision = split_address(name)
    blobs = cache_folder(repository) / "blobs"
    before = {path.name for path in blobs.iterdir()} if blobs.is_dir() else set()
    try:
        validate_repo_id(repository)
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except FAULTS as error:
        raise FileNotFoundError(explained(error, name)) from error
    except OSError as error:
        if "Consistency check failed" not in str(error):
            raise
        msg = f"{name}: a file arrived with another size than the Hub says; nothing of it was kept. Pull again"
        raise ValueError(msg) from error
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if file.resolve().name not in before:
            check_blob(file)
    return folder


def check_blob(file: Path) -> None:
    """Compare a cached file with the hash that it is stored under, and remove it if it differs.

    Raises:
        ValueError: If it does.
    """
    stored = file.resolve()
    if stored.name == file.name or blob_digest(stored, stored.name) == stored.name:  # a cache without links does not keep hashes
        return
    stored.unlink()
    file.unlink()
    msg = (
        f"{file.name}: its content is not what the Hub's hash says ({stored.name[:12]}…); it was removed. Pull again, or check HF_ENDPOINT"
    )
    raise ValueError(msg)


def blob_digest(file: Path, expected: str) -> str:
    """The hash of a file, of the kind that the expected one is: sha256 of large files, git's of small ones; others are not checked."""
    if re.fullmatch("[0-9a-f]{64}", expected):
        return file_digest(file)
    if re.fullmatch("[0-9a-f]{40}", expected):
        content = file.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return expected


def cache_folder(repository: str) -> Path:
    """Where the client caches a repository."""
    return Path(constants.HF_HUB_CACHE) / ("models--" + repository.replace("/", "--"))


def explained(error: BaseException, name: str) -> str:
    """What is wrong, and what to do, for an error of the client."""
    repository, revision = split_address(name)
    chain = list(causes(error))
    of_kind = {kind: next((item for item in chain if isinstance(item, kind)), None) for kind in (HfHubHTTPError, GatedRepoError)}
    answer = of_kind[HfHubHTTPError]
    page = f"{constants.ENDPOINT}/{repository}"
    if isinstance(error, HFValidationError):
        return f"'{name}' is not a Hub id; give org/model, org/model@revision or hf://org/model"
    if of_kind[GatedRepoError]:
        return f"{name} is gated: agree to its terms at {page}, then log in with `hf auth login` or set HF_TOKEN"
    if any(isinstance(item, RevisionNotFoundError) for item in chain):
        return f"{repository} has no revision '{revision}' on the Hub; see {page}/commits/main"
    if any(isinstance(item, RepositoryNotFoundError) for item in chain):
        return (
            f"{name}: no such repository on the Hub, or a private one that you may not see; check the name, and log in with "
            "`hf auth login` or set HF_TOKEN"
        )
    if isinstance(answer, HfHubHTTPError) and answer.response is not None:
        return f"{name}: " + of_status(answer.response.status_code, answer.response.headers.get("Retry-After"), page)
    if constants.is_offline_mode() or any(isinstance(item, OfflineModeIsEnabled) for item in chain):
        return (
            f"{name} is not in the cache ({constants.HF_HUB_CACHE}), or not whole, and HF_HUB_OFFLINE forbids to fetch it; unset it, or "
            f"fetch it where there is a network, `hf download {repository}`, and bring the cache here"
        )
    return (
        f"{name}: the Hub cannot be reached at {constants.ENDPOINT} or broke off ({type(chain[-1]).__name__}), and it is not in the local "
        f"cache; check the network, or set HF_ENDPOINT to a mirror, and pull again"
    )


def of_status(status: int, wait: str | None, page: str) -> str:
    """An HTTP status in words."""
    if status == 401:
        return "the Hub wants to know who you are (401): log in with `hf auth login` or set HF_TOKEN to a valid token"
    if status == 403:
        return f"the Hub refuses it to you (403): your token has no right to it; see {page}"
    if status == 404:
        return f"the Hub has no such file (404); see {page}"
    if status == 429:
        when = f" in {wait} seconds" if wait else " later"
        return f"the Hub has had too many requests from you (429); try again{when}, or log in, which raises the limit"
    if status >= 500:
        return f"the Hub has a fault ({status}); try again later"
    return f"the Hub refused it ({status}); see {page}"


def causes(error: BaseException | None) -> list[BaseException]:
    """An error and those behind it, the first cause last."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
