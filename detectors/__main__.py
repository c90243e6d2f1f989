"""``python -m detectors fit | validate``: train real-or-generated detectors."""

from __future__ import annotations

import sys

from checkpoints.command import run

ABOUT = """usage: python -m detectors VERB ...

  fit         train a detector: python -m detectors fit -c configs/detectors/tiny_npr.yaml
  validate    measure one on the validation shards of a config

python -m detectors VERB --help tells more."""


def main(arguments: list[str]) -> int:
    """Run one verb and return the exit code."""
    verb = arguments[0] if arguments else ""
    if verb in ("fit", "validate"):
        from detectors.cli import main as trainer

        trainer(None if arguments == sys.argv[1:] else arguments)  # Lightning re-launches ranks from sys.argv
        return 0
    asked = verb in ("-h", "--help")
    print(ABOUT, file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(run(main))
