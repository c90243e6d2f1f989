"""``python -m rid convert``: released checkpoint files into model folders, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from engine.cli import Output, Parser, Verb


def options(parser: Parser) -> None:
    """What ``convert`` asks for."""
    parser.add_argument("source", type=Path, help="the released file, or a model folder")
    parser.add_argument("target", type=Path, help="the model folder, or the file, to write; must not exist")
    parser.add_argument("--kind", type=Literal["rid"], default="rid", help="what it is a checkpoint of")
    parser.add_argument(
        "--budget", type=float | None, default=None, help="bound in grey levels, where the file's name does not tell it: 6 for eps-12"
    )
    parser.add_argument("--force", action="store_true", help="take the budget given, whatever the file's name says")
    parser.add_argument("--heads", type=int, default=8, help="attention heads, 8 in every release")


def act(settings: Any, output: Output) -> int:
    """Change a checkpoint's format; a file becomes a folder, a folder a file."""
    from rid.released import export_released, import_released

    if settings.target.exists():
        msg = f"{settings.target} exists already: choose another name or delete it"
        raise ValueError(msg)
    if settings.source.is_dir():
        generator = export_released(settings.source, settings.target)
    else:
        budget = budget_of(settings.source, settings.budget, settings.force)
        generator = import_released(settings.source, settings.target, budget, settings.heads)
    side, bound = generator.image_size, generator.budget
    output.result(
        f"{settings.target}: a generator for {side} pixels that changes values by at most {bound:g} of 255 grey levels",
        target=settings.target,
        image_size=side,
        budget=bound,
    )
    return 0


def budget_of(source: Path, given: float | None, force: bool) -> float:
    """Settle the budget of a released file, in grey levels: what was given, or what its name says.

    Args:
        source: The file.
        given: By the person; None if not.
        force: Take what was given although the name says another.

    Raises:
        ValueError: If neither tells it, or the two differ.
    """
    from rid.released import named_budget

    named = named_budget(source)
    if given is None and named is None:
        msg = f"{source}: give --budget, in grey levels of 255: 6 for the releases named eps-12, 4 for eps-8, 3 for eps-6"
        raise ValueError(msg)
    if given is not None and named is not None and given != named and not force:
        msg = (
            f"{source.name} is a release of eps {2 * named:g}, which is {named:g} grey levels, not the {given:g} of --budget: with them it "
            f"would not change pictures as it was trained to. Leave --budget out, or add --force"
        )
        raise ValueError(msg)
    return float(given if given is not None else named or 0)


VERB = Verb(
    "Turn a released checkpoint file into a model folder, or a model folder into a released file.",
    "rid convert ASDS-eps-12_255.bin RID/ --budget 6",
    options,
    act,
)
