"""Small image-text embedder with OCR: text in images, and appearance.

The text half of an embedding follows word spotting with embedded attributes (Almazan et al., PAMI
2014): a text and an image of it map to one vector of letter positions. The appearance half is
trained contrastively, as CLIP, with a bag of words. Words outside the vocabulary are spelled, as
CLIP's tokenizer does with a random key.

Letters: B = images, N = texts, S = side in pixels, D = length of an embedding.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from checkpoints.card import Purpose
from checkpoints.saved import SavedModel

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
STRIDE = 4
"""Pixels per cell of the letter map."""

SLOTS = 8
"""Letter positions that are encoded, from either end of a key."""

TEXT_DIMENSION = len(LETTERS) * (1 + 2 * SLOTS)


class ImageTextNet(SavedModel, tags=["image-text-retrieval"]):
    """Network that embeds text and appearance of images, and texts.

    Args:
        words: Vocabulary of the appearance half; other words are spelled.
        side: Input side S of the OCR trunk, in pixels; the appearance trunk uses half of it.
        reader: Channels of the OCR trunk's stages.
        looks: Channels of the appearance trunk's stages; each halves the side.
        appearance: Length of the appearance half.
        threshold: Smallest score of a letter, in [0, 1].
    """

    PURPOSE = Purpose(
        "Image-text embedder that reads keys",
        use="Finding images by their appearance and by keys rendered in them.",
        limits="Works on images and lettering like its training data only.",
    )

    def __init__(
        self,
        words: list[str],
        side: int = 128,
        reader: tuple[int, ...] = (16, 32, 64),
        looks: tuple[int, ...] = (24, 48, 64, 96),
        appearance: int = 64,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.words = {word: index for index, word in enumerate(words)}
        self.side = side
        self.threshold = threshold
        first, second, wide = reader
        self.reader = nn.Sequential(
            _block(3, first, stride=2),
            _block(first, second, stride=2),
            _block(second, wide),
            _block(wide, wide),
            _block(wide, wide),
            nn.Conv2d(wide, len(LETTERS) + 1, 1),  # the last class is no letter
        )
        stages = zip((3, *looks), looks, strict=False)
        self.looks = nn.Sequential(*[_block(first, last, stride=2) for first, last in stages])
        cells = (side // 2 // 2 ** len(looks)) ** 2
        self.look = nn.Linear(looks[-1] * cells, appearance)
        # Default initialization would import torch._dynamo, which takes seconds.
        initial = torch.randn(len(words) + 1, appearance)
        self.word = nn.EmbeddingBag(len(words) + 1, appearance, mode="sum", _weight=initial)
        self.scale = nn.Parameter(torch.tensor(2.3))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute :meth:`letter_map` and :meth:`appearance` of (B, 3, H, W) in [0, 1]."""
        return self.letter_map(images), self.appearance(images)

    def letter_map(self, images: Tensor) -> Tensor:
        """Compute letter logits at every position.

        Args:
            images: (B, 3, H, W) in [0, 1].

        Returns:
            (B, 27, S / 4, S / 4): 26 letters, then no letter.
        """
        return self.reader(_resized(images, self.side) * 2 - 1).float()

    def appearance(self, images: Tensor) -> Tensor:
        """Embed the appearance of (B, 3, H, W) images in [0, 1], (B, D) of unit length."""
        features = self.looks(_resized(images, self.side // 2) * 2 - 1)
        return F.normalize(self.look(features.flatten(1)).float(), dim=1)

    @torch.no_grad()
    def find_letters(self, images: Tensor) -> list[list[tuple[float, float, int, float]]]:
        """Detect the letters of each image, from left to right.

        Args:
            images: (B, 3, H, W) in [0, 1].

        Returns:
            For each image x and y (relative to the sides), index in the alphabet, and score of
            each letter.
        """
        # Find local maxima of the letter score.
        probability = self.letter_map(images).softmax(dim=1)
        score = 1 - probability[:, -1]
        largest = F.max_pool2d(score[:, None], 3, stride=1, padding=1)[:, 0]
        peak = (score == largest) & (score >= self.threshold)
        # Read the letters at these positions.
        cells = score.shape[-1]
        lines = []
        for index in range(len(images)):
            rows, columns = peak[index].nonzero(as_tuple=True)
            letters = probability[index, :-1, rows, columns].argmax(dim=0)
            spots = zip(
                columns.tolist(),
                rows.tolist(),
                letters.tolist(),
                score[index, rows, columns].tolist(),
                strict=True,
            )
            placed = [
                ((x + 0.5) / cells, (y + 0.5) / cells, letter, value)
                for x, y, letter, value in spots
            ]
            lines.append(_one_line(sorted(placed)))
        return lines

    def read(self, images: Tensor) -> list[str]:
        """Read the text in (B, 3, H, W) images in [0, 1], in capitals.

        Returns:
            One text for each image; empty without letters.
        """
        texts = []
        for line in self.find_letters(images):
            texts.append("".join(LETTERS[letter] for _, _, letter, _ in line))
        return texts

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        """Embed text and appearance of (B, 3, H, W) images, (B, D) of unit length."""
        vectors = []
        for line in self.find_letters(images):
            vectors.append(reading_vector([letter for _, _, letter, _ in line]))
        text = torch.stack(vectors).to(images.device)
        return F.normalize(torch.cat([text, self.appearance(images)], dim=1), dim=1)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts in the space of images, (N, D) of unit length.

        The longest word outside the vocabulary is taken as the key.
        """
        known = F.normalize(self.text_appearance(texts), dim=1)
        spelled = [reading_vector(self._key(text)).to(known.device) for text in texts]
        return F.normalize(torch.cat([torch.stack(spelled), known], dim=1), dim=1)

    def text_appearance(self, texts: Sequence[str]) -> Tensor:
        """Embed texts in the appearance half, (N, D), not normalized.

        Texts without a known word give zero.
        """
        lines = []
        for text in texts:
            lines.append([self.words[word] for word in _words(text) if word in self.words])
        width = max(1, *(len(line) for line in lines)) if lines else 1
        padding = len(self.words)
        padded = [line + [padding] * (width - len(line)) for line in lines]
        indices = torch.tensor(padded, device=self.word.weight.device)
        weights = (indices != padding).float()
        return self.word(indices, per_sample_weights=weights).float()

    def _key(self, text: str) -> list[int]:
        unknown = [word for word in _words(text) if word not in self.words and len(word) > 2]
        return [LETTERS.index(letter) for letter in max(unknown, key=len, default="").upper()]


def reading_vector(letters: Sequence[int]) -> Tensor:
    """Encode letters and their positions from the left and the right.

    Args:
        letters: Indices in the alphabet, 0 to 25.

    Returns:
        Vector of unit length; zero without letters.
    """
    vector = torch.zeros(1 + 2 * SLOTS, len(LETTERS))
    for position, letter in enumerate(letters):
        vector[0, letter] = 1
        from_right = len(letters) - 1 - position
        if position < SLOTS:
            vector[1 + position, letter] = 1
        if from_right < SLOTS:
            vector[1 + SLOTS + from_right, letter] = 1
    return F.normalize(vector.flatten(), dim=0)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def _resized(images: Tensor, side: int) -> Tensor:
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


def _block(before: int, after: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.SiLU()
    )


def _one_line(
    spots: list[tuple[float, float, int, float]],
) -> list[tuple[float, float, int, float]]:
    """Select the longest nearly straight line of letters, sorted by x."""
    best: list[tuple[float, float, int, float]] = []
    for first in range(len(spots)):
        line = [spots[first]]
        for spot in spots[first + 1 :]:
            x = spot[0] - line[-1][0]
            y = spot[1] - line[-1][1]
            if 0.02 < x < 0.3 and abs(y) <= 0.5 * x + 0.01:
                line.append(spot)
        best = max(best, line, key=len)
    return best
