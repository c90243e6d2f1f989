"""Training of the perturbation generator: Adv-SDS against an ensemble, regression to gradient-based perturbations, or both."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from checkpoints.folders import pipeline_folder
from datamodules.pairs import PairList, WithPairs
from engine.manifest import fingerprint, write_manifest
from rid.ensemble import DiffusionEnsemble
from rid.generator import PerturbationGenerator
from rid.lineage import NOTHING, UNKNOWN, Fingerprint, Lineage, lineage_of, lineage_of_pairs
from rid.losses import regression_loss
from rid.noise import Rows
from rid.training.augment import RobustnessConfig, edit
from rid.weights import save_generator


class RIDTask(LightningModule):
    """Loss and optimiser of RID (arXiv 2412.09844, section on training).

    The loss is ``sds_weight * mean over models of Adv-SDS + regression_weight * regression``. A batch holds ``image``
    (B, 3, S, S) in [0, 1] where Adv-SDS is on, and ``source`` and ``attacked``, of the same shape, where regression is on.

    Args:
        generator: The network to train; its budget is the bound.
        surrogates: Diffusion pipelines to train against: folders or Hub ids. Loaded when the run starts.
        sds_weight: Weight of Adv-SDS; 0 turns it off.
        regression_weight: Weight of the regression term; 0 turns it off.
        regression_norm: "l1" as in the combined recipe, "l2" as in the regression-only one.
        prompt: What the surrogates are told; the paper uses one blank.
        robustness: Edits between generator and models, so that the protection survives them; None trains as the paper.
        activation_checkpointing: Compute the generator's blocks again in the backward pass instead of keeping them.
        compiled: Compile the generator.
        offload: Hold the surrogates' UNets in main memory, each on the device only while it is used.
        lr: Peak learning rate of AdamW.
        weight_decay: AdamW's, on every parameter.
        warmup_steps: Optimiser steps of linear warm-up; a linear decay to zero over the rest of the run follows.

    Raises:
        ValueError: If both weights are 0 or one is negative, or if surrogates are missing.
    """

    def __init__(
        self,
        generator: PerturbationGenerator,
        surrogates: list[str],
        sds_weight: float = 1.0,
        regression_weight: float = 0.0,
        regression_norm: Literal["l1", "l2"] = "l1",
        prompt: str = " ",
        robustness: RobustnessConfig | None = None,
        activation_checkpointing: bool = False,
        compiled: bool = False,
        offload: bool = False,
        lr: float = 3e-4,
        weight_decay: float = 1e-2,
        warmup_steps: int = 500,
    ) -> None:
        super().__init__()
        if min(sds_weight, regression_weight) < 0 or sds_weight + regression_weight == 0:
            msg = f"sds_weight and regression_weight must be >= 0 and not both 0, got {sds_weight} and {regression_weight}"
            raise ValueError(msg)
        if not surrogates:
            msg = "surrogates is empty: name at least one diffusion pipeline folder or Hub id"
            raise ValueError(msg)
        self.save_hyperparameters(ignore=["generator", "robustness"])
        self.generator, self.robustness = generator, robustness
        generator.train().checkpointing = activation_checkpointing  # an opened one is in evaluation mode
        self.ensemble: DiffusionEnsemble | None = None

    def setup(self, stage: str) -> None:
        if self.ensemble is None:
            dtype = torch.bfloat16 if str(self.trainer.precision).startswith("bf16") else torch.float32
            self.ensemble = DiffusionEnsemble(self.hparams["surrogates"], self.hparams["prompt"], dtype, self.hparams["offload"])
            if self.hparams["compiled"]:
                self.generator.compile()
        self.ensemble.to(self.trainer.strategy.root_device)  # self.device is still the CPU here

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        terms = self._terms(batch, self._noise_source())
        loss = torch.stack(list(terms.values())).sum()
        if self.global_step % 50 == 0 and not loss.isfinite():
            msg = f"the loss became {loss.item()} at step {self.global_step}: lower lr or use precision 32-true"
            raise FloatingPointError(msg)
        self.log_dict({f"train/{name}": value for name, value in terms.items()}, prog_bar=True)
        return loss

    def _terms(self, batch: dict[str, Tensor], noise: Rows) -> dict[str, Tensor]:
        """The weighted terms that are switched on; one generator pass serves both."""
        sds_weight, regression_weight = self.hparams["sds_weight"], self.hparams["regression_weight"]
        if regression_weight and not {"source", "attacked"} <= set(batch):
            msg = "regression_weight needs pairs: use datamodules.pairs.WithPairs as data.init_args.train, or set it to 0"
            raise ValueError(msg)
        if sds_weight and "image" not in batch:
            msg = "sds_weight needs pictures beside the pairs: use datamodules.pairs.WithPairs as data.init_args.train, or set it to 0"
            raise ValueError(msg)
        inputs = ([batch["image"]] if sds_weight else []) + ([batch["source"]] if regression_weight else [])
        perturbations = self.generator(torch.cat(inputs)).split([len(part) for part in inputs])
        terms = {}
        if sds_weight:
            assert self.ensemble is not None
            protected = (batch["image"] + perturbations[0]).clamp(0, 1)
            if self.robustness is not None:
                protected = edit(protected, self.robustness, noise.generator)
            terms["adv_sds"] = sds_weight * self.ensemble.adv_sds(protected, noise)
        if regression_weight:
            target = batch["attacked"] - batch["source"]
            error = regression_loss(2 * perturbations[-1], 2 * target, self.hparams["regression_norm"])
            terms["regression"] = regression_weight * error
        return terms

    def protect(self, images: Tensor) -> Tensor:
        """``images``, (B, 3, S, S) in [0, 1], with the generator's perturbation, in [0, 1]."""
        return self.generator.protect(images)

    def validation_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Denoising error of every surrogate on clean and on protected pictures, same noise; the protected pictures.

        The rise from one to the other is a cheap measure of protection that needs no attack.
        """
        assert self.ensemble is not None
        images = batch["image"]
        protected = self.protect(images)
        for name, pictures in (("clean", images), ("protected", protected)):
            noise = torch.Generator().manual_seed(index)
            losses = self.ensemble.denoising_losses(pictures, noise).mean(dim=1)
            self.log(f"val/denoising_{name}", losses.mean(), batch_size=len(images), sync_dist=True)
            for model, loss in zip(self.ensemble.surrogates, losses, strict=True):
                self.log(f"val/denoising_{name}/{Path(model.name).name}", loss, batch_size=len(images), sync_dist=True)
        levels = (protected - images).abs().amax() * 255
        self.log("val/levels", levels, reduce_fx="max", batch_size=len(images), sync_dist=True)
        return protected

    def on_fit_end(self) -> None:
        """Leave the trained generator as a model folder beside the run's logs."""
        folder = self.trainer.log_dir  # every rank must ask: log_dir is a broadcast
        if folder and self.trainer.is_global_zero:
            save_generator(self.generator, Path(folder) / "generator")
            write_manifest(
                Path(folder) / "generator",
                command="rid fit",
                seed=torch.initial_seed(),
                budget_levels=self.generator.budget,
                steps=self.global_step,
                settings=dict(self.hparams),
                surrogates=self._surrogates(),
                **self._lineage().record(),
            )

    def _surrogates(self) -> list[Fingerprint]:
        return [fingerprint(name, Path(pipeline_folder(name))) for name in self.hparams["surrogates"]]

    def _lineage(self) -> Lineage:
        """All models that the generator was made against: here, by its pairs, and before."""
        origin = self.generator.origin
        lineage = NOTHING if origin is None else lineage_of(origin)
        if self.hparams["sds_weight"]:
            lineage += Lineage(self._surrogates(), complete=True)
        if self.hparams["regression_weight"]:
            datasets = getattr(self.trainer.datamodule, "datasets", {})  # type: ignore[attr-defined]
            train = datasets.get("train")
            pairs = getattr(train, "pairs", None) if isinstance(train, WithPairs) else train
            lineage += lineage_of_pairs(pairs.path) if isinstance(pairs, PairList) else UNKNOWN
        return lineage

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.AdamW(self.generator.parameters(), lr=self.hparams["lr"], weight_decay=self.hparams["weight_decay"])
        if self.trainer.estimated_stepping_batches == float("inf"):
            msg = "the schedule needs to know how long the run is: set trainer.max_steps (or max_epochs)"
            raise ValueError(msg)
        warmup, total = self.hparams["warmup_steps"], int(self.trainer.estimated_stepping_batches)
        if total <= warmup:
            msg = f"the run has {total} steps, which the {warmup} of warmup_steps leave no room in: lower warmup_steps"
            raise ValueError(msg)

        def share(step: int) -> float:
            return min((step + 1) / warmup, (total - step) / (total - warmup)) if warmup else (total - step) / total

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _noise_source(self) -> Rows:
        """Fresh noise for each batch that depends on nothing else: a resumed run repeats an unbroken one, several processes one."""
        batches = self.trainer.fit_loop.epoch_loop.batch_progress.total.ready
        seed = (torch.initial_seed() * 1_000_003 + batches) % 2**63
        return Rows(torch.Generator().manual_seed(seed), self.global_rank, self.trainer.world_size)
