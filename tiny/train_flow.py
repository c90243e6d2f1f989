"""Recipe of the flow-matching pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from lightning import seed_everything

from models.pipelines import open_autoencoder
from tiny.diffusion import tokenize
from tiny.fitting import Place, fit, record
from tiny.flow import FlowTask, build_text_encoders, build_transformer, flow_pipeline
from tiny.latent_recipe import BATCH_SIZE, encode, ship, tokenizer_of
from tiny.train_sources import sources


@dataclass(frozen=True)
class FlowRecipe:
    """Recipe of a pipeline of Stable Diffusion 3's kind.

    Attributes:
        autoencoder: Name of the autoencoder's recipe.
        steps: Optimizer steps with 32 images each.
        seed: Seed of initialization and data.
        width: Width of the transformer's blocks.
        layers: Number of blocks.
        text_widths: Widths of the two text encoders.
        pictures: Number of training portraits, four of each identity.
    """

    autoencoder: str
    steps: int
    seed: int
    width: int = 128
    layers: int = 5
    text_widths: tuple[int, int] = (64, 96)
    pictures: int = 24_000

    def __call__(self, place: Place, name: str, steps: int | None = None) -> None:
        """Train the pipeline.

        Args:
            place: Folders.
            name: Name of the model.
            steps: Optimizer steps; None takes the recipe's.
        """
        seed_everything(self.seed, verbose=False)
        total = steps or self.steps
        # Open the autoencoder; build the other networks.
        vae = open_autoencoder(place.autoencoder or place.work / self.autoencoder)
        train, held_out, note = sources(place, self.pictures // 4, 4, 128)
        tokenizer = tokenizer_of(train)
        text_encoders = build_text_encoders(tokenizer, self.text_widths)
        transformer = build_transformer(
            vae.config.latent_channels,
            place.size // 8,
            self.width,
            self.layers,
            sum(self.text_widths),
        )
        # Encode the images, and train.
        data = encode(train, held_out, vae, tokenizer)
        empty = tokenize(tokenizer, [""])[0]
        task = FlowTask(transformer, text_encoders, empty, total, lr=1.5e-3)
        seconds = fit(task, data, total, place.work / name)
        # Save the pipeline with the notes of both trainings.
        encoders = [encoder.eval() for encoder in text_encoders]
        pipe = flow_pipeline(vae, transformer.eval(), encoders, tokenizer)
        ship(pipe, place, name, self.autoencoder)
        record(place.shipped / name, self.seed, total, BATCH_SIZE, seconds, note)
