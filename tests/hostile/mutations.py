"""Damage to files, drawn from a seed: as transfers, disks, other programs and strangers do it."""

import json
import random

EXTREMES = [0, 1, -1, 2**15, 2**31 - 1, 2**32 - 1, 2**63, 10**400]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A damaged copy of a file."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        _damage(changed, rng)
    return bytes(changed)


def _damage(content: bytearray, rng: random.Random) -> None:
    if not content:
        content.extend(rng.randbytes(rng.randrange(64)))
        return
    place = rng.randrange(len(content))
    length = min(rng.choice([1, 2, 4, 8, 64, 512, 4096]), len(content) - place)
    kind = rng.randrange(8)
    if kind == 0:
        content[place] ^= 1 << rng.randrange(8)
    elif kind == 1:
        content[place : place + length] = rng.randbytes(length)
    elif kind == 2:
        content[place : place + length] = bytes(length)
    elif kind == 3:
        del content[place:]
    elif kind == 4:
        del content[place : place + length]
    elif kind == 5:
        content[place:place] = content[place : place + length]
    elif kind == 6:
        content[place : place + 4] = rng.choice(EXTREMES[:6]).to_bytes(8, "little", signed=True)[:4]
    else:
        content.extend(rng.randbytes(length))


def mutated_json(content: bytes, rng: random.Random, named: set[str] | None = None) -> bytes:
    """Return well-formed JSON of a wrong structure, and sometimes damaged JSON."""
    if rng.random() < 0.2:
        return mutated(content, rng)
    value = json.loads(content)
    for _ in range(rng.choice([1, 1, 2])):
        value = changed(value, rng, named)
    return json.dumps(value).encode()


def odd(rng: random.Random):
    """A value of another type, size or meaning than is expected."""
    deep: list = []
    for _ in range(300):
        deep = [deep]
    text = rng.choice(
        ["", "\x00", "../../etc/passwd", "=1+1", "\udcff", "x" * 300, "\u2028", "NaN", "1e999"]
    )
    return rng.choice(
        [
            None,
            True,
            [],
            {},
            [1, "a", None],
            {"a": {"b": []}},
            float("nan"),
            float("inf"),
            deep,
            text,
            *EXTREMES,
        ]
    )


def changed(value, rng: random.Random, named: set[str] | None = None):
    """Return a value with one change anywhere in it.

    The keys on the way to it, and its text, are added to ``named``.
    """
    named = set() if named is None else named
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        named.add(str(key))
        if rng.random() < 0.25:
            return {name: inner for name, inner in value.items() if name != key}
        return value | {key: changed(value[key], rng, named)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value[:place] + value[place + 1 :]
        return [*value[:place], changed(value[place], rng, named), *value[place + 1 :]]
    made = odd(rng)
    named.add(str(made)[:20])
    return made
