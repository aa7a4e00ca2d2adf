"""How every tool takes its command line: read as a whole before anything runs, errors as one line."""

from __future__ import annotations

import functools
import inspect
import signal
import sys
from collections.abc import Callable, Sequence

import fire

from scripts.errors import check_flags, plain_errors

Function = Callable[..., None]


def cli(
    component: Function | dict[str, Function], arguments: Sequence[str] | None = None, resumes: bool = False
) -> None:
    """Run a function, or one of several by name, as the command line says.

    Fire looks at what is left over only after it has called the function, so with a misspelled option the command
    would run without it (https://github.com/google/python-fire/issues/168). Here the call waits until all is read.
    Switches take True or False alone, since Fire passes `false` as a text, which is true.

    Args:
        component: a function that returns nothing, or names and such functions.
        arguments: instead of those of this process.
        resumes: the same command goes on where a stop by the user or the system left it, and says so.

    Raises:
        InputError: a switch, which is what has True or False as default, is given something else.
        SystemExit: 2 for a command line that does not fit, 130 after a stop if `resumes`.
    """
    plain_errors()
    calls: list[Callable[[], None]] = []
    if isinstance(component, dict):
        offered: object = {name: _waiting(function, calls) for name, function in component.items()}
    else:
        offered = _waiting(component, calls)
    fire.Fire(offered, None if arguments is None else list(arguments))
    try:
        if resumes:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        for call in calls:
            call()
    except KeyboardInterrupt:
        if not resumes:
            raise
        print("\nstopped: the same command continues from here", file=sys.stderr, flush=True)
        raise SystemExit(130) from None


def _waiting(function: Function, calls: list[Callable[[], None]]) -> Function:
    """Return what looks like `function` to Fire and only notes its call."""
    signature = inspect.signature(function)
    switches = [name for name, known in signature.parameters.items() if isinstance(known.default, bool)]

    @functools.wraps(function)
    def note(*values: object, **options: object) -> None:
        given = signature.bind(*values, **options).arguments
        check_flags(**{name: given[name] for name in switches if name in given})
        calls.append(functools.partial(function, *values, **options))

    return note
