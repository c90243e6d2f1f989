"""``python -m rid fit | validate | protect | pairs | convert``: train the generator, protect photos with it, make its training pairs."""

from __future__ import annotations

import sys

from engine.cli import run

ABOUT = """usage: python -m rid VERB ...

  fit         train a generator: python -m rid fit -c configs/rid/tiny_adv_sds.yaml
  validate    measure a generator on the validation pictures of a config
  protect     protect photos: python -m rid protect PHOTOS/ -o OUT/
  pairs       gradient-attacked versions of pictures, to learn from: python -m rid pairs PHOTOS/ -o OUT/ -c configs/rid/pairs_momentum.yaml
  convert     a released checkpoint into a model folder, or back

python -m rid VERB --help tells more."""


def main(arguments: list[str]) -> int:
    """Run one verb and return the exit code."""
    verb = arguments[0] if arguments else ""
    if verb == "protect":
        from rid.protect.command import VERB as PROTECT

        return PROTECT.run("rid protect", arguments[1:])
    if verb == "pairs":
        from rid.pairs.command import VERB as PAIRS

        return PAIRS.run("rid pairs", arguments[1:])
    if verb == "convert":
        from rid.convert import main as convert

        return convert(arguments[1:])
    if verb in ("fit", "validate"):
        from rid.training.cli import main as trainer

        trainer(None if arguments == sys.argv[1:] else arguments)  # Lightning re-launches ranks from sys.argv
        return 0
    asked = verb in ("-h", "--help")
    print(ABOUT, file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(run(main))
