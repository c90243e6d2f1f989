"""The training door of detectors: the views are the detector's, so that data and weights cannot differ."""

from __future__ import annotations

from lightning.pytorch.cli import ArgsType, LightningArgumentParser

from checkpoints.safe import read_pickled
from checkpoints.training import RememberModels
from datamodules.fake2m.datamodule import Fake2MDataModule
from detectors.detector import Detector
from detectors.module import SentryModule
from engine.training import TrainingCLI
from images.transforms.views import View


def view_of(detector: Detector) -> View:
    """What the detector sees in use."""
    return detector.view


def train_view_of(detector: Detector) -> View:
    """What it sees in training."""
    return detector.train_view


class SentryCLI(TrainingCLI):
    """Gives the detector's views to the data module."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments(
            "model.detector", "data.test_view", compute_fn=view_of, apply_on="instantiate"
        )
        parser.link_arguments(
            "model.detector", "data.train_view", compute_fn=train_view_of, apply_on="instantiate"
        )


def main(args: ArgsType = None, run: bool = True, quiet: bool = False) -> SentryCLI:
    """Parse the arguments and run the verb; with ``run=False`` only build what the config names."""
    return SentryCLI(
        SentryModule,
        Fake2MDataModule,
        "python -m detectors",
        [RememberModels()],
        read_pickled,
        quiet,
        args=args,
        run=run,
    )
