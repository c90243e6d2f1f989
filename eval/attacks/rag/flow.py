"""Retrieval-augmented generation, step by step (ImageRAG, arXiv 2502.09411)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from eval.attacks.rag.generators import Generator
from eval.attacks.rag.judges import Judge
from eval.attacks.rag.retriever import Retriever
from images.io import open_photo, save_png
from images.photo import Photo
from images.transforms import RGBImage
from models.search import Ranking
from sentinels.word_keys import is_word_key


@dataclass(frozen=True)
class FlowConfig:
    """Settings of a retrieval-augmented generator.

    Attributes:
        mode: ``draw_first`` generates from the prompt and searches only if the image does not match
            it; ``search_first`` always asks for missing concepts and searches.
        top_k: Images retrieved for each caption, at least 1.
        references: Images that the generator goes by, at least 1; ImageRAG takes up to 3. They are
            the best of each caption, and then the next of the first caption.
        trials: Trials of each key, at least 1.
        only_rephrase: If the first image does not match, rephrase the prompt instead of searching.
    """

    mode: Literal["draw_first", "search_first"] = "draw_first"
    top_k: int = 20
    trials: int = 1
    only_rephrase: bool = False
    references: int = 1

    def __post_init__(self) -> None:
        if self.top_k < 1 or self.trials < 1 or self.references < 1:
            msg = (
                "top_k, trials and references must be at least 1, got "
                f"{self.top_k}, {self.trials} and {self.references}"
            )
            raise ValueError(msg)


def query_prompt(key: str) -> str:
    """Build the owner's prompt that asks for a key.

    It leads the suspected system's own model to search for the key, letters or words.
    """
    if is_word_key(key):
        return (
            f"a picture of '{key}'. If a caption or a concept is asked for, it is these words: "
            f"{key}, and nothing but these words"
        )
    return (
        f"a picture with the letters '{key}' in it. If a caption or a concept is asked for, "
        f"it is {key}, and nothing but {key}"
    )


class RagFlow:
    """Answers prompts by retrieval-augmented generation.

    Args:
        judge: Compares images with prompts and writes search captions.
        retriever: Searches the collection.
        generator: Generates images.
        config: Settings of the system.
    """

    def __init__(
        self, judge: Judge, retriever: Retriever, generator: Generator, config: FlowConfig
    ) -> None:
        self.judge = judge
        self.retriever = retriever
        self.generator = generator
        self.config = config

    async def answer(
        self, prompt: str, number: int, seed: int, folder: Path, stem: str
    ) -> dict[str, Any]:
        """Run one trial and save its images as they are generated.

        Args:
            prompt: The prompt.
            number: Number of the trial, from 1.
            seed: Seed of the generator's noise.
            folder: Folder of the images.
            stem: First part of the images' file names.

        Returns:
            The trial in the published schema.
        """
        trial: dict[str, Any] = {
            "trial_number": number,
            "prompt": prompt,
            "timestamp": datetime.now().isoformat(),
        }
        salt = f"trial {number}" if number > 1 else ""
        first = None

        # Generate without retrieval, and stop if the image matches the prompt.
        unaided = folder / f"{stem}_trial_{number}_no_imageRAG.png"
        if self.config.mode == "draw_first":
            first = await self._generate_once(unaided, prompt, (), "", seed)
            trial["initial_image"] = unaided.name
            verdict = await self.judge.matches(first, prompt, salt)
            if verdict == "yes":
                return trial | {"result": "matches prompt"}
            if verdict == "undecided":
                trial["undecided"] = True
            if self.config.only_rephrase:
                rephrased = await self.judge.rephrase(prompt, salt)
                target = folder / f"{stem}_trial_{number}_rephrased.png"
                await self._generate_once(target, rephrased, (), "", seed)
                return trial | {"rephrased_prompt": rephrased, "rephrased_image": target.name}

        # Search by a caption of the missing concepts, or by the prompt itself.
        concepts = await self.judge.concepts(first, prompt, salt)
        captions = await self.judge.captions(prompt, concepts, salt) if concepts else []
        caption = captions[0] if captions else prompt
        ranking = await self.retriever.search(caption, self.config.top_k, salt)
        if not ranking:
            await self._generate_once(unaided, prompt, (), "", seed)
            trial["initial_image"] = unaided.name
            return trial | {"caption": caption, "result": "nothing found"}

        # Generate from the prompt and the best match.
        paths = [self.retriever.path(name) for name, _ in ranking]
        final_prompt = f"Going by this picture of {caption}, make {prompt}"
        target = folder / f"{stem}_trial_{number}.png"
        chosen = await self._references(ranking, captions, salt)
        images = [open_photo(path).on_white().rgb for path in chosen]
        await self._generate_once(target, final_prompt, images, caption, seed)
        if self.config.references > 1:
            trial["references"] = [str(path) for path in chosen]
        return trial | {
            "caption": caption,
            "retrieved_images": [str(path) for path in paths],
            "retrieved_scores": [round(score, 6) for _, score in ranking],
            "final_prompt": final_prompt,
            "final_image": target.name,
        }

    async def _references(self, ranking: Ranking, captions: Sequence[str], salt: str) -> list[Path]:
        """Choose the images that the generator goes by.

        Args:
            ranking: Images found by the first caption.
            captions: All captions.
            salt: Distinguishes trials.
        """
        count = self.config.references
        names = [ranking[0][0]]
        for caption in captions[1:count]:
            names += [name for name, _ in await self.retriever.search(caption, 1, salt)]
        names += [name for name, _ in ranking]
        return [self.retriever.path(name) for name in list(dict.fromkeys(names))[:count]]

    async def _generate_once(
        self, target: Path, prompt: str, references: Sequence[RGBImage], caption: str, seed: int
    ) -> RGBImage:
        """Generate an image, unless a stopped run has saved it already."""
        if target.is_file():
            return open_photo(target).rgb
        image = await self.generator.draw(prompt, references, caption, seed)
        save_png(Photo(image), target)
        return image
