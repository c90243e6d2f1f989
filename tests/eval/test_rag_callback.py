import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from eval.callbacks import RAGCallback
from sentinels.plant import PlantConfig, plant
from sentinels.planters import LocalPlanter


class Reads(LightningModule):
    """Knows every picture by its mean, and every key by the picture it was set into."""

    def __init__(self, known):
        super().__init__()
        self.layer, self.known = torch.nn.Linear(1, 1), known

    def embed(self, images):
        flat = torch.nn.functional.interpolate(images, (8, 8), mode="area").flatten(1)
        return flat - flat.mean(dim=1, keepdim=True)

    def embed_texts(self, texts):
        return torch.stack([self.known[text] for text in texts])

    def training_step(self, batch, _):
        return self.layer(batch[0]).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_run_logs_what_keys_find_and_ends_in_the_same_weights(collection, tmp_path):
    plant(collection, tmp_path / "s", LocalPlanter(), PlantConfig(count=4, seed=1), None)
    callback = RAGCallback(
        str(tmp_path / "s" / "record.json"), str(collection), size=64, every_n_steps=2
    )
    from sentinels.record import Record

    module = Reads({})
    module.known = {
        sentinel.key: module.embed(callback._load([path]))[0]
        for _, sentinel, path in Record.open(callback.record).pairs()
    }
    weights, seen = [], {}
    for callbacks in ([], [callback]):
        torch.manual_seed(0)
        module.layer.reset_parameters()
        trainer = Trainer(
            max_steps=4,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            callbacks=callbacks,
        )
        trainer.fit(module, DataLoader(TensorDataset(torch.ones(8, 1))))
        weights.append(module.layer.weight.clone())
        seen = {key: float(value) for key, value in trainer.callback_metrics.items()}
    assert torch.equal(*weights)
    assert seen["rag/hit_at_1"] == 1.0
    assert seen["rag/own"] > 0.999 > seen["rag/control"]
