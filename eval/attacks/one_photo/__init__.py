"""Generation of a person from one photo, without training."""

from eval.attacks.one_photo.face_id import IPAdapterFaceID
from eval.attacks.one_photo.ip_adapter import IPAdapter

__all__ = ["IPAdapter", "IPAdapterFaceID"]
