"""Help is read from source without imports, and shows the very options that are accepted."""

import subprocess
import sys
from importlib import import_module

import pytest

from engine.cli import Training
from engine.cli.help import visible_actions
from tests.commands import ROOMS, VERBS, accepted

HEAVY = {
    "torch",
    "torchvision",
    "lightning",
    "transformers",
    "diffusers",
    "timm",
    "numpy",
    "PIL",
    "scipy",
    "sklearn",
    "gradio",
}


def options(parser):
    return {
        option
        for action in visible_actions(parser)
        for option in action.option_strings or [action.dest]
        if not option.endswith("+")
    }


@pytest.mark.parametrize("command", VERBS)
def test_the_options_shown_are_those_accepted(command):
    room, name = command.split()
    verb = import_module(f"{room}.__main__").VERBS[name]
    outlined, real = verb.parser(command, outline=True), accepted(command)
    ours = (
        {"--json", "--quiet", "--version"} if isinstance(verb, Training) else set()
    )  # taken before LightningCLI sees them
    assert options(outlined) - ours == options(real)


@pytest.mark.parametrize("command", VERBS)
def test_which_options_are_needed_is_shown(command):
    room, name = command.split()
    outlined, real = (
        {
            action.dest
            for action in visible_actions(parser)
            if action.required or action.dest in getattr(parser, "required_args", ())
        }
        for parser in (
            import_module(f"{room}.__main__").VERBS[name].parser(command, outline=True),
            accepted(command),
        )
    )
    assert outlined >= real


@pytest.mark.parametrize("command", VERBS)
def test_every_verb_has_an_example_that_its_parser_takes(command):
    room, name = command.split()
    verb = import_module(f"{room}.__main__").VERBS[name]
    text = verb.parser(command, outline=True).format_help()
    assert f"example:\n  python -m {command}" in text
    assert verb.about[0].isupper()
    assert verb.about.endswith(".")


def test_help_of_every_verb_imports_nothing_heavy():
    script = f"""
import sys
from importlib import import_module
for command in {VERBS!r}:
    room, verb = command.split()
    assert import_module(room + ".__main__").main([verb, "--help"]) == 0
for room in {ROOMS!r}:
    assert import_module(room + ".__main__").main(["--help"]) == 0
    assert import_module(room + ".__main__").main(["--version"]) == 0
print(sorted(set(sys.modules) & {HEAVY!r}), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == "[]\n"
    assert "usage: python -m rid protect PHOTOS... -o PATH" in done.stdout
