"""ImageSentinel: keyed images in a data set that prove its use by a generator."""

from typing import TYPE_CHECKING

from engine.lazy import lazy_names

if TYPE_CHECKING:
    from engine import __version__
    from sentinels.decider import Decider, Decision
    from sentinels.reader import KeyReader, Reading
    from sentinels.record import Record

__all__ = ["Decider", "Decision", "KeyReader", "Reading", "Record", "__version__"]

HOMES = {
    "Decider": "sentinels.decider",
    "Decision": "sentinels.decider",
    "KeyReader": "sentinels.reader",
    "Reading": "sentinels.reader",
    "Record": "sentinels.record",
}
"""Module of each public name."""

__getattr__ = lazy_names(__name__, HOMES)
