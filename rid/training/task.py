"""LightningModule that trains RID's perturbation generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from checkpoints.folders import pipeline_folder
from engine.manifest import fingerprint, write_manifest
from images.transforms.purifier import Purifier
from models.noise import ShardedGenerator
from rid.edits import move, record, share_out
from rid.ensemble import DiffusionEnsemble
from rid.generator import PerturbationGenerator
from rid.lineage import NOTHING, Fingerprint, Lineage, lineage_of, lineage_of_training_data
from rid.losses import common_share, regression_loss
from rid.training.checks import check_batch, check_settings
from rid.training.schedule import warm_up_and_decay
from rid.weights import load_generator, save_generator


class RIDTask(LightningModule):
    """Training of the generator (arXiv 2412.09844, section on training).

    The loss is a weighted sum of terms. Adv-SDS and regression are the paper's:

    - ``sds_weight``: Adv-SDS, mean over the models.
    - ``denoising_weight``: negative logarithm of the denoising error, mean over models and images,
      with the gradient through the UNets. Small errors weigh as much as large ones.
    - ``diversity_weight``: :func:`rid.losses.common_share` of a process's perturbations.
    - ``regression_weight``: distance to gradient-attacked versions.
    - ``distillation_weight``: distance to the perturbations of a trained generator, the teacher.

    Regression needs ``source`` and ``attacked`` in a batch, the others ``image``: (B, 3, S, S) RGB
    in [0, 1].

    Args:
        generator: The network to train; its budget is the bound.
        surrogates: Diffusion pipelines to train against, folders or Hub ids; loaded in ``setup``.
        sds_weight: Weight of Adv-SDS; 0 turns it off, as for the other terms.
        denoising_weight: Weight of the denoising term.
        diversity_weight: Weight of the diversity term.
        regression_weight: Weight of the regression term.
        regression_norm: "l1" as in the combined recipe, "l2" as in the regression-only one; also of
            distillation.
        distillation_weight: Weight of the distillation term.
        teacher: Trained generator of the same input size: folder, Hub id or checkpoint.
        prompt: Prompt of the surrogates; the paper uses one blank.
        edits: Differentiable edits that protected images meet before the surrogates, each image of
            a batch the next one in turn; null leaves its images as they are. Empty trains as the
            paper.
        activation_checkpointing: Recompute the blocks of the generator and of the surrogates'
            encoders in the backward pass.
        compiled: Compile the generator.
        offload: Keep each surrogate's UNet in main memory except while it predicts.
        lr: Peak learning rate of AdamW.
        weight_decay: Weight decay of AdamW, on every parameter.
        warmup_steps: Optimizer steps of linear warm-up, followed by linear decay to zero.

    Raises:
        ValueError: If all weights are 0, one is negative, or surrogates or teacher are missing.
    """

    def __init__(
        self,
        generator: PerturbationGenerator,
        surrogates: list[str],
        sds_weight: float = 1.0,
        denoising_weight: float = 0.0,
        diversity_weight: float = 0.0,
        regression_weight: float = 0.0,
        regression_norm: Literal["l1", "l2"] = "l1",
        distillation_weight: float = 0.0,
        teacher: str | None = None,
        prompt: str = " ",
        edits: Sequence[Purifier | None] = (),
        activation_checkpointing: bool = False,
        compiled: bool = False,
        offload: bool = False,
        lr: float = 3e-4,
        weight_decay: float = 1e-2,
        warmup_steps: int = 500,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["generator", "edits"])
        check_settings(self.hparams)
        self.generator = generator
        self.edits = edits
        # a loaded generator is in evaluation mode
        generator.train().checkpointing = activation_checkpointing
        self.ensemble: DiffusionEnsemble | None = None
        # a bound method: its network is in no checkpoint and is not trained
        self.teach: Callable[[Tensor], Tensor] | None = None

    def setup(self, stage: str) -> None:
        if self.ensemble is None:
            use_bf16 = str(self.trainer.precision).startswith("bf16")
            self.ensemble = DiffusionEnsemble(
                self.hparams["surrogates"],
                self.hparams["prompt"],
                torch.bfloat16 if use_bf16 else torch.float32,
                self.hparams["offload"],
                self.hparams["activation_checkpointing"],
            )
            if self.hparams["compiled"]:
                self.generator.compile()
        device = self.trainer.strategy.root_device  # self.device is still the CPU here
        self.ensemble.to(device)
        move(self.edits, device)
        if self.hparams["distillation_weight"]:
            self.teach = load_generator(self.hparams["teacher"]).to(device).forward

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        terms = self._terms(batch, self._noise_source(), self._batches())
        loss = torch.stack(list(terms.values())).sum()
        if self.global_step % 50 == 0 and not loss.isfinite():
            msg = (
                f"the loss became {loss.item()} at step {self.global_step}: lower lr or use "
                "precision 32-true"
            )
            raise FloatingPointError(msg)
        metrics = {f"train/{name}": value for name, value in terms.items()}
        self.log_dict(metrics, prog_bar=True)
        return loss

    def _terms(
        self, batch: dict[str, Tensor], noise: ShardedGenerator, batches: int = 0
    ) -> dict[str, Tensor]:
        """Compute the enabled loss terms with one generator pass.

        Args:
            batch: See the class.
            noise: Source of timesteps and noise.
            batches: Number of batches before.
        """
        check_batch(batch, self.hparams)
        regression_weight = self.hparams["regression_weight"]
        # perturbations of all images
        inputs = []
        if self._takes_images:
            inputs.append(batch["image"])
        if regression_weight:
            inputs.append(batch["source"])
        sizes = [len(images) for images in inputs]
        perturbations = self.generator(torch.cat(inputs)).split(sizes)
        # weighted losses
        terms: dict[str, Tensor] = {}
        if self._meets_models:
            if weight := self.hparams["diversity_weight"]:
                terms["common_share"] = weight * common_share(perturbations[0])
            protected = (batch["image"] + perturbations[0]).clamp(0, 1)
            if self.edits:
                seed = 0 if noise.generator is None else noise.generator.initial_seed()
                first = batches * len(protected) * noise.world_size
                protected = share_out(
                    protected, self.edits, seed, first, noise.rank, noise.world_size
                )
            terms |= self._model_terms(protected, noise)
        norm = self.hparams["regression_norm"]
        if regression_weight:
            target = batch["attacked"] - batch["source"]
            error = regression_loss(2 * perturbations[-1], 2 * target, norm)
            terms["regression"] = regression_weight * error
        if self.teach is not None:
            with torch.no_grad():
                target = self.teach(batch["image"])
            error = regression_loss(2 * perturbations[0], 2 * target, norm)
            terms["distillation"] = self.hparams["distillation_weight"] * error
        return terms

    @property
    def _meets_models(self) -> bool:
        return bool(self.hparams["sds_weight"] or self.hparams["denoising_weight"])

    @property
    def _takes_images(self) -> bool:
        return self._meets_models or bool(self.hparams["distillation_weight"])

    def _model_terms(self, protected: Tensor, noise: ShardedGenerator) -> dict[str, Tensor]:
        """Compute the terms of the surrogates on protected and edited images, (B, 3, S, S)."""
        assert self.ensemble is not None
        terms: dict[str, Tensor] = {}
        if weight := self.hparams["sds_weight"]:
            terms["adv_sds"] = weight * self.ensemble.adv_sds(protected, noise)
        if weight := self.hparams["denoising_weight"]:
            errors = self.ensemble.denoising_losses(protected, noise)
            terms["denoising"] = -weight * errors.log().mean()
        return terms

    def protect(self, images: Tensor) -> Tensor:
        """Protect images, (B, 3, S, S) in and out, in [0, 1]."""
        return self.generator.protect(images)

    def validation_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """Log each surrogate's denoising error on clean and protected images.

        Both are computed with the same noise. The rise from one to the other is a cheap measure of
        protection that needs no attack.

        Returns:
            The protected images, (B, 3, S, S) in [0, 1].
        """
        assert self.ensemble is not None
        images = batch["image"]
        protected = self.protect(images)
        count = len(images)
        # denoising errors, with the same noise for both
        for condition, evaluated in (("clean", images), ("protected", protected)):
            metric = f"val/denoising_{condition}"
            noise = torch.Generator().manual_seed(index)
            losses = self.ensemble.denoising_losses(evaluated, noise).mean(dim=1)
            self.log(metric, losses.mean(), batch_size=count, sync_dist=True)
            for model, loss in zip(self.ensemble.surrogates, losses, strict=True):
                name = f"{metric}/{Path(model.name).name}"
                self.log(name, loss, batch_size=count, sync_dist=True)
        # largest change in gray levels
        linf = (protected - images).abs().amax() * 255
        self.log("val/levels", linf, reduce_fx="max", batch_size=count, sync_dist=True)
        return protected

    def on_fit_end(self) -> None:
        """Save the trained generator in the run's log folder."""
        folder = self.trainer.log_dir  # log_dir broadcasts, so every rank must read it
        if folder and self.trainer.is_global_zero:
            save_generator(self.generator, Path(folder) / "generator")
            write_manifest(
                Path(folder) / "generator",
                command="rid fit",
                seed=torch.initial_seed(),
                budget_levels=self.generator.budget,
                steps=self.global_step,
                settings=dict(self.hparams) | {"edits": record(self.edits)},
                surrogates=self._surrogates(),
                **self._lineage().record(),
            )

    def _surrogates(self) -> list[Fingerprint]:
        names = self.hparams["surrogates"]
        return [fingerprint(name, Path(pipeline_folder(name))) for name in names]

    def _lineage(self) -> Lineage:
        """Collect the models that the generator was trained against.

        They are those of earlier training, of the teacher, of this run and of its training pairs.
        """
        earlier = [self.generator.origin] if self.generator.origin else []
        if self.hparams["distillation_weight"]:
            earlier.append(self.hparams["teacher"])
        lineage = sum((lineage_of(name) for name in earlier), start=NOTHING)
        if self._meets_models:
            lineage += Lineage(self._surrogates(), complete=True)
        if self.hparams["regression_weight"]:
            datasets = getattr(self.trainer.datamodule, "datasets", {})  # type: ignore[attr-defined]
            lineage += lineage_of_training_data(datasets.get("train"))
        return lineage

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.AdamW(
            self.generator.parameters(),
            lr=self.hparams["lr"],
            weight_decay=self.hparams["weight_decay"],
        )
        if self.trainer.estimated_stepping_batches == float("inf"):
            msg = "the schedule needs a finite run: set trainer.max_steps (or max_epochs)"
            raise ValueError(msg)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = warm_up_and_decay(optimizer, total, self.hparams["warmup_steps"])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _batches(self) -> int:
        """Number of batches seen, also by the runs that this one resumes."""
        return int(self.trainer.fit_loop.epoch_loop.batch_progress.total.ready)

    def _noise_source(self) -> ShardedGenerator:
        """Seed a generator by the number of batches seen.

        A resumed run thus draws the same noise as an uninterrupted one, and several processes draw
        the same as one.
        """
        seed = (torch.initial_seed() * 1_000_003 + self._batches()) % 2**63
        generator = torch.Generator().manual_seed(seed)
        return ShardedGenerator(generator, self.global_rank, self.trainer.world_size)
