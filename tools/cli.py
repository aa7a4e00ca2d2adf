"""How every tool takes its command line: read as a whole before anything runs, errors as one line."""

from __future__ import annotations

import functools
import inspect
import io
import sys
from collections.abc import Callable, Sequence

import fire
from fire.parser import DefaultParseValue

from scripts.errors import InputError, check_flags, plain_errors, stop_at_sigterm
from scripts.flags import FLAG

Function = Callable[..., None]


def cli(
    component: Function | dict[str, Function], arguments: Sequence[str] | None = None, resumes: bool = False
) -> None:
    """Run a function, or one of several by name, as the command line says.

    Fire looks at what is left over only after it has called the function, so with a misspelled option the command
    would run without it (https://github.com/google/python-fire/issues/168). Here the call waits until all is read.
    Switches take True or False alone, since Fire passes `false` as a text, which is true. What is annotated as text is
    passed as it was written, since Fire would make `scans` of `scans#1`, and a number of `2025_11_27`.

    Args:
        component: a function that returns nothing, or names and such functions.
        arguments: instead of those of this process.
        resumes: the same command goes on where a stop by the user or the system left it, and says so.

    Raises:
        InputError: a switch, which is what has True or False as default, is given something else, or a text nothing.
        SystemExit: 2 for a command line that does not fit, 130 after a stop if `resumes`.
        KeyboardInterrupt: after a stop of what does not go on.
    """
    plain_errors()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a notebook's is none
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be of another encoding
    calls: list[Callable[[], None]] = []
    given = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(component, dict):
        offered: object = {name: _waiting(function, calls) for name, function in component.items()}
        before = given[:1]
    else:
        offered, before = _waiting(component, calls), []
    fire.Fire(offered, before + [_quoted(argument) for argument in given[len(before) :]])
    try:
        if resumes:
            stop_at_sigterm()
        for call in calls:
            call()
    except KeyboardInterrupt as stop:
        if not resumes:
            raise KeyboardInterrupt("stopped") from stop  # without words the message speaks of a training
        print("\nstopped: the same command continues from here", file=sys.stderr, flush=True)
        raise SystemExit(130) from None


def _quoted(argument: str) -> str:
    """Return an argument such that Fire passes its value on as a text."""
    if not FLAG.match(argument):
        return argument if argument == "-" else repr(argument)
    name, is_given, value = argument.partition("=")
    return f"{name}={value!r}" if is_given else argument


def _waiting(function: Function, calls: list[Callable[[], None]]) -> Function:
    """Return what looks like `function` to Fire, reads the texts that it gets, and only notes its call."""
    signature = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def note(*values: object, **options: object) -> None:
        given = signature.bind(*values, **options)
        for name, value in given.arguments.items():
            known = signature.parameters[name]
            if known.kind is known.VAR_POSITIONAL:
                given.arguments[name] = tuple(_read(one, known) for one in value)
            elif known.kind is known.VAR_KEYWORD:
                given.arguments[name] = {key: _read(one, known) for key, one in value.items()}
            elif value is not known.default:
                given.arguments[name] = _read(value, known)
        calls.append(functools.partial(function, *given.args, **given.kwargs))

    return note


def _read(value: str | bool, known: inspect.Parameter) -> object:
    """Return what a parameter is given: a text as it is, else what Fire makes of it; a boolean is a name alone."""
    if known.annotation in (str, str | None):
        if isinstance(value, bool):
            raise InputError(f"--{known.name} has no value: give one")
        return None if value == "None" and known.annotation is not str else value
    read = DefaultParseValue(value) if isinstance(value, str) else value
    if isinstance(known.default, bool):
        check_flags(**{known.name: read})
    return read
