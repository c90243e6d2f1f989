"""``python -m rid convert``: released checkpoint files to model folders, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from engine.cli import Output, Parser, Verb
from engine.files import refuse_existing


def options(parser: Parser) -> None:
    """Add the options of ``convert``."""
    parser.add_argument("source", type=Path, help="released file, or model folder")
    parser.add_argument(
        "target",
        type=Path,
        help="model folder, or released file, to write; must not exist",
    )
    parser.add_argument("--kind", type=Literal["rid"], default="rid", help="model family")
    parser.add_argument(
        "--budget",
        type=float | None,
        default=None,
        help="bound in gray levels of 255; needed if the file's name states none (eps-12 is 6)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="use --budget even if the file's name states another one",
    )
    parser.add_argument("--heads", type=int, default=8, help="attention heads; 8 in every release")


def act(settings: Any, output: Output) -> int:
    """Convert a checkpoint: a released file to a folder, or back."""
    from rid.released import export_released, import_released

    refuse_existing(settings.target)
    if settings.source.is_dir():
        generator = export_released(settings.source, settings.target)
    else:
        budget = budget_of(settings.source, settings.budget, settings.force)
        generator = import_released(settings.source, settings.target, budget, settings.heads)
    output.result(
        f"{settings.target}: a generator for {generator.image_size} pixels that changes values "
        f"by at most {generator.budget:g} of 255 gray levels",
        target=settings.target,
        image_size=generator.image_size,
        budget=generator.budget,
    )
    return 0


def budget_of(source: Path, given: float | None, force: bool) -> float:
    """Determine a released file's budget from option and file name.

    Args:
        source: The released file.
        given: Budget from the command line in gray levels; None if not given.
        force: Use ``given`` even if the file's name states another budget.

    Returns:
        The budget in gray levels of 255.

    Raises:
        ValueError: If neither states the budget, or the two differ.
    """
    from rid.released import named_budget

    named = named_budget(source)
    if given is None and named is None:
        msg = (
            f"{source}: give --budget, in gray levels of 255: 6 for the releases named eps-12, 4 "
            "for eps-8, 3 for eps-6"
        )
        raise ValueError(msg)
    if given is not None and named is not None and given != named and not force:
        msg = (
            f"{source.name} is a release of eps {2 * named:g}, which is {named:g} gray levels, "
            f"not the {given:g} of --budget. Another budget than in training rescales the "
            "perturbation. Leave --budget out, or add --force"
        )
        raise ValueError(msg)
    return float(given if given is not None else named or 0)


VERB = Verb(
    "Convert a released checkpoint file to a model folder, or a model folder to a released file.",
    "rid convert ASDS-eps-12_255.bin RID/ --budget 6",
    options,
    act,
)
