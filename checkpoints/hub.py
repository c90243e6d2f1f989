"""The Hugging Face Hub: fetching into its cache with every new file checked against the Hub's own hash, and faults in plain words.

Endpoint, cache, token and offline mode are the client's: ``HF_ENDPOINT``, ``HF_HOME``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``. The client
takes long to import, so it is imported where it is used.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import constants

from checkpoints.redirects import LeadsInside, guard_client
from engine.files import file_digest
from engine.progress import bar_class
from engine.retries import TRANSIENT_STATUSES, TransientFault, parse_retry_after, retry_settings

Result = TypeVar("Result")

SCHEME = "hf://"


def split_address(name: str) -> tuple[str, str | None]:
    """Split ``org/model``, ``org/model@revision`` or the same after ``hf://`` into repository and revision."""
    repository, _, revision = name.removeprefix(SCHEME).strip("/").partition("@")
    return repository, revision or None


def fetch(name: str, patterns: list[str] | None = None) -> Path:
    """Find the folder of a repository in the cache, downloaded as far as it is not there; offline, as it was downloaded before.

    Args:
        name: See :func:`split_address`.
        patterns: Which files; all if None.

    Raises:
        FileNotFoundError: If it cannot be had whole, with the reason and what to do.
        ValueError: If a file arrived otherwise than the Hub says it is; it is removed.
    """
    repository, revision = split_address(name)
    blobs = cache_folder(repository) / "blobs"
    before = {path.name for path in blobs.iterdir()} if blobs.is_dir() else set()
    folder = snapshot(name, revision, patterns)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if file.resolve().name not in before:
            check_blob(file)
    return folder


def snapshot(
    name: str, revision: str | None, patterns: list[str] | None, here: bool = False
) -> Path:
    """Find the folder of a repository's revision, by the client; errors as :func:`fetch`.

    Args:
        name: See :func:`split_address`.
        revision: Commit, branch or tag; the newest if None.
        patterns: Which files; all if None.
        here: Look on this machine only.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import validate_repo_id

    repository, _ = split_address(name)

    def download() -> str:
        validate_repo_id(repository)
        only = here or constants.is_offline_mode()
        bars = None if only else bar_class()
        return snapshot_download(
            repository,
            revision=revision,
            allow_patterns=patterns,
            local_files_only=only,
            tqdm_class=bars,
        )

    try:
        return Path(asked(download, name))
    except faults() as error:
        raise FileNotFoundError(explained(error, name)) from error
    except OSError as error:
        if "Consistency check failed" not in str(error):
            raise
        msg = f"{name}: a file arrived with another size than the Hub says; nothing of it was kept. Pull again"
        raise ValueError(msg) from error


def asked(call: Callable[[], Result], name: str) -> Result:
    """Call the client, again after a passing fault, waiting as the Hub asks; what is there already is not sent again."""
    from tenacity import Retrying

    def once() -> Result:
        guard_client()  # the client may have begun a new session
        return call()

    return Retrying(**retry_settings(lambda error: passing(error, name)))(once)


def passing(error: BaseException, name: str) -> TransientFault | None:
    """Tell what is passing of an error of the client's; None if it lasts."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    broken = (
        httpx2.ReadError,
        httpx2.WriteError,
        httpx2.RemoteProtocolError,
        httpx2.ReadTimeout,
        httpx2.WriteTimeout,
    )
    for item in causes(error):
        if isinstance(item, HfHubHTTPError) and item.response is not None:
            if item.response.status_code not in TRANSIENT_STATUSES:
                return None
            wait = parse_retry_after(item.response.headers.get("Retry-After"))
            return TransientFault(f"{name}: {of_status(item.response.status_code, None, '')}", wait)
        if isinstance(
            item, (*broken, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
        ):
            return TransientFault(
                f"{name}: the connection to the Hub broke off ({type(item).__name__})"
            )
    return None


def faults() -> tuple[type[Exception], ...]:
    """List what the client raises when the Hub or the way there is at fault, or the name."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    # a page instead of data: the client takes it apart without looking
    return (
        HFValidationError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        httpx2.HTTPError,
        json.JSONDecodeError,
        KeyError,
        TypeError,
    )


def check_blob(file: Path) -> None:
    """Compare a cached file with the hash that it is stored under, and remove it if it differs.

    Raises:
        ValueError: If it does.
    """
    stored = file.resolve()
    if (
        stored.name == file.name or blob_digest(stored, stored.name) == stored.name
    ):  # a cache without links does not keep hashes
        return
    stored.unlink()
    file.unlink()
    msg = f"{file.name}: its content is not what the Hub's hash says ({stored.name[:12]}…); it was removed. Pull again, or check HF_ENDPOINT"
    raise ValueError(msg)


def blob_digest(file: Path, expected: str) -> str:
    """Hash a file as the expected hash is: sha256 of large files, git's of small ones; others are not checked."""
    if re.fullmatch("[0-9a-f]{64}", expected):
        return file_digest(file)
    if re.fullmatch("[0-9a-f]{40}", expected):
        content = file.read_bytes()
        return hashlib.sha1(
            b"blob %d\0" % len(content) + content, usedforsecurity=False
        ).hexdigest()
    return expected


def cache_folder(repository: str) -> Path:
    """Where the client caches a repository."""
    return Path(constants.HF_HUB_CACHE) / ("models--" + repository.replace("/", "--"))


def explained(error: BaseException, name: str) -> str:
    """Say what is wrong, and what to do, for an error of the client."""
    from huggingface_hub import errors

    repository, revision = split_address(name)
    chain = causes(error)
    page = f"{constants.ENDPOINT}/{repository}"

    def met(*kinds: type[BaseException]) -> Any:
        return next((item for item in chain if isinstance(item, kinds)), None)

    if isinstance(error, errors.HFValidationError):
        return f"'{name}' is not a Hub id; give org/model, org/model@revision or hf://org/model"
    if met(errors.GatedRepoError):
        return f"{name} is gated: agree to its terms at {page}, then log in with `hf auth login` or set HF_TOKEN"
    if met(errors.RevisionNotFoundError):
        return f"{repository} has no revision '{revision}' on the Hub; see {page}/commits/main"
    if met(errors.RepositoryNotFoundError):
        return (
            f"{name}: no such repository on the Hub, or a private one that you may not see; check the name, and log in with "
            "`hf auth login` or set HF_TOKEN"
        )
    if (answer := met(errors.HfHubHTTPError)) and answer.response is not None:
        return f"{name}: " + of_status(
            answer.response.status_code, answer.response.headers.get("Retry-After"), page
        )
    if inside := met(LeadsInside):
        return f"{name}: {inside}"
    if met(json.JSONDecodeError) or isinstance(error, KeyError | TypeError):
        return (
            f"{name}: what answers at {constants.ENDPOINT} is not the Hub: it sent a page, or other data than the Hub does. Check "
            "HF_ENDPOINT, and whether the network wants you to log in first"
        )
    if incomplete := met(errors.IncompleteSnapshotError):
        missing = re.search(r"missing \((.*?)\)", str(incomplete))
        return (
            f"{name} is only partly in the cache ({constants.HF_HUB_CACHE}): {missing[1] if missing else 'files'} missing. Pull it again "
            f"where there is a network, HF_HUB_OFFLINE unset"
        )
    if constants.is_offline_mode() or met(errors.OfflineModeIsEnabled):
        return (
            f"{name} is not in the cache ({constants.HF_HUB_CACHE}), or not whole, and HF_HUB_OFFLINE forbids to fetch it; unset it, or "
            f"fetch it where there is a network, `hf download {repository}`, and bring the cache here"
        )
    return (
        f"{name}: the Hub cannot be reached at {constants.ENDPOINT} or broke off ({type(chain[-1]).__name__}), and it is not in the local "
        f"cache; check the network, or set HF_ENDPOINT to a mirror, and pull again"
    )


def of_status(status: int, wait: str | None, page: str) -> str:
    """Put an HTTP status into words."""
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
    """List an error and those behind it, the first cause last."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
