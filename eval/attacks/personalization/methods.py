"""The attacks on Stable Diffusion 1.x and 2.x: DreamBooth, textual inversion, LoRA, and LoRA with textual inversion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from eval.attacks.personalization.attack import Personalization
from eval.attacks.personalization.learning import everything, lora, new_word
from eval.attacks.personalization.recipe import Recipe, Sampler

SELFIE = "a photo of {token} person"
PORTRAIT = "a dslr portrait of {token} person"


@dataclass(frozen=True)
class AntiDreamBoothRecipe(Recipe):
    """What the attacks of Anti-DreamBooth's evaluation (arXiv 2303.15433) share."""

    instance_prompt: str = SELFIE
    class_prompt: str = "a photo of person"
    class_images: int = 200
    sample_prompts: tuple[str, ...] = (SELFIE, PORTRAIT)
    samples: int = 16
    sample_steps: int = 100
    sampler: Sampler = "own"


@dataclass(frozen=True)
class DreamBoothConfig(AntiDreamBoothRecipe):
    """DreamBooth (arXiv 2208.12242); the defaults are Anti-DreamBooth's evaluation.

    RID's own run differs: lr 8e-7, 6001 steps, batches of 3, 100 class images, the text encoder frozen.

    Attributes:
        train_text_encoder: Learn the text encoder, too.
    """

    lr: float = 5e-7
    batch_size: int = 2
    train_text_encoder: bool = True


class DreamBooth(Personalization):
    """Every weight of the UNet, and of the text encoder if asked for, learns the person under a rare word."""

    config: DreamBoothConfig

    def __init__(self, config: DreamBoothConfig) -> None:
        super().__init__(config)

    def learned(self) -> AbstractContextManager[list[nn.Parameter]]:
        networks = [self.pipeline.unet] + (
            [self.pipeline.text_encoder] if self.config.train_text_encoder else []
        )
        return everything(*networks)


@dataclass(frozen=True)
class DreamBoothLoraConfig(AntiDreamBoothRecipe):
    """DreamBooth by LoRA, Anti-DreamBooth's script, which leaves the steps open; 500 are diffusers' own default.

    Attributes:
        rank: Of the LoRA updates on every attention projection.
    """

    lr: float = 5e-4
    steps: int = 500
    rank: int = 4


class DreamBoothLora(Personalization):
    """Low-rank updates of the UNet's attention learn the person under a rare word."""

    config: DreamBoothLoraConfig

    def __init__(self, config: DreamBoothLoraConfig) -> None:
        super().__init__(config)

    def learned(self) -> AbstractContextManager[list[nn.Parameter]]:
        return lora(self.pipeline.unet, self.config.rank, self.config.seed)


@dataclass(frozen=True)
class TextualInversionConfig(Recipe):
    """Textual inversion (arXiv 2208.01618) as in RID's evaluation (arXiv 2412.09844, released configuration ``sd_token``).

    Attributes:
        initializer: Existing word whose embedding the new one starts from; must be one token of the model's vocabulary.
    """

    instance_prompt: str = "photo of a {token} person"
    class_prompt: str = "photo of a person"
    token: str = "<new1>"
    lr: float = 5e-5
    seed: int = 4033223
    initializer: str = "ktn"


class TextualInversion(Personalization):
    """One new word learns the person; the networks stay as they are.

    Raises:
        ValueError: On first use, if the initializer is not a single token of the model's vocabulary.
    """

    config: TextualInversionConfig

    def __init__(self, config: TextualInversionConfig) -> None:
        super().__init__(config)
        self.ids = (0, 0)

    def prepare(self, pipeline: Any) -> None:
        tokenizer, initializer = pipeline.tokenizer, self.config.initializer
        pieces = tokenizer(initializer, add_special_tokens=False).input_ids
        if len(pieces) != 1:
            msg = f"initializer '{initializer}' is {len(pieces)} tokens in {self.config.model}; choose a word that is one token"
            raise ValueError(msg)
        tokenizer.add_tokens([self.config.token])
        self.ids = (tokenizer.convert_tokens_to_ids(self.config.token), pieces[0])

    def learned(self) -> AbstractContextManager[list[nn.Parameter]]:
        return new_word(self.pipeline.text_encoder, *self.ids)


@dataclass(frozen=True)
class LoraTextualInversionConfig(TextualInversionConfig):
    """LoRA and one new word together, the attack of RID's evaluation (released configuration ``sd_lora``).

    Attributes:
        rank: Of the LoRA updates on every attention projection.
    """

    lr: float = 3e-4
    steps: int = 221
    rank: int = 32


class LoraTextualInversion(TextualInversion):
    """One new word and low-rank updates of the UNet's attention learn the person together."""

    config: LoraTextualInversionConfig

    def __init__(self, config: LoraTextualInversionConfig) -> None:
        super().__init__(config)

    @contextmanager
    def learned(self) -> Iterator[list[nn.Parameter]]:
        with (
            super().learned() as word,
            lora(self.pipeline.unet, self.config.rank, self.config.seed) as updates,
        ):
            yield [*word, *updates]
