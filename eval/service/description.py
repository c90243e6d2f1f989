"""Description of the service by OpenAPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine import __version__
from eval.service.task import Task

ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}

REFUSALS = {
    "400": "An empty body, or a form that cannot be read.",
    "408": "The body came too slowly.",
    "413": "Too many bytes, or an image too large for the memory.",
    "415": "The body is neither an image nor a form of files.",
    "422": "The image is damaged, of another format, too large, or cannot be used.",
    "429": "The line is full, or the key came too often; Retry-After says when to try again.",
}
"""Reasons by status."""


def describe(tasks: Sequence[Task], max_bytes: int, with_keys: bool) -> dict[str, Any]:
    """Describe all requests.

    Args:
        tasks: Kinds of answers.
        max_bytes: Limit of a body.
        with_keys: Requests need a key.
    """
    paths: dict[str, Any] = {task.path: {"post": _post(task, with_keys)} for task in tasks}
    paths["/health"] = {"get": {"summary": "State of the service.", "responses": _ok("The state.")}}
    metrics = {"summary": "Figures for Prometheus.", "responses": _ok("Text.", "text/plain")}
    paths["/metrics"] = {"get": metrics | _security(with_keys)}
    about = (
        f"Bodies of at most {max_bytes / 1e6:g} MB. Nothing that is sent is kept after the answer."
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Defending images", "version": __version__, "description": about},
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _post(task: Task, with_keys: bool) -> dict[str, Any]:
    """Describe the requests of a task."""
    image = {"type": "string", "format": "binary"}
    files = {"type": "object", "properties": {"photos": {"type": "array", "items": image}}}
    one = "image/png" if task.path == "/protect" else "application/json"
    lines = "One image as the body: its answer. A form: a line of JSON for each file."
    responses = _ok(lines, one, "application/x-ndjson")
    refusals = REFUSALS | ({"401": "No key, or one that is not known."} if with_keys else {})
    schema = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status, words in sorted(refusals.items()):
        responses[status] = {"description": words, "content": schema}
    return {
        "summary": task.about,
        "description": ". ".join(task.words),
        "parameters": [
            {
                "name": "name",
                "in": "query",
                "description": "Name of an image that is the body.",
                "schema": {"type": "string"},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": {"schema": image},
                "multipart/form-data": {"schema": files},
            },
        },
        "responses": responses,
    } | _security(with_keys)


def _security(with_keys: bool) -> dict[str, Any]:
    return {"security": [{"key": []}]} if with_keys else {}


def _ok(words: str, *kinds: str) -> dict[str, Any]:
    content: dict[str, Any] = {kind: {} for kind in kinds or ("application/json",)}
    return {"200": {"description": words, "content": content}}
