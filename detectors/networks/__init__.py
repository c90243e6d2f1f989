"""Networks of detectors.

A network maps images, (B, 3, H, W) in [0, 1], to logits, (B,), above 0 for generated.
"""

from detectors.networks.adapters import AdaptedProbe
from detectors.networks.backbone import LinearProbe, TimmClassifier
from detectors.networks.frequency import DCTClassifier
from detectors.networks.intermediate import IntermediateProbe
from detectors.networks.patches import PatchClassifier, TinyPatchClassifier
from detectors.networks.residuals import NPRClassifier, ResidualClassifier
from detectors.networks.spectral import SpectralClassifier
from detectors.networks.training_free import NoiseDistance, ReconstructionDistance

NETWORKS = {
    "timm": TimmClassifier,
    "frozen_linear": LinearProbe,
    "lora": AdaptedProbe,
    "intermediate": IntermediateProbe,
    "npr": NPRClassifier,
    "dct": DCTClassifier,
    "residual": ResidualClassifier,
    "spectral": SpectralClassifier,
    "patches": PatchClassifier,
    "tiny_patches": TinyPatchClassifier,
    "reconstruction": ReconstructionDistance,
    "noise": NoiseDistance,
}
"""Networks by their names in configs and saved detectors."""

__all__ = [
    "NETWORKS",
    "AdaptedProbe",
    "DCTClassifier",
    "IntermediateProbe",
    "LinearProbe",
    "NPRClassifier",
    "NoiseDistance",
    "PatchClassifier",
    "ReconstructionDistance",
    "ResidualClassifier",
    "SpectralClassifier",
    "TimmClassifier",
    "TinyPatchClassifier",
]
