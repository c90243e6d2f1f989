"""The web application of a human test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from engine.pages.shell import SERVED_POLICY, render
from eval.human.admission import PER_ADDRESS, Admission
from eval.human.design import Design, draw
from eval.human.store import Store

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LARGEST_FORM = 20_000
"""Bytes of a form; the largest study's is a tenth of it."""

HEADERS = {
    "Content-Security-Policy": SERVED_POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def application(
    design: Design,
    store: Store,
    output: Path,
    seed: int,
    host: str = "127.0.0.1",
    per_address: int = PER_ADDRESS,
) -> Starlette:
    """Make the web application of a prepared study; see :func:`serve`."""
    stimuli = store.stimuli()
    admission = Admission(per_address)
    media = f"image/{design.codec}"

    def page(template: str, status: int = 200, **values: object) -> Response:
        return HTMLResponse(render(f"eval/{template}", design=design, **values), status, HEADERS)

    def again(path: str) -> Response:
        return RedirectResponse(path, 303, HEADERS)

    def begin(_: Request) -> Response:
        return page("study_begin.html", missing=False)

    async def enter(request: Request) -> Response:
        if (form := await fields(request)) is None:
            return refused("too large a form", 413)
        about = {
            name: str(form.get(f"about{place}", "")) for place, name in enumerate(design.about)
        }
        if form.get("consent") != "yes" or any(
            said not in design.about[name] for name, said in about.items()
        ):
            return page("study_begin.html", 400, missing=True)
        address = request.client.host if request.client else ""
        if minutes := admission.wait(address):
            words = (
                f"{per_address} people have begun this study from your network within the hour, and no more may. "
                f"Please try again in {minutes} minutes, or tell the person who invited you."
            )
            return refused(words, 429)
        token = store.begin(
            about,
            design.participants,
            lambda number, shown: draw(
                design, stimuli, shown, np.random.default_rng([seed, number])
            ),
        )
        if token:
            admission.admit(address)
        return again(f"/take/{token}") if token else page("study_end.html", 403, full=True)

    def ask(request: Request) -> Response:
        token = request.path_params["token"]
        progress = store.progress(token)
        if progress is None:
            return refused("no such page; begin at the address you were given", 404)
        question = store.question(token)
        if question is None:
            return page("study_end.html", full=False)
        return page(
            "study_question.html",
            question=question,
            done=progress[0],
            total=progress[1],
            missing="missing" in request.query_params,
        )

    async def take(request: Request) -> Response:
        token = request.path_params["token"]
        if (form := await fields(request)) is None:
            return refused("too large a form", 413)
        choice, place = str(form.get("choice", "")), str(form.get("place", ""))
        if choice not in design.choices or not place.isdecimal():
            return again(f"/take/{token}?missing=1")
        told = (
            {str(number) for number in form.getlist("reason")} if choice == design.target else set()
        )
        store.answer(
            token,
            int(place[:9]),
            choice,
            [design.reasons[int(number)] for number in sorted(told & known)],
        )
        return again(f"/take/{token}")

    known = {str(number) for number in range(len(design.reasons))}

    def picture(request: Request) -> Response:
        number = store.picture(request.path_params["token"])
        if number is None:
            return refused("no such picture", 404)
        return Response(
            (output / "pictures" / f"{number}.bin").read_bytes(), media_type=media, headers=HEADERS
        )

    routes = [
        Route("/", begin),
        Route("/begin", enter, methods=["POST"]),
        Route("/take/{token}", ask),
        Route("/take/{token}", take, methods=["POST"]),
        Route("/picture/{token}", picture),
    ]
    hosts = (
        [*LOOPBACK, "[::1]"] if host in LOOPBACK else ["*"]
    )  # a page elsewhere must not reach a study on this machine by another name
    return Starlette(
        routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)]
    )


async def fields(request: Request) -> FormData | None:
    """A form's fields; None if it is larger than any of ours, or of another kind."""
    length, kind = (
        request.headers.get("content-length", ""),
        request.headers.get("content-type", ""),
    )
    if (
        not length.isdecimal()
        or int(length) > LARGEST_FORM
        or not kind.startswith("application/x-www-form-urlencoded")
    ):
        return None
    return await request.form()


def refused(words: str, status: int) -> Response:
    """A plain answer to what no participant's browser sends."""
    return PlainTextResponse(f"{words}\n", status, HEADERS)
