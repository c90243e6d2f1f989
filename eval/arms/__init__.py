"""Arms of a protection study; configs name them by ``class_path``."""

from eval.arms.activation import Activation
from eval.arms.arm import Arm
from eval.arms.ascent import Ascent
from eval.arms.baselines import Clean, Noise
from eval.arms.chain import Chain
from eval.arms.folder import Folder
from eval.arms.generator import Generator

__all__ = ["Activation", "Arm", "Ascent", "Chain", "Clean", "Folder", "Generator", "Noise"]
