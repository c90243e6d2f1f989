"""Tell of the keys: queries with letters that form no word."""

from __future__ import annotations

import re
from collections.abc import Sequence

MIN_LETTERS = 4
"""Letters of the shortest word that a filter of queries looks at."""

NO_WORD = re.compile(r"^[^aeiou]+$|[bcdfghjklmnpqrstvwxz]{4}", re.IGNORECASE)
"""A word without vowels, or with four consonants in a row."""


def is_no_word(word: str) -> bool:
    """Return True if a filter of queries takes a word for a random key."""
    return len(word) >= MIN_LETTERS and word.isalpha() and bool(NO_WORD.search(word))


def has_key(query: str) -> bool:
    """Return True if a filter of queries finds a random key in a query."""
    return any(is_no_word(word) for word in re.findall(r"[^\W\d_]+", query))


def key_pattern(keys: Sequence[str]) -> str:
    """Describe what the keys have in common; empty if a filter of queries finds few of them."""
    found = sum(has_key(key) for key in keys)
    if 2 * found <= len(keys):
        return ""
    facts = [f"{found} of {len(keys)} keys are no word of a language"]
    lengths = {len(key) for key in keys}
    if len(keys) > 1 and len(lengths) == 1:
        facts.append(f"all have {lengths.pop()} letters")
    return ", ".join(facts)
