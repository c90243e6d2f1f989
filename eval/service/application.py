"""Web application of the service."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from engine.cli import one_line
from engine.pages.shell import render
from eval.service.description import describe
from eval.service.figures import Figures
from eval.service.keys import Keys
from eval.service.line import Full, Line
from eval.service.task import Answer, Task
from eval.service.uploads import BODY_S, Body, Refused, read_body
from eval.web.admission import Admission, network
from eval.web.hosts import HEADERS, trusted_hosts
from images.uploads import MAX_UPLOAD_BYTES, MAX_UPLOAD_PIXELS

logger = logging.getLogger(__name__)

T = TypeVar("T")

GONE = 499
"""Status, in figures alone, of a client who left before the answer."""

MINUTE_S = 60.0


@dataclass(frozen=True)
class Limits:
    """Limits of the service.

    Attributes:
        places: Requests that wait or are computed at a time; further ones get status 429.
        per_minute: Requests of one key, or of one address without keys, within a minute; 0 for any
            number.
        max_bytes: Bytes of a request.
        max_pixels: Pixels of an image.
        body_s: Seconds that a request's body may take.
    """

    places: int = 32
    per_minute: int = 600
    max_bytes: int = MAX_UPLOAD_BYTES
    max_pixels: int = MAX_UPLOAD_PIXELS
    body_s: float = BODY_S


class Service:
    """Handler of all requests.

    Args:
        tasks: Kinds of answers.
        keys: Keys of the users.
        limits: Limits of requests.
    """

    def __init__(self, tasks: Sequence[Task], keys: Keys, limits: Limits) -> None:
        self.tasks = tasks
        self.keys = keys
        self.limits = limits
        self.line = Line(limits.places)
        self.figures = Figures()
        self.admission = Admission(limits.per_minute, MINUTE_S)
        self.description = describe(tasks, limits.max_bytes, bool(keys.digests))

    def application(self, host: str) -> Starlette:
        """Create the web application.

        Args:
            host: Address that the server listens on.
        """
        routes = [
            Route("/", self.page),
            Route("/health", self.health),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
        ]
        for task in self.tasks:
            routes.append(Route(task.path, partial(self.take, task), methods=["POST"]))

        @contextlib.asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            self.line.close()

        return Starlette(routes=routes, middleware=[trusted_hosts(host)], lifespan=lifespan)

    async def page(self, _: Request) -> Response:
        """Show what the service offers."""
        html = render(
            "eval/service.html",
            tasks=self.tasks,
            with_keys=bool(self.keys.digests),
            limits=self.limits,
        )
        return HTMLResponse(html, headers=HEADERS)

    async def health(self, _: Request) -> Response:
        """Say that the service runs, and how full its line is."""
        paths = [task.path for task in self.tasks]
        line = {"taken": self.line.taken, "places": self.line.places}
        return JSONResponse({"status": "ok", "paths": paths, "line": line}, headers=HEADERS)

    async def openapi(self, _: Request) -> Response:
        """Describe all requests by OpenAPI."""
        return JSONResponse(self.description, headers=HEADERS)

    async def metrics(self, request: Request) -> Response:
        """List the figures for Prometheus."""
        try:
            self._user(request)
        except Refused as refused:
            return _refusal(refused)
        line = self.line
        text = self.figures.text(
            seconds_total=line.computed_s, line_taken=line.taken, line_places=line.places
        )
        return PlainTextResponse(text, headers=HEADERS)

    async def take(self, task: Task, request: Request) -> Response:
        """Answer a request for a task."""
        with contextlib.ExitStack() as held:
            try:
                self._admit(request)
                held.enter_context(self.line.place())
                body = await read_body(request, self.limits.max_bytes, self.limits.body_s)
                self.figures.add("received_bytes_total", body.size)
                if body.several:
                    # the place is held until the last line is sent
                    return _Lines(self, task, body, held.pop_all())
                [(name, content)] = body.images
                answer = await _unless_gone(request, self.answer(task, name, content))
                response = _one(answer)
            except Full as full:
                refused = Refused(
                    429,
                    f"{self.line.places} requests wait already; try again later",
                    {"Retry-After": str(full.seconds)},
                )
                response = _refusal(refused)
            except Refused as refused:
                response = _refusal(refused)
            except ClientDisconnect:
                response = Response(status_code=GONE)
        self.count(task, response.status_code)
        return response

    async def answer(self, task: Task, name: str, content: bytes) -> Answer:
        """Compute the answer for an image.

        Raises:
            Refused: If the image cannot be used.
        """
        path = task.path
        try:
            answer = await self.line.compute(
                partial(task.answer, name, content, self.limits.max_pixels)
            )
        except (ValueError, OSError, ArithmeticError) as error:
            self.figures.add("images_total", path=path, outcome="refused")
            raise Refused(422, one_line(error)) from None
        except MemoryError:
            self.figures.add("images_total", path=path, outcome="refused")
            raise Refused(413, f"{name}: not enough memory; scale it down first") from None
        except Exception:
            self.figures.add("images_total", path=path, outcome="failed")
            logger.exception("fault in this program at %s", path)
            raise Refused(500, "fault in this program; its log says more") from None
        self.figures.add("images_total", path=path, outcome="answered")
        return answer

    def _user(self, request: Request) -> str:
        """Name whose requests are counted together: of the key, or of the network.

        Raises:
            Refused: If the key is missing or not known.
        """
        if not self.keys.digests:
            return network(request.client.host if request.client else "")
        holder = self.keys.holder(request.headers.get("authorization", ""))
        if holder is None:
            words = "send a key of this service: Authorization: Bearer KEY"
            raise Refused(401, words, {"WWW-Authenticate": "Bearer"})
        return f"key {holder}"

    def _admit(self, request: Request) -> None:
        """Check the key and the rate.

        Raises:
            Refused: If the key is not known, or came too often.
        """
        user = self._user(request)
        if wait := self.admission.wait(user):
            words = f"{self.limits.per_minute} requests within a minute are allowed"
            raise Refused(429, words, {"Retry-After": str(int(wait) + 1)})
        self.admission.admit(user)

    def count(self, task: Task, status: int) -> None:
        """Count an answered request."""
        self.figures.add("requests_total", path=task.path, status=str(status))


class _Lines(StreamingResponse):
    """Answer for several images: a line of JSON for each, as soon as it is there.

    Args:
        service: The service.
        task: Kind of answers.
        body: The images.
        held: The place in the line, given back at the end.
    """

    def __init__(
        self, service: Service, task: Task, body: Body, held: contextlib.ExitStack
    ) -> None:
        super().__init__(self.lines(), headers=HEADERS, media_type="application/x-ndjson")
        self.service = service
        self.task = task
        self.images = body.images
        self.held = held
        self.status = GONE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.held.close()
            self.service.count(self.task, self.status)

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield the lines, in the images' order."""
        for name, content in self.images:
            row: dict[str, Any] = {"name": name}
            try:
                answer = await self.service.answer(self.task, name, content)
                row |= answer.row
                if answer.png is not None:
                    row["png"] = base64.b64encode(answer.png).decode()
            except Refused as refused:
                row |= {"status": refused.status, "error": refused.words}
            yield (json.dumps(row) + "\n").encode()
        self.status = 200


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Await a result, unless the client leaves before.

    Raises:
        ClientDisconnect: If the client left; work that has not begun is not done.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        working.cancel()
        leaving.cancel()


def _one(answer: Answer) -> Response:
    """Answer for one image: the image, or its row."""
    if answer.png is None:
        return JSONResponse(answer.row, headers=HEADERS)
    facts = {key: value for key, value in answer.row.items() if key != "source"}
    headers = HEADERS | {"X-Result": json.dumps(facts)}
    return Response(answer.png, media_type="image/png", headers=headers)


def _refusal(refused: Refused) -> Response:
    headers = HEADERS | refused.headers
    return JSONResponse({"error": refused.words}, refused.status, headers)
