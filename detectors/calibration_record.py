"""Records of a calibration's images, and a detector's output for one image."""

from __future__ import annotations

from dataclasses import dataclass

OUTSIDE = "unlike the images of the calibration"

BETWEEN = "between the thresholds"

UNCALIBRATED = "not calibrated"


@dataclass(frozen=True)
class Output:
    """A detector's output for one image.

    Attributes:
        logit: Output of the network, above 0 for generated.
        distances: Distances from the real and the generated images of the calibration; above 1 for
            an image unlike them. None for a detector that does not know them.
    """

    logit: float
    distances: tuple[float, ...] | None = None


@dataclass(frozen=True)
class DomainData:
    """Record of the guard against images unlike those of the calibration.

    Attributes:
        rate: Largest probability that an image like those of a class is called unlike them.
        fitted: Number of images that its features are from.
        ranked: Number of other images that its bounds are from.
        sha256: Hash of ``domain.safetensors``.
        unlike: Number of images unlike those of the calibration that it was fitted against.
        unlike_shards: SHA-256 of each shard of these, by file name; empty for a remote one.
    """

    rate: float
    fitted: int
    ranked: int
    sha256: str
    unlike: int = 0
    unlike_shards: dict[str, str] | None = None


@dataclass(frozen=True)
class CalibrationData:
    """Images that a calibration was fitted on.

    Attributes:
        real: Number of real images.
        generated: Number of generated images.
        date: Date of the fit, YYYY-MM-DD, in UTC.
        shards: SHA-256 of each shard, by file name; empty for a remote one.
        histories: Share of the images that a random history of edits was given to, 0 to 1; see
            :class:`images.transforms.histories.RandomHistory`.
        copies: Number of further copies of the images, which were left out.
    """

    real: int
    generated: int
    date: str = ""
    shards: dict[str, str] | None = None
    histories: float = 0.0
    copies: int = 0
