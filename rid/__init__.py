"""RID: a generator whose perturbation breaks the personalization of diffusion models on the protected portraits."""

from rid.protect.protector import Protector

__all__ = ["Protector"]
