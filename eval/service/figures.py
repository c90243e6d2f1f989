"""Figures of the service in Prometheus's text format."""

from __future__ import annotations

from collections import Counter

KINDS = {
    "requests_total": ("counter", "Requests by path and status."),
    "images_total": ("counter", "Images by path and outcome."),
    "seconds_total": ("counter", "Seconds of computing."),
    "received_bytes_total": ("counter", "Bytes of requests."),
    "line_taken": ("gauge", "Requests that wait or are computed."),
    "line_places": ("gauge", "Requests that may."),
}
"""Kind and meaning of each figure."""

PREFIX = "image_defence_"


class Figures:
    """Figures by name and labels, kept in the server's one event loop."""

    def __init__(self) -> None:
        self.values: Counter[tuple[str, str]] = Counter()

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        """Add to a figure.

        Args:
            name: One of :data:`KINDS`.
            value: What is added.
            labels: Its labels; values hold no quotes, since they are the server's own.
        """
        self.values[name, ",".join(f'{key}="{words}"' for key, words in labels.items())] += value  # type: ignore[assignment]

    def text(self, **now: float) -> str:
        """Format all figures.

        Args:
            now: Present values of figures that are kept elsewhere.
        """
        values = {**self.values, **{(name, ""): value for name, value in now.items()}}
        lines = []
        for name, (kind, about) in KINDS.items():
            lines += [f"# HELP {PREFIX}{name} {about}", f"# TYPE {PREFIX}{name} {kind}"]
            for (of, labels), value in sorted(values.items()):
                if of == name:
                    where = f"{{{labels}}}" if labels else ""
                    lines.append(f"{PREFIX}{name}{where} {value:.10g}")
        return "\n".join(lines) + "\n"
