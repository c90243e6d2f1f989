"""Refuse installations that leave the repository behind; everything else is in pyproject.toml."""

from setuptools import setup
from setuptools.command.build_py import build_py

REASON = (
    "error: configs and toy models live in the repository; install it where it is: pip install -e ."
)


class EditableOnly(build_py):
    """Build for ``pip install -e .`` alone."""

    def run(self) -> None:
        if not self.editable_mode:
            raise SystemExit(REASON)
        super().run()


setup(cmdclass={"build_py": EditableOnly})
