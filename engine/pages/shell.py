"""Shell of every HTML page: base template, stylesheet, script and security policy."""

from __future__ import annotations

import base64
import hashlib
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.files import write_bytes
from engine.records import to_json

if TYPE_CHECKING:
    from jinja2 import Environment

MISSING = "\N{EN DASH}"
"""What a page shows where there is no value."""


def source_of(text: str) -> str:
    """The policy's name for an inline style or script: nothing but this text may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
SCRIPT = Path(__file__).with_name("table.js").read_text(encoding="utf-8")

FILE_POLICY = f"default-src 'none'; img-src data:; style-src {source_of(STYLE)}; script-src {source_of(SCRIPT)}; base-uri 'none'; form-action 'none'"
"""Content security policy of pages that are files: they load nothing but what is in them."""

SERVED_POLICY = (
    f"default-src 'none'; img-src 'self' data:; style-src {source_of(STYLE)}; script-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""The same of pages with forms that a server of ours gives, as a header; no script runs in them."""


def render(template: str, /, **values: Any) -> str:
    """A whole page.

    Args:
        template: ``ROOM/NAME.html``: a file in ``templates`` of the package ROOM; extends ``page.html``.
        values: What the template names. Text is escaped, whatever it holds.
    """
    room, _, name = template.rpartition("/")
    return _environment(room).get_template(name).render(values)


def write_page(target: Path, template: str, /, **values: Any) -> None:
    """Write a page as a file that needs nothing beside it; see :func:`render`.

    Names of files that are not valid text are shown with question marks.
    """
    write_bytes(target, render(template, **values).encode("utf-8", "replace"))


def number(value: float | None, missing: str = MISSING) -> str:
    """A figure in about three digits; ``missing`` where there is none."""
    if value is None or math.isnan(value):
        return missing
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


@cache
def _environment(room: str) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=ChoiceLoader([PackageLoader(room), PackageLoader("engine.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"style": Markup(STYLE), "script": Markup(SCRIPT)}
    made.globals |= {"policy": FILE_POLICY, "missing": MISSING}
    made.filters |= {"number": number, "json": to_json}
    return made
