"""Command line ``python -m datamodules VERB``: WebDataset shards, written and inspected."""

from __future__ import annotations

import sys

from datamodules.fake2m import inspect_command, making_command, shard_command
from engine.cli import Room, Training, Verb, run

VERBS: dict[str, Verb | Training] = {
    "shard": shard_command.VERB,
    "synthesize": making_command.SYNTHESIZE,
    "reconstruct": making_command.RECONSTRUCT,
    "inspect": inspect_command.VERB,
}

ROOM = Room(
    "datamodules",
    "Training and evaluation images: WebDataset shards, written and inspected.",
    VERBS,
)

main = ROOM.main

if __name__ == "__main__":
    sys.exit(run(main))
