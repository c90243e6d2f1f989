"""Sentry: detectors of generated images."""

from typing import TYPE_CHECKING

from engine.lazy import lazy_names

if TYPE_CHECKING:
    from detectors.detector import Detector, Prediction
    from engine import __version__

__all__ = ["Detector", "Prediction", "__version__"]

HOMES = {
    "Detector": "detectors.detector",
    "Prediction": "detectors.detector",
}
"""Module of each public name."""

__getattr__ = lazy_names(__name__, HOMES)
