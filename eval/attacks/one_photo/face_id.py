"""IP-Adapter FaceID: the embedding of a face as a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from eval.attacks.face_user import FaceUser
from eval.attacks.one_photo.ip_adapter import IPAdapter
from eval.attacks.single_image import Sampling


class IPAdapterFaceID(FaceUser, IPAdapter):
    """IP-Adapter FaceID: the face embedding of each image in turn is the prompt.

    It needs no image encoder, but the face embedder that the adapter was trained with. An image
    without a detected face gives the adapter an embedding of zeros, so its results show nobody.

    Args:
        model: Pipeline folder or Hub id of Stable Diffusion 1.x, 2.x or XL.
        adapter: Folder or Hub id of the adapter.
        file: The adapter's weights in that folder.
        faces: The attacker's face detector and embedder; see
            :func:`models.faces.backends.face_files`.
        prompts: Text prompts, each beside the face.
        scale: Weight of the face, at least 0.
        sampling: Settings of the generated images.

    Raises:
        ValueError: As :class:`IPAdapter`; on first use, if the embeddings have another length than
            the adapter takes.
    """

    def __init__(
        self,
        model: str = "stable-diffusion-v1-5/stable-diffusion-v1-5",
        adapter: str = "h94/IP-Adapter-FaceID",
        file: str = "ip-adapter-faceid_sd15.bin",
        faces: str = "insightface",
        prompts: Sequence[str] = ("a photo of a person",),
        scale: float = 1.0,
        sampling: Sampling = Sampling(),
    ) -> None:
        super().__init__(model, adapter, file, prompts=prompts, scale=scale, sampling=sampling)
        self.image_encoder = None
        self.faces = faces

    def reference(self, image: Tensor) -> dict[str, Any]:
        faces = self.backend(image.unsqueeze(0))
        projection = self.pipeline.unet.encoder_hid_proj.image_projection_layers[0]
        length = projection.ff.net[0].proj.in_features
        embedding = torch.zeros(length, device=self.device)
        if faces.detected[0]:
            if faces.embeddings.shape[1] != length:
                msg = (
                    f"{self.faces} embeds faces in {faces.embeddings.shape[1]} values, but "
                    f"{self.adapter} takes {length}: set faces to the embedder that it was trained "
                    "with"
                )
                raise ValueError(msg)
            embedding = faces.embeddings[0].to(embedding)
        guided = self.sampling.guidance is None or self.sampling.guidance > 1
        without = [torch.zeros_like(embedding)] if guided else []
        stacked = torch.stack([*without, embedding]).unsqueeze(1)
        return {"ip_adapter_image_embeds": [stacked.to(self.sampling.dtype)]}
