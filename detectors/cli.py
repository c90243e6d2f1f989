"""Training entry point of detectors, whose data takes the detector's views."""

from __future__ import annotations

import logging

from lightning.pytorch.cli import ArgsType, LightningArgumentParser

from checkpoints.safe import read_pickled
from checkpoints.training import RememberModels
from datamodules.fake2m.datamodule import Fake2MDataModule
from detectors.detector import Detector
from detectors.gate import shortcut_warning
from detectors.module import SentryModule
from detectors.verdict_options import add_gate
from engine.training import TrainingCLI
from images.transforms.views import View

logger = logging.getLogger(__name__)


def test_view_of(detector: Detector) -> View:
    """Return the detector's view outside training."""
    return detector.view


def train_view_of(detector: Detector) -> View:
    """Return the detector's view in training."""
    return detector.train_view


class SentryCLI(TrainingCLI):
    """Training CLI that links the detector's views to the data module."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        add_gate(parser)
        parser.link_arguments(
            "model.detector", "data.test_view", compute_fn=test_view_of, apply_on="instantiate"
        )
        parser.link_arguments(
            "model.detector", "data.train_view", compute_fn=train_view_of, apply_on="instantiate"
        )

    def before_fit(self) -> None:
        """Look for shortcuts in the headers of the training images."""
        super().before_fit()
        data: Fake2MDataModule = self.datamodule
        self._test_headers(data.train_urls)

    def before_validate(self) -> None:
        """Look for shortcuts in the headers of the validation images."""
        super().before_validate()
        self._test_headers(list(self.datamodule.splits["val"]))

    def _test_headers(self, urls: list[str]) -> None:
        """Warn if file headers alone tell the classes apart, unless ``--gate off``."""
        if self._get(self.config, "gate") == "off" or not self.trainer.is_global_zero:
            return
        warning, note = shortcut_warning(urls)
        if warning:
            logger.warning("%s; --gate off silences this", warning)
        elif note:
            logger.info("%s", note)


def main(args: ArgsType = None, run: bool = True, quiet: bool = False) -> SentryCLI:
    """Parse the arguments and run the verb.

    Args:
        args: Command line arguments; the process's if None.
        run: Run the verb; otherwise only build the objects of the config.
        quiet: Print less.

    Returns:
        The CLI, with the trainer and the built objects.
    """
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
