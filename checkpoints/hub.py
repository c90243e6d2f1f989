"""Downloads from the Hugging Face Hub, with every new file checked against the Hub's hash.

Endpoint, cache, token and offline mode are those of the Hub's client: ``HF_ENDPOINT``,
``HF_HOME``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``. The client imports slowly, so functions import it
when they run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from huggingface_hub import constants

from checkpoints.hub_address import split_address
from checkpoints.hub_errors import causes, explain_error, explain_status
from checkpoints.redirects import guard_client
from engine.files import file_digest
from engine.progress import bar_class
from engine.retries import TRANSIENT_STATUSES, TransientFault, parse_retry_after, retry_settings

Result = TypeVar("Result")


def fetch(name: str, patterns: list[str] | None = None) -> Path:
    """Download the missing files of a repository, and return its folder in the cache.

    Offline, the folder has the files of earlier downloads.

    Args:
        name: See :func:`split_address`.
        patterns: Patterns of the files; None for all.

    Raises:
        FileNotFoundError: If a file is missing and cannot be downloaded.
        ValueError: If a new file differs from the Hub's hash; it is removed.
    """
    repository, revision = split_address(name)
    blobs = cache_folder(repository) / "blobs"
    cached = {path.name for path in blobs.iterdir()} if blobs.is_dir() else set()
    folder = snapshot(name, revision, patterns)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if file.resolve().name not in cached:
            check_blob(file)
    return folder


def snapshot(
    name: str, revision: str | None, patterns: list[str] | None, local: bool = False
) -> Path:
    """Return the cache folder of a repository's revision; errors are those of :func:`fetch`.

    Args:
        name: See :func:`split_address`.
        revision: Commit, branch or tag; None for the newest commit.
        patterns: Patterns of the files; None for all.
        local: Search this machine only.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import validate_repo_id

    repository, _ = split_address(name)

    def download() -> str:
        validate_repo_id(repository)
        local_only = local or constants.is_offline_mode()
        bars = None if local_only else bar_class()
        return snapshot_download(
            repository,
            revision=revision,
            allow_patterns=patterns,
            local_files_only=local_only,
            tqdm_class=bars,
        )

    try:
        return Path(call_with_retries(download, name))
    except hub_errors() as error:
        raise FileNotFoundError(explain_error(error, name)) from error
    except OSError as error:
        if "Consistency check failed" not in str(error):
            raise
        msg = f"{name}: a file has another size than the Hub states; it was discarded. Pull again"
        raise ValueError(msg) from error


def call_with_retries(call: Callable[[], Result], name: str) -> Result:
    """Call the Hub's client, and retry after transient faults.

    Waits are those that the Hub asks for. Finished files are not transferred again.
    """
    from tenacity import Retrying

    def guarded_call() -> Result:
        guard_client()  # the client may have opened a new session
        return call()

    return Retrying(**retry_settings(lambda error: transient_fault(error, name)))(guarded_call)


def transient_fault(error: BaseException, name: str) -> TransientFault | None:
    """Return the transient fault behind an error of the client; None for a permanent error."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    broken_connection = (
        httpx2.ReadError,
        httpx2.WriteError,
        httpx2.RemoteProtocolError,
        httpx2.ReadTimeout,
        httpx2.WriteTimeout,
        ConnectionResetError,
        ConnectionAbortedError,
        BrokenPipeError,
    )
    for item in causes(error):
        if isinstance(item, HfHubHTTPError) and item.response is not None:
            status = item.response.status_code
            if status not in TRANSIENT_STATUSES:
                return None
            wait = parse_retry_after(item.response.headers.get("Retry-After"))
            return TransientFault(f"{name}: {explain_status(status, None, '')}", wait)
        if isinstance(item, broken_connection):
            kind = type(item).__name__
            return TransientFault(f"{name}: the connection to the Hub broke off ({kind})")
    return None


def hub_errors() -> tuple[type[Exception], ...]:
    """Return the client's errors for faults of the Hub, the network or the name."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    # the last three: the client parses a web page as if it were the Hub's data
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
    """Compare a cached file with the hash in its name, and remove it if they differ.

    Raises:
        ValueError: If they differ.
    """
    stored = file.resolve()
    # a cache without links has no hashes
    if stored.name == file.name or blob_digest(stored, stored.name) == stored.name:
        return
    stored.unlink()
    file.unlink()
    msg = (
        f"{file.name}: its content differs from the Hub's hash ({stored.name[:12]}…); "
        "it was removed. Pull again, or check HF_ENDPOINT"
    )
    raise ValueError(msg)


def blob_digest(file: Path, expected: str) -> str:
    """Hash a file like the expected hash: sha256 of large files, git's sha1 of small ones.

    An expected hash of another kind is returned unchanged.
    """
    if re.fullmatch("[0-9a-f]{64}", expected):
        return file_digest(file)
    if re.fullmatch("[0-9a-f]{40}", expected):
        content = file.read_bytes()
        blob = b"blob %d\0" % len(content) + content
        return hashlib.sha1(blob, usedforsecurity=False).hexdigest()
    return expected


def cache_folder(repository: str) -> Path:
    """Return the folder in which the client caches a repository."""
    return Path(constants.HF_HUB_CACHE) / ("models--" + repository.replace("/", "--"))
