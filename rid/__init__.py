"""RID: a generator whose perturbation breaks the personalization of diffusion models on the protected portraits."""

from rid.protector import Protector

__all__ = ["Protector"]
