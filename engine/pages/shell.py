"""Base template, stylesheet, script and security policy of every HTML page."""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.files import write_bytes
from engine.records import to_json, without_folders

if TYPE_CHECKING:
    from jinja2 import Environment

MISSING = "\N{EN DASH}"
"""Text for a missing value."""


def csp_hash(text: str) -> str:
    """Return the content security policy's hash source of an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
SCRIPT = "".join(
    Path(__file__).with_name(name).read_text(encoding="utf-8")
    for name in ("table.js", "images.js", "copy.js")
)

FILE_POLICY = (
    f"default-src 'none'; img-src data:; style-src {csp_hash(STYLE)}; "
    f"script-src {csp_hash(SCRIPT)}; base-uri 'none'; form-action 'none'"
)
"""Content security policy of pages that are files: they load nothing from outside."""

SERVED_POLICY = (
    f"default-src 'none'; img-src 'self' data:; style-src {csp_hash(STYLE)}; script-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Content security policy, sent as a header, of served pages with forms and without scripts."""


def render(template: str, /, **values: Any) -> str:
    """Render a complete page.

    Args:
        template: ``PACKAGE/NAME.html``: a file in the package's ``templates`` folder that extends
            ``page.html``.
        values: Variables of the template; text is escaped.
    """
    package, _, name = template.rpartition("/")
    return _environment(package).get_template(name).render(values)


def write_page(target: Path, template: str, /, **values: Any) -> None:
    """Write a page as one self-contained file.

    File names that are not valid text are shown with question marks.

    Args:
        target: The file.
        template: See :func:`render`.
        values: See :func:`render`.
    """
    write_bytes(target, render(template, **values).encode("utf-8", "replace"))


def number(value: float | None, missing: str = MISSING) -> str:
    """Format a number with about three digits; None and NaN become ``missing``."""
    if value is None or math.isnan(value):
        return missing
    places = 1 if abs(value) >= 10 else 3
    return f"{round(value, places) + 0.0:.{places}f}"  # 0 without a sign


def p_value(p: float) -> str:
    """Format a p-value with two digits that count, without an exponent."""
    return format(Decimal(f"{p:.2g}"), "f")


def in_brackets(interval: Sequence[float] | None, form: str = ".3f", factor: float = 1) -> str:
    """Format an interval in brackets, after a space; empty if it is None.

    Args:
        interval: Its ends.
        form: Format of an end.
        factor: Factor of the ends, such as 100 for percent.
    """
    if interval is None:
        return ""
    low, high = (format(factor * end, form) for end in (interval[0], interval[1]))
    return f" ({low} to {high})"


@cache
def _environment(package: str) -> Environment:
    """Create the template environment of a package."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("engine.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "style": Markup(STYLE),
        "script": Markup(SCRIPT),
        "policy": FILE_POLICY,
        "missing": MISSING,
    }
    environment.filters |= {
        "number": number,
        "json": to_json,
        "basename": os.path.basename,
        "without_folders": without_folders,
    }
    return environment
