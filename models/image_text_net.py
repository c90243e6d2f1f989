"""A small image-text embedder that reads: letters set into a picture, and what the picture looks like.

The reading half of an embedding follows word spotting with embedded attributes (Almazan et al., PAMI 2014): a text and a picture of it
are brought to one vector of which letter is where. The other half is CLIP's contrastive idea, with words that are counted. A word that
is not in the vocabulary is spelled, as CLIP's tokenizer does with a random key.

Letters: B = pictures, N = texts, S = side in pixels, D = length of an embedding.
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
SLOTS = 8
"""Letters of a key that count, from either end."""

READING = len(LETTERS) * (1 + 2 * SLOTS)


class ImageTextNet(SavedModel, tags=["image-text-retrieval"]):
    """Letters and appearance of pictures, and texts in the same space.

    Args:
        words: The vocabulary; other words are spelled.
        side: Side S that pictures are brought to for reading; half of it for appearance.
        reader: Widths of the reading trunk.
        looks: Widths of the appearance trunk; each halves the side.
        appearance: Length of the appearance half.
        threshold: Least score of a letter, in [0, 1].
    """

    PURPOSE = Purpose(
        "Image-text embedder that reads keys",
        use="Finding pictures by what they look like and by keys set into them.",
        limits="Knows pictures and lettering like those it was trained on, and reads no other.",
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
        self.side, self.threshold = side, threshold
        first, second, wide = reader
        self.reader = nn.Sequential(
            _block(3, first, stride=2),
            _block(first, second, stride=2),
            _block(second, wide),
            _block(wide, wide),
            _block(wide, wide),
            nn.Conv2d(wide, len(LETTERS) + 1, 1),  # the last is no letter
        )
        self.looks = nn.Sequential(*[_block(before, after, stride=2) for before, after in zip((3, *looks), looks, strict=False)])
        cells = (side // 2 // 2 ** len(looks)) ** 2
        self.look = nn.Linear(looks[-1] * cells, appearance)
        # its own start on sizes alone would import torch._dynamo, which takes seconds
        self.word = nn.EmbeddingBag(len(words) + 1, appearance, mode="sum", _weight=torch.randn(len(words) + 1, appearance))
        self.scale = nn.Parameter(torch.tensor(2.3))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`letter_map` and :meth:`appearance` of (B, 3, H, W) pictures in [0, 1]."""
        return self.letter_map(images), self.appearance(images)

    def letter_map(self, images: Tensor) -> Tensor:
        """Logits of every letter, and last of none, at every place of (B, 3, H, W) pictures in [0, 1]: (B, 27, S / 4, S / 4)."""
        return self.reader(_fitted(images, self.side) * 2 - 1).float()

    def appearance(self, images: Tensor) -> Tensor:
        """What (B, 3, H, W) pictures in [0, 1] look like, whatever is written in them; unit length, (B, D)."""
        features = self.looks(_fitted(images, self.side // 2) * 2 - 1)
        return F.normalize(self.look(features.flatten(1)).float(), dim=1)

    @torch.no_grad()
    def find_letters(self, images: Tensor) -> list[list[tuple[float, float, int, float]]]:
        """The letters of each picture from left to right: x and y as shares of the sides, place in the alphabet, score."""
        chance = self.letter_map(images).softmax(dim=1)
        score = 1 - chance[:, -1]
        peak = (score == F.max_pool2d(score[:, None], 3, stride=1, padding=1)[:, 0]) & (score >= self.threshold)
        cells, found = score.shape[-1], []
        for picture in range(len(images)):
            rows, columns = peak[picture].nonzero(as_tuple=True)
            letters = chance[picture, :-1, rows, columns].argmax(dim=0)
            spots = zip(
                columns.tolist(),
                rows.tolist(),
                letters.tolist(),
                score[picture, rows, columns].tolist(),
                strict=True,
            )
            found.append(_one_line(sorted(((x + 0.5) / cells, (y + 0.5) / cells, letter, value) for x, y, letter, value in spots)))
        return found

    def read(self, images: Tensor) -> list[str]:
        """What is written in (B, 3, H, W) pictures in [0, 1], in capitals; empty where nothing is."""
        return ["".join(LETTERS[letter] for _, _, letter, _ in line) for line in self.find_letters(images)]

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        """Reading and appearance together, unit length, (B, D)."""
        lines = self.find_letters(images)
        reading = torch.stack([reading_vector([letter for _, _, letter, _ in line]) for line in lines]).to(images.device)
        return F.normalize(torch.cat([reading, self.appearance(images)], dim=1), dim=1)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Texts in the space of pictures, unit length, (N, D); the longest word outside the vocabulary is taken for the key."""
        known = F.normalize(self.text_appearance(texts), dim=1)
        spelled = [reading_vector(self._key(text)).to(known.device) for text in texts]
        return F.normalize(torch.cat([torch.stack(spelled), known], dim=1), dim=1)

    def text_appearance(self, texts: Sequence[str]) -> Tensor:
        """The appearance half of texts, (N, D), not normalised; zero for one without a known word."""
        lines = [[self.words[word] for word in _words(text) if word in self.words] for text in texts]
        width = max(1, *(len(line) for line in lines)) if lines else 1
        none = len(self.words)
        indices = torch.tensor([line + [none] * (width - len(line)) for line in lines], device=self.word.weight.device)
        weights = (indices != none).float()
        return self.word(indices, per_sample_weights=weights).float()

    def _key(self, text: str) -> list[int]:
        unknown = [word for word in _words(text) if word not in self.words and len(word) > 2]
        return [LETTERS.index(letter) for letter in max(unknown, key=len, default="").upper()]


def reading_vector(letters: Sequence[int]) -> Tensor:
    """Which letters there are, and which is where from the left and from the right; unit length, or zero without letters."""
    vector = torch.zeros(1 + 2 * SLOTS, len(LETTERS))
    for place, letter in enumerate(letters):
        vector[0, letter] = 1
        if place < SLOTS:
            vector[1 + place, letter] = 1
        if len(letters) - 1 - place < SLOTS:
            vector[1 + SLOTS + len(letters) - 1 - place, letter] = 1
    return F.normalize(vector.flatten(), dim=0)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def _fitted(images: Tensor, side: int) -> Tensor:
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


def _block(before: int, after: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.SiLU())


def _one_line(
    spots: list[tuple[float, float, int, float]],
) -> list[tuple[float, float, int, float]]:
    """Of letters sorted by x those of one nearly straight line, the longest there is; strays elsewhere are no part of a key."""
    best: list[tuple[float, float, int, float]] = []
    for first in range(len(spots)):
        line = [spots[first]]
        for spot in spots[first + 1 :]:
            x, y = spot[0] - line[-1][0], spot[1] - line[-1][1]
            if 0.02 < x < 0.3 and abs(y) <= 0.5 * x + 0.01:
                line.append(spot)
        best = max(best, line, key=len)
    return best
