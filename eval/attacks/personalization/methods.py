"""Personalization of diffusion models: DreamBooth, textual inversion, LoRA and DoRA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from eval.attacks.personalization.attack import Learned, Personalization
from eval.attacks.personalization.learning import all_weights, lora, lora_state, new_token
from eval.attacks.personalization.recipe import Recipe, Sampler
from eval.attacks.personalization.weights import LORA_FILE, TOKEN_FILE, token_state

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
        train_text_encoder: Train the CLIP text encoders as well.

    Raises:
        ValueError: If the weights are to be held in bfloat16, which loses their small changes.
    """

    lr: float = 5e-7
    batch_size: int = 2
    train_text_encoder: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision == "bf16-true":
            msg = "DreamBooth trains every weight, so precision is 32 or bf16, not bf16-true"
            raise ValueError(msg)


class DreamBooth(Personalization):
    """DreamBooth: trains all weights of the denoising network.

    The CLIP text encoders are trained as well if configured; T5 and other language models stay
    frozen. The prompt names the person by a rare token.
    """

    config: DreamBoothConfig
    keeps_weights = False

    def __init__(self, config: DreamBoothConfig) -> None:
        super().__init__(config)

    def trainable(self) -> AbstractContextManager[list[nn.Parameter]]:
        networks = [self.network]
        if self.config.train_text_encoder:
            networks += self.clip_encoders()
        return all_weights(*networks)


@dataclass(frozen=True)
class DreamBoothLoraConfig(AntiDreamBoothRecipe):
    """Settings of DreamBooth with LoRA, as in Anti-DreamBooth's script.

    The script does not state the number of steps; 500 is diffusers' default.

    Attributes:
        rank: Rank of the LoRA updates on every attention projection.
        dora: Train the magnitudes of the weights' rows as well (DoRA, arXiv 2402.09353).
    """

    lr: float = 5e-4
    steps: int = 500
    rank: int = 4
    dora: bool = False


class DreamBoothLora(Personalization):
    """DreamBooth with LoRA: trains low-rank updates of the network's attention.

    The text encoders stay frozen. The prompt names the person by a rare token.
    """

    config: DreamBoothLoraConfig

    def __init__(self, config: DreamBoothLoraConfig) -> None:
        super().__init__(config)

    def trainable(self) -> AbstractContextManager[list[nn.Parameter]]:
        return _updates(self, self.config)

    def learned(self) -> Learned:
        return {LORA_FILE: lora_state(self.network, self.family.network)}


@dataclass(frozen=True)
class TextualInversionConfig(Recipe):
    """Settings of textual inversion (arXiv 2208.01618).

    They are those of RID's evaluation (arXiv 2412.09844, released configuration ``sd_token``).

    Attributes:
        initializer: Existing word whose embedding the new token starts from; must be one token of
            the model's CLIP vocabularies.
    """

    instance_prompt: str = "photo of a {token} person"
    class_prompt: str = "photo of a person"
    token: str = "<new1>"
    lr: float = 5e-5
    seed: int = 4033223
    initializer: str = "ktn"


class TextualInversion(Personalization):
    """Textual inversion: trains the embedding of one new token in each CLIP text encoder.

    The networks stay frozen. A T5 encoder beside CLIP reads the token as ordinary text.

    Raises:
        ValueError: On first use, if the model has no CLIP text encoder, or the initializer is not a
            single token of its vocabularies.
    """

    config: TextualInversionConfig

    def __init__(self, config: TextualInversionConfig) -> None:
        super().__init__(config)
        self.ids: list[tuple[int, int]] = []

    def prepare(self, pipeline: Any) -> None:
        token, model = self.config.token, self.config.model
        if not self.family.clip_encoders:
            msg = (
                f"{model} has no CLIP text encoder, where textual inversion learns its token; "
                "use DreamBoothLora"
            )
            raise ValueError(msg)
        self.ids = []
        for _, name in self.family.clip_encoders:
            tokenizer = getattr(pipeline, name)
            pieces = tokenizer(self.config.initializer, add_special_tokens=False).input_ids
            if len(pieces) != 1:
                msg = (
                    f"initializer '{self.config.initializer}' is {len(pieces)} tokens in {model}; "
                    "choose a word that is one token"
                )
                raise ValueError(msg)
            tokenizer.add_tokens([token])
            self.ids.append((tokenizer.convert_tokens_to_ids(token), pieces[0]))

    @contextmanager
    def trainable(self) -> Iterator[list[nn.Parameter]]:
        encoders = self.clip_encoders()  # opens the model, which sets the ids
        with ExitStack() as stack:
            rows: list[nn.Parameter] = []
            for encoder, ids in zip(encoders, self.ids, strict=True):
                rows += stack.enter_context(new_token(encoder, *ids))
            yield rows

    def learned(self) -> Learned:
        tables = [encoder.get_input_embeddings() for encoder in self.clip_encoders()]
        rows = [table.word.detach().cpu().unsqueeze(0) for table in tables]
        return {TOKEN_FILE: token_state(self.config.token, rows)}


@dataclass(frozen=True)
class LoraTextualInversionConfig(TextualInversionConfig):
    """Settings of LoRA with textual inversion: RID's released configuration ``sd_lora``.

    Attributes:
        rank: Rank of the LoRA updates on every attention projection.
        dora: Train the magnitudes of the weights' rows as well (DoRA, arXiv 2402.09353).
    """

    lr: float = 3e-4
    steps: int = 221
    rank: int = 32
    dora: bool = False


class LoraTextualInversion(TextualInversion):
    """LoRA with textual inversion: trains attention updates and a token."""

    config: LoraTextualInversionConfig

    def __init__(self, config: LoraTextualInversionConfig) -> None:
        super().__init__(config)

    @contextmanager
    def trainable(self) -> Iterator[list[nn.Parameter]]:
        with super().trainable() as rows, _updates(self, self.config) as updates:
            yield [*rows, *updates]

    def learned(self) -> Learned:
        return super().learned() | {LORA_FILE: lora_state(self.network, self.family.network)}


def _updates(
    attack: Personalization, config: DreamBoothLoraConfig | LoraTextualInversionConfig
) -> AbstractContextManager[list[nn.Parameter]]:
    """Train low-rank updates of the attention of an attack's network."""
    targets = attack.family.lora_targets
    return lora(attack.network, targets, config.rank, config.seed, config.dora)
