"""Is a weight file exactly what a network holds?"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def first_mismatch(
    kind: str, expected: Mapping[str, tuple[int, ...]], found: Mapping[str, Tensor]
) -> str:
    """Say what is wrong with the entries of a weight file, in one line; empty if nothing.

    Args:
        kind: What they are the weights of, for the message.
        expected: Shape of every entry there must be.
        found: The file's entries.
    """
    if found and all(key.startswith("module.") for key in found):
        return f"every entry starts with 'module.', the mark of a wrapped training copy; export the bare {kind} instead"
    if missing := sorted(set(expected) - set(found)):
        return f"{len(missing)} of {len(expected)} entries are missing, the first is {missing[0]}; get the whole file"
    if extra := sorted(set(found) - set(expected)):
        count = "1 entry does" if len(extra) == 1 else f"{len(extra)} entries do"
        return f"{count} not belong to a {kind}, the first is {extra[0]}"
    for key, shape in expected.items():
        if tuple(found[key].shape) != tuple(shape):
            return f"{key} has shape {tuple(found[key].shape)}, expected {tuple(shape)}"
        if not found[key].isfinite().all():
            return f"{key} holds values that are not finite; use an earlier checkpoint"
    return ""
