"""Web application of a human test.

The pages are plain HTML, without scripts or external content.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from engine.files import read_bytes
from engine.pages.shell import render
from eval.human.design import Design, draw
from eval.human.pictures import SERVED
from eval.human.store import Store
from eval.web.admission import Admission, network
from eval.web.hosts import HEADERS, trusted_hosts

logger = logging.getLogger(__name__)

MAX_PER_ADDRESS = 20
"""Participants from one network address within an hour."""

MAX_FORM_BYTES = 20_000
"""Largest size of a form; the largest study's form is a tenth of it."""

NO_FORM = f"send a form of the study's pages, of at most {MAX_FORM_BYTES} bytes"

MAX_PLACE_DIGITS = 9


def application(
    design: Design,
    store: Store,
    output: Path,
    seed: int,
    host: str = "127.0.0.1",
    per_address: int = MAX_PER_ADDRESS,
) -> Starlette:
    """Create the web application of a prepared study.

    Args:
        design: The study.
        store: Its database.
        output: The study's folder.
        seed: Seed of the participants' questions.
        host: Address that the server listens on.
        per_address: Participants from one network address within an hour; 0 for any number.
    """
    pages = _Pages(design, store, output, seed, Admission(per_address))
    routes = [
        Route("/", pages.begin),
        Route("/begin", pages.enter, methods=["POST"]),
        Route("/take/{token}", pages.ask),
        Route("/take/{token}", pages.take, methods=["POST"]),
        Route("/picture/{token}", pages.image),
    ]
    return Starlette(
        routes=routes,
        middleware=[trusted_hosts(host)],
        exception_handlers={OSError: apologize, ValueError: apologize},
    )


class _Pages:
    """Handles the requests of a study.

    Args:
        design: The study.
        store: Its database.
        output: The study's folder.
        seed: Seed of the participants' questions.
        admission: Counts participants by network address.
    """

    def __init__(
        self, design: Design, store: Store, output: Path, seed: int, admission: Admission
    ) -> None:
        self.design = design
        self.store = store
        self.output = output
        self.seed = seed
        self.admission = admission
        self.stimuli = store.stimuli()

    def begin(self, _: Request) -> Response:
        """Show the first page."""
        return self._page("study_begin.html", missing=False)

    async def enter(self, request: Request) -> Response:
        """Register a participant, and lead to the first question."""
        form = await read_form(request)
        if form is None:
            return refuse(NO_FORM, 413)

        # Check the answers about the participant.
        design = self.design
        about = {}
        for number, name in enumerate(design.about):
            about[name] = str(form.get(f"about{number}", ""))
        complete = all(answer in design.about[name] for name, answer in about.items())
        if form.get("consent") != "yes" or not complete:
            return self._page("study_begin.html", 400, missing=True)

        # Limit the participants from one address.
        address = network(request.client.host if request.client else "")
        if minutes := math.ceil(self.admission.wait(address) / 60):
            words = (
                f"{self.admission.limit} people have begun this study from your network within the "
                f"hour, and no more may. Please try again in {minutes} minutes, or tell the person "
                "who invited you."
            )
            return refuse(words, 429)
        token = self.store.begin(about, design.participants, self._questions)
        if token is None:
            return self._page("study_end.html", 403, full=True)
        self.admission.admit(address)
        return _redirect(f"/take/{token}")

    def _questions(self, number: int, shown: dict[int, int]) -> list[list[int]]:
        """Draw the questions of a participant."""
        return draw(self.design, self.stimuli, shown, np.random.default_rng([self.seed, number]))

    def ask(self, request: Request) -> Response:
        """Show a participant's next question."""
        token = request.path_params["token"]
        progress = self.store.progress(token)
        if progress is None:
            return refuse("no such page; begin at the address you were given", 404)
        question = self.store.question(token)
        if question is None:
            return self._page("study_end.html", full=False)
        done, total = progress
        return self._page(
            "study_question.html",
            question=question,
            done=done,
            total=total,
            missing="missing" in request.query_params,
        )

    async def take(self, request: Request) -> Response:
        """Save an answer, and lead to the next question."""
        token = request.path_params["token"]
        form = await read_form(request)
        if form is None:
            return refuse(NO_FORM, 413)
        design = self.design
        choice = str(form.get("choice", ""))
        place = str(form.get("place", ""))
        is_place = place.isascii() and place.isdecimal() and len(place) <= MAX_PLACE_DIGITS
        if choice not in design.choices or not is_place:
            return _redirect(f"/take/{token}?missing=1")

        # Reasons count only if the target was chosen.
        reasons = []
        if choice == design.target:
            named = {str(number) for number in form.getlist("reason")}
            known = {str(number) for number in range(len(design.reasons))}
            reasons = [design.reasons[int(number)] for number in sorted(named & known)]
        self.store.answer(token, int(place), choice, reasons)
        return _redirect(f"/take/{token}")

    def image(self, request: Request) -> Response:
        """Serve an image."""
        number = self.store.image_index(request.path_params["token"])
        if number is None:
            return refuse("no such image", 404)
        content = read_bytes(self.output / SERVED / f"{number}.bin")
        return Response(content, media_type=f"image/{self.design.codec}", headers=HEADERS)

    def _page(self, template: str, status: int = 200, **values: object) -> Response:
        """Render a page of the study."""
        html = render(f"eval/{template}", design=self.design, **values)
        return HTMLResponse(html, status, HEADERS)


async def read_form(request: Request) -> FormData | None:
    """Read a form.

    Returns:
        None if it is too large or incomplete, or has another content type.
    """
    kind = request.headers.get("content-type", "")
    if not kind.startswith("application/x-www-form-urlencoded"):
        return None
    content = b""
    try:
        async for part in request.stream():
            content += part
            if len(content) > MAX_FORM_BYTES:
                return None
    except ClientDisconnect:
        return None
    text = content.decode("utf-8", "replace")
    return FormData([*parse_qsl(text, keep_blank_values=True)])


def apologize(_: Request, error: Exception) -> Response:
    """Tell the participant of a fault of the study, and the log what it is."""
    logger.error("%s", error)
    words = (
        "The study has a fault at the moment, and this was not saved. Please reload the page in a "
        "few minutes, or tell the person who invited you."
    )
    return refuse(words, 503)


def refuse(words: str, status: int) -> Response:
    """Refuse a request in plain text."""
    return PlainTextResponse(f"{words}\n", status, HEADERS)


def _redirect(path: str) -> Response:
    """Lead the browser to another page."""
    return RedirectResponse(path, 303, HEADERS)
