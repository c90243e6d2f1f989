"""Personalization of Stable Diffusion 1.x and 2.x: DreamBooth, textual inversion, LoRA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from eval.attacks.personalization.attack import Personalization
from eval.attacks.personalization.learning import all_weights, lora, new_token
from eval.attacks.personalization.recipe import Recipe, Sampler

SELFIE = "a photo of {token} person"
PORTRAIT = "a dslr portrait of {token} person"


@dataclass(frozen=True)
class AntiDreamBoothRecipe(Recipe):
    """Settings shared by the attacks of Anti-DreamBooth's evaluation (arXiv 2303.15433)."""

    instance_prompt: str = SELFIE
    class_prompt: str = "a photo of person"
    class_images: int = 200
    sample_prompts: tuple[str, ...] = (SELFIE, PORTRAIT)
    samples: int = 16
    sample_steps: int = 100
    sampler: Sampler = "own"


@dataclass(frozen=True)
class DreamBoothConfig(AntiDreamBoothRecipe):
    """Settings of DreamBooth (arXiv 2208.12242); the defaults are Anti-DreamBooth's evaluation.

    RID's own run differs: lr 8e-7, 6001 steps, batches of 3, 100 class images, the text encoder
    frozen.

    Attributes:
        train_text_encoder: Train the text encoder as well.
    """

    lr: float = 5e-7
    batch_size: int = 2
    train_text_encoder: bool = True


class DreamBooth(Personalization):
    """DreamBooth: trains all weights of the UNet.

    The text encoder is trained as well if configured. The prompt names the person by a rare token.
    """

    config: DreamBoothConfig

    def __init__(self, config: DreamBoothConfig) -> None:
        super().__init__(config)

    def trainable(self) -> AbstractContextManager[list[nn.Parameter]]:
        networks = [self.pipeline.unet]
        if self.config.train_text_encoder:
            networks.append(self.pipeline.text_encoder)
        return all_weights(*networks)


@dataclass(frozen=True)
class DreamBoothLoraConfig(AntiDreamBoothRecipe):
    """Settings of DreamBooth with LoRA, as in Anti-DreamBooth's script.

    The script does not state the number of steps; 500 is diffusers' default.

    Attributes:
        rank: Rank of the LoRA updates on every attention projection.
    """

    lr: float = 5e-4
    steps: int = 500
    rank: int = 4


class DreamBoothLora(Personalization):
    """DreamBooth with LoRA: trains low-rank updates of the UNet's attention.

    The prompt names the person by a rare token.
    """

    config: DreamBoothLoraConfig

    def __init__(self, config: DreamBoothLoraConfig) -> None:
        super().__init__(config)

    def trainable(self) -> AbstractContextManager[list[nn.Parameter]]:
        return lora(self.pipeline.unet, self.config.rank, self.config.seed)


@dataclass(frozen=True)
class TextualInversionConfig(Recipe):
    """Settings of textual inversion (arXiv 2208.01618).

    They are those of RID's evaluation (arXiv 2412.09844, released configuration ``sd_token``).

    Attributes:
        initializer: Existing word whose embedding the new token starts from; must be one token of
            the model's vocabulary.
    """

    instance_prompt: str = "photo of a {token} person"
    class_prompt: str = "photo of a person"
    token: str = "<new1>"
    lr: float = 5e-5
    seed: int = 4033223
    initializer: str = "ktn"


class TextualInversion(Personalization):
    """Textual inversion: trains the embedding of one new token.

    The networks stay frozen.

    Raises:
        ValueError: On first use, if the initializer is not a single token of the model's
            vocabulary.
    """

    config: TextualInversionConfig

    def __init__(self, config: TextualInversionConfig) -> None:
        super().__init__(config)
        self.ids = (0, 0)

    def prepare(self, pipeline: Any) -> None:
        tokenizer, initializer = pipeline.tokenizer, self.config.initializer
        pieces = tokenizer(initializer, add_special_tokens=False).input_ids
        if len(pieces) != 1:
            msg = (
                f"initializer '{initializer}' is {len(pieces)} tokens in {self.config.model}; "
                "choose a word that is one token"
            )
            raise ValueError(msg)
        tokenizer.add_tokens([self.config.token])
        self.ids = (tokenizer.convert_tokens_to_ids(self.config.token), pieces[0])

    def trainable(self) -> AbstractContextManager[list[nn.Parameter]]:
        return new_token(self.pipeline.text_encoder, *self.ids)


@dataclass(frozen=True)
class LoraTextualInversionConfig(TextualInversionConfig):
    """Settings of LoRA with textual inversion: RID's released configuration ``sd_lora``.

    Attributes:
        rank: Rank of the LoRA updates on every attention projection.
    """

    lr: float = 3e-4
    steps: int = 221
    rank: int = 32


class LoraTextualInversion(TextualInversion):
    """LoRA with textual inversion: trains attention updates and a token."""

    config: LoraTextualInversionConfig

    def __init__(self, config: LoraTextualInversionConfig) -> None:
        super().__init__(config)

    @contextmanager
    def trainable(self) -> Iterator[list[nn.Parameter]]:
        with (
            super().trainable() as word,
            lora(self.pipeline.unet, self.config.rank, self.config.seed) as updates,
        ):
            yield [*word, *updates]
