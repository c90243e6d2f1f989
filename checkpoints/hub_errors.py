"""Messages for errors of the Hugging Face Hub's client."""

from __future__ import annotations

import json
import re
from typing import Any

from huggingface_hub import constants

from checkpoints.hub_address import split_address
from checkpoints.redirects import PrivateRedirect


def explain_error(error: BaseException, name: str) -> str:
    """Explain an error of the client, with advice."""
    return (
        _explain_name(error, name)
        or _explain_answer(error, name)
        or _explain_cache(error, name)
        or (
            f"{name}: the Hub cannot be reached at {constants.ENDPOINT} or broke off "
            f"({type(causes(error)[-1]).__name__}), and it is not in the local cache; "
            "check the network, or set HF_ENDPOINT to a mirror, and pull again"
        )
    )


def _explain_name(error: BaseException, name: str) -> str:
    """Explain an invalid name, or a repository that the user cannot access; else empty."""
    from huggingface_hub import errors

    repository, revision = split_address(name)
    page = f"{constants.ENDPOINT}/{repository}"
    if isinstance(error, errors.HFValidationError):
        return f"'{name}' is not a Hub id; give org/model, org/model@revision or hf://org/model"
    if _cause(error, errors.GatedRepoError):
        return (
            f"{name} is gated: agree to its terms at {page}, "
            "then log in with `hf auth login` or set HF_TOKEN"
        )
    if _cause(error, errors.RevisionNotFoundError):
        return f"{repository} has no revision '{revision}' on the Hub; see {page}/commits/main"
    if _cause(error, errors.RepositoryNotFoundError):
        return (
            f"{name}: no such repository on the Hub, or a private one without access for you; "
            "check the name, and log in with `hf auth login` or set HF_TOKEN"
        )
    return ""


def _explain_answer(error: BaseException, name: str) -> str:
    """Explain an HTTP status, a private redirect, or a server that is not the Hub; else empty."""
    from huggingface_hub import errors

    page = f"{constants.ENDPOINT}/{split_address(name)[0]}"
    http_error = _cause(error, errors.HfHubHTTPError)
    if http_error and http_error.response is not None:
        response = http_error.response
        status = explain_status(response.status_code, response.headers.get("Retry-After"), page)
        return f"{name}: {status}"
    if redirect := _cause(error, PrivateRedirect):
        return f"{name}: {redirect}"
    if _cause(error, json.JSONDecodeError) or isinstance(error, KeyError | TypeError):
        return (
            f"{name}: the server at {constants.ENDPOINT} is not the Hub: "
            "it sent a web page or other data. "
            "Check HF_ENDPOINT, and whether the network requires a login first"
        )
    return ""


def _explain_cache(error: BaseException, name: str) -> str:
    """Explain an incomplete cache, or one without the model in offline mode; else empty."""
    from huggingface_hub import errors

    repository, _ = split_address(name)
    if incomplete := _cause(error, errors.IncompleteSnapshotError):
        missing = re.search(r"missing \((.*?)\)", str(incomplete))
        return (
            f"{name} is only partly in the cache ({constants.HF_HUB_CACHE}): "
            f"{missing[1] if missing else 'files'} missing. "
            "Pull it again where there is a network, HF_HUB_OFFLINE unset"
        )
    if constants.is_offline_mode() or _cause(error, errors.OfflineModeIsEnabled):
        return (
            f"{name} is not in the cache ({constants.HF_HUB_CACHE}), or not completely, "
            "and HF_HUB_OFFLINE forbids downloads; unset it, or download the model where there "
            f"is a network, `hf download {repository}`, and copy the cache here"
        )
    return ""


def explain_status(status: int, wait: str | None, page: str) -> str:
    """Explain an HTTP status of the Hub.

    Args:
        status: The status.
        wait: Content of the ``Retry-After`` header; None without one.
        page: Address of the model's page.
    """
    if status == 401:
        return (
            "authentication required (401): "
            "log in with `hf auth login` or set HF_TOKEN to a valid token"
        )
    if status == 403:
        return f"access denied (403): your token has no right to it; see {page}"
    if status == 404:
        return f"the Hub has no such file (404); see {page}"
    if status == 429:
        when = f" in {wait} seconds" if wait else " later"
        return (
            f"the Hub had too many requests from you (429); try again{when}, "
            "or log in, which raises the limit"
        )
    if status >= 500:
        return f"the Hub has a fault ({status}); try again later"
    return f"the Hub refused it ({status}); see {page}"


def causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and its causes, the first cause last."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _cause(error: BaseException, kind: type[BaseException]) -> Any:
    """Return the first error of a kind among an error and its causes; None without one."""
    return next((item for item in causes(error) if isinstance(item, kind)), None)
