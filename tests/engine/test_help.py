"""Help is read from source without imports, and shows the very options that are accepted."""

import re
import subprocess
import sys
from importlib import import_module

import pytest

from engine.cli import Training
from engine.cli.help import COMMON, kebab, plain_text, visible_actions
from engine.cli.short_help import DEVICES, MAX_CHARACTERS, first_sentence
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

SCREEN = 45
"""Lines of a page of help that most terminals show at once."""


def outlined(command):
    """A verb's parser for help alone."""
    room, name = command.split()
    return import_module(f"{room}.__main__").VERBS[name].parser(command, outline=True)


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
    outlined = verb.parser(command, outline=True)
    real = accepted(command)
    # taken before LightningCLI sees them
    ours = {"--json", "--quiet", "--version", "--help-all"} if isinstance(verb, Training) else set()
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
    assert f"example:\n  python -m {command}" in verb.parser(command, outline=True).format_help(
        everything=True
    )
    assert verb.about[0].isupper()
    assert verb.about.endswith(".")


@pytest.mark.parametrize("command", VERBS)
def test_short_help_fits_on_a_screen_and_names_every_option_or_its_group(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    parser = outlined(command)
    text = parser.format_help()
    lines = text.splitlines()
    assert len(lines) <= SCREEN
    assert lines[-1] == "--help-all explains every option."
    for action in visible_actions(parser):
        name = kebab(action.dest)
        if not action.option_strings or action.required:
            assert f"--{name}" in text or name.upper() in text
        elif "." in name:
            assert f"\n  --{name.partition('.')[0]}.*" in text
        elif action.dest not in COMMON:
            assert f"--{name}" in text


@pytest.mark.parametrize("command", VERBS)
def test_full_help_has_a_row_for_every_option(command, capsys):
    room, name = command.split()
    assert import_module(f"{room}.__main__").main([name, "--help-all"]) == 0
    rows = {
        word.strip(",").removesuffix("...")
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("  ") and not line.startswith("   ")
        for word in line.split()[:2]
    }
    for action in visible_actions(outlined(command)):
        names = [kebab(option) for option in action.option_strings if not option.endswith("+")]
        assert rows & {
            *names,
            action.dest.upper(),
            f"[{action.dest.upper()}...]",
            f"[{action.dest.upper()}]",
        }


def test_device_options_have_one_entry_and_groups_one_line():
    lines = outlined("rid protect").format_help().splitlines()
    assert [line for line in lines if "--num-nodes" in line] == [
        "  " + ", ".join(f"--{kebab(name)}" for name in DEVICES) + ":"
    ]
    assert "as in Lightning; --help-all explains them" in " ".join(lines)
    groups = outlined("rid fit").format_help()
    assert "\n  --model.*  " in groups
    assert "\n  --trainer.*  " in groups
    assert "settings: accelerator, strategy, " in groups
    search = outlined("indexing search").format_help()
    assert "5 settings: name, weights, size, antialias, unit\n" in search


@pytest.mark.parametrize("command", VERBS)
def test_help_has_no_markup_of_docstrings(command):
    parser = outlined(command)
    for text in (parser.format_help(), parser.format_help(everything=True)):
        assert not re.findall(r".*`.*", text)
        assert not re.findall(r":(?:class|data|func|meth|mod|paramref|attr|exc):", text)


def test_roles_become_names():
    assert plain_text("one of :data:`~a.b.KINDS`; see\n:func:`a.f`") == "one of KINDS; see a.f"
    assert plain_text("``.bin`` or `N`") == ".bin or N"


def test_first_sentences():
    assert first_sentence("One thing. Another") == "One thing"
    assert first_sentence("One thing; more") == "One thing"
    assert first_sentence("up to 0.5 of it") == "up to 0.5 of it"
    assert first_sentence("word " * 15 + "end, " + "word " * 15) == "word " * 15 + "end"
    assert len(first_sentence("word " * 40)) <= MAX_CHARACTERS + 2


def test_help_of_every_verb_imports_nothing_heavy():
    script = f"""
import sys
from importlib import import_module
for command in {VERBS!r}:
    room, verb = command.split()
    assert import_module(room + ".__main__").main([verb, "--help"]) == 0
    assert import_module(room + ".__main__").main([verb, "--help-all"]) == 0
for room in {ROOMS!r}:
    assert import_module(room + ".__main__").main(["--help"]) == 0
    assert import_module(room + ".__main__").main(["--version"]) == 0
print(sorted(set(sys.modules) & {HEAVY!r}), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == "[]\n"
    assert "usage: python -m rid protect PHOTOS... -o PATH" in done.stdout
