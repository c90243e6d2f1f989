"""Turn the Sphinx roles of docstrings into Markdown code, for the API pages."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":\w+:`~?\.?([^`]+)`")


class Roles(griffe.Extension):
    """Rewrites ``:func:`x``` to ```x``` in every docstring."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is not None:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = re.sub(r" ?::$", ":", text, flags=re.MULTILINE)
