"""``python -m eval serve``: the server of the service."""

from __future__ import annotations

import logging
from pathlib import Path

import uvicorn

from eval.service.application import Limits, Service
from eval.service.keys import Keys
from eval.web.listening import configuration, listen, url_of

logger = logging.getLogger(__name__)


def serve(
    protector: str | None = None,
    detector: str | None = None,
    index: str | None = None,
    keys: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8008,
    places: int = 32,
    per_minute: int = 600,
    max_megabytes: float = 25.0,
    max_megapixels: float = 30.0,
    accelerator: str = "auto",
) -> None:
    """Serve protected photos, verdicts and matches until stopped.

    Nothing that is sent is kept after the answer. SIGTERM finishes what is being answered.

    Args:
        protector: RID generator of the path /protect: a folder or Hub id.
        detector: Detector or ensemble of the path /verdict: a folder or Hub id.
        index: Index of the path /matches: a folder of ``python -m indexing build``.
        keys: File of API keys, one a line; by default those of the environment variable
            IMAGE_DEFENCE_KEYS, separated by commas. Other machines are let in with keys only.
        host: Address to listen on; only this machine can reach the default.
        port: Port to listen on.
        places: Requests that wait or are computed at a time; further ones get status 429.
        per_minute: Requests of one key, or of one network address without keys, within a minute;
            0 for any number.
        max_megabytes: Size limit of a request.
        max_megapixels: Size limit of an image.
        accelerator: Kind of device: auto, cpu, gpu (or cuda) or mps.

    Raises:
        FileNotFoundError: If a model or the file of keys is missing.
        ValueError: If no model or no key is given where one is needed, or a limit is out of range.
        OSError: If nothing can listen on the address.
    """
    known = Keys.read(keys, host)
    if places < 1 or per_minute < 0 or max_megabytes <= 0 or max_megapixels <= 0:
        msg = (
            "--places is at least 1, --per-minute at least 0, and sizes are above 0; got "
            f"{places}, {per_minute}, {max_megabytes:g} and {max_megapixels:g}"
        )
        raise ValueError(msg)
    from eval.service.tasks import open_tasks

    tasks = open_tasks(protector, detector, index, accelerator)
    limits = Limits(places, per_minute, int(max_megabytes * 1e6), int(max_megapixels * 1e6))
    service = Service(tasks, known, limits)
    paths = ", ".join(task.path for task in tasks)
    with listen(host, port) as listening:
        logger.info("service: %s with %s  (Ctrl-C stops)", url_of(host, listening), paths)
        server = uvicorn.Server(configuration(service.application(host), host, port))
        server.run([listening])
