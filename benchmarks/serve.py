"""Load on the service: 200 clients at once, and nothing is lost.

Run ``python -m benchmarks.serve [MINUTES]``.

``python -m eval serve`` runs with the shipped models in a process of its own. Every client sends
one drawn portrait after another, to one path after another, and waits as long as a refusal says
before it sends the next. Memory is what the server's process holds, before the clients come (after
one answer of each path), at the middle, and at the end.
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import httpx
import numpy as np
from PIL import Image

from tiny.dataset import PortraitDataset

CLIENTS = 200
MINUTES = 10.0
PHOTOS = 16
PATHS = ("/protect", "/verdict", "/matches")
MOST_WAIT_S = 5.0
TINY = "checkpoints/tiny"
HEADERS = {"content-type": "image/png"}


@dataclass
class Load:
    """Count what the clients saw.

    Attributes:
        statuses: Answers by status; ``lost`` for connections that broke.
        seconds: Time until the answer, of each that has status 200.
        megabytes: Memory of the server.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)


def main(arguments: list[str]) -> None:
    """Start the server, run the clients, and print the table."""
    minutes = float(arguments[0]) if arguments else MINUTES
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "eval", "serve", "--protector", f"{TINY}/rid"]
    command += ["--detector", f"{TINY}/detector", "--index", f"{TINY}/index"]
    command += ["--port", str(port), "--per-minute", "0", "--accelerator", "cpu"]
    with subprocess.Popen(command) as server:
        load = asyncio.run(run(f"http://127.0.0.1:{port}", server.pid, 60 * minutes))
        figures = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        os.kill(server.pid, signal.SIGTERM)
        code = server.wait()
    print_table(load, minutes, figures, code)


async def run(address: str, pid: int, seconds: float) -> Load:
    """Run the clients for a time."""
    photos = draw()
    load = Load()
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    async with httpx.AsyncClient(
        base_url=address, limits=limits, timeout=120, trust_env=False
    ) as client:
        while True:
            try:
                await client.get("/health")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.2)
        for path in PATHS:
            (await client.post(path, content=photos[0], headers=HEADERS)).raise_for_status()
        load.megabytes.append(memory(pid))
        end = time.monotonic() + seconds
        tasks = [send(client, number, photos, end, load) for number in range(CLIENTS)]
        middle = asyncio.create_task(note(seconds / 2, pid, load))
        await asyncio.gather(*tasks, middle)
        load.megabytes.append(memory(pid))
    return load


async def send(
    client: httpx.AsyncClient, number: int, photos: list[bytes], end: float, load: Load
) -> None:
    """Send photos one after another until the end."""
    turn = number
    while time.monotonic() < end:
        photo, path = photos[turn % len(photos)], PATHS[turn % len(PATHS)]
        turn += 1
        start = time.monotonic()
        try:
            answer = await client.post(path, content=photo, headers=HEADERS)
        except httpx.HTTPError:
            load.statuses["lost"] += 1
            continue
        load.statuses[str(answer.status_code)] += 1
        if answer.status_code == 200:
            load.seconds.append(time.monotonic() - start)
        else:
            await asyncio.sleep(min(MOST_WAIT_S, float(answer.headers.get("retry-after", 1))))


async def note(seconds: float, pid: int, load: Load) -> None:
    """Note the server's memory after a time."""
    await asyncio.sleep(seconds)
    load.megabytes.append(memory(pid))


def draw() -> list[bytes]:
    """Encode drawn portraits of 128 pixels as PNG."""
    photos = []
    for item in PortraitDataset(2_000_000, PHOTOS, 1, size=128).__getitems__(list(range(PHOTOS))):
        levels = (item["image"].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(levels).save(stream, "PNG")
        photos.append(stream.getvalue())
    return photos


def memory(pid: int) -> float:
    """Return what a process holds, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def print_table(load: Load, minutes: float, figures: str, code: int) -> None:
    """Print what was sent and answered, by the clients' count and by the server's."""
    sent = load.statuses.total()
    counted = sum(
        float(line.rpartition(" ")[2])
        for line in figures.splitlines()
        if line.startswith("image_defence_requests_total{")
    )
    cuts = quantiles(load.seconds, n=20)
    before, middle, after = load.megabytes
    print(f"{CLIENTS} clients, {minutes:g} minutes; exit code after SIGTERM: {code}\n")
    print("| | |\n|---|---|")
    for name, value in (
        ("requests sent", f"{sent:,}"),
        ("answered (200)", f"{load.statuses['200']:,}"),
        ("refused, line full (429)", f"{load.statuses['429']:,}"),
        ("lost, or another status", f"{sent - load.statuses['200'] - load.statuses['429']:,}"),
        ("requests by the server's count", f"{counted - len(PATHS):,.0f}"),
        ("answers/s", f"{load.statuses['200'] / 60 / minutes:.1f}"),
        ("seconds to an answer, median", f"{cuts[9]:.2f}"),
        ("seconds to an answer, 95 %", f"{cuts[18]:.2f}"),
        ("server's memory before, middle, after", f"{before:.0f}, {middle:.0f}, {after:.0f} MB"),
    ):
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main(sys.argv[1:])
