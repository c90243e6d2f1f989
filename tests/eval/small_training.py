"""A module of one parameter, and its training with a callback."""

import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset


class Shifts(LightningModule):
    """Brightens every picture by a learned amount; embeds pictures as their pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.amount = torch.nn.Parameter(torch.tensor(8 / 255))

    def protect(self, images):
        return (images + self.amount).clamp(0, 1)

    def embed(self, images):
        return (images - images.mean(dim=(2, 3), keepdim=True)).flatten(1)

    def training_step(self, batch, _):
        return self.amount * batch[0].mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def train(callback, module, steps=1, data=None):
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    )
    trainer.fit(module, data or DataLoader(TensorDataset(torch.ones(2, 1)), batch_size=1))
    return {name: float(value) for name, value in trainer.callback_metrics.items()}
