"""How a user's mistake reaches the user: as one line that says what was given, what is allowed and what to do."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from types import TracebackType

from tqdm import tqdm

ENGINES = ("ignite.", "monai.handlers.")  # loggers of what reports an exception and passes it on
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)
NOT_FINITE = (
    "the network's output is NaN or infinite: its weights are of a training that diverged, or half precision "
    "overflows; try another checkpoint, or --amp False"
)


class InputError(ValueError):
    """Raised at the border for something only the user can put right; the message is all the user needs to see."""


def check_flags(**flags: object) -> None:
    """Refuse switches that are not booleans: on the command line `false` is a text, and true.

    Raises:
        InputError: naming the switch.
    """
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise InputError(f"{name} is {value!r}; write True or False, with a capital letter")


def plain_errors() -> None:
    """Print an `InputError` (or a full disk, or a closed folder) as one line and leave with exit code 1, no traceback.

    Every bundle calls this in `initialize`. Other exceptions are defects and keep their traceback, and so does
    everything when the environment variable `MAE_TRACEBACK` is set.
    """
    warnings.filterwarnings("ignore", "NvImgCodecPydicomReader")  # a decoder for GPUs, which nothing here needs
    if os.environ.get("MAE_TRACEBACK") or getattr(sys.excepthook, "shows_plain_errors", False):
        return
    former = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        message = plain_message(error)
        if message is None:
            former(kind, error, trace)
        else:
            tqdm.write(f"error: {message}", file=sys.stderr)  # on a line of its own, whatever progress is shown

    hook.shows_plain_errors = True  # type: ignore[attr-defined]
    sys.excepthook = hook
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_no_echo)


def stop_at_sigterm() -> None:
    """Let SIGTERM stop this process as Ctrl+C does: what is being written is removed, and one line says so.

    Python lets only the main thread call this.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def plain_message(error: BaseException) -> str | None:
    """Return the one line for the user if the chain of `error` holds one, else None."""
    for link in chain(error):
        if isinstance(link, InputError):
            # a data loader's worker sends its exception as text: keep the message, drop the worker's traceback
            return re.split(r"InputError: ", str(link))[-1].strip()
        if isinstance(link, KeyboardInterrupt):
            return str(link) or "stopped; a training goes on where it was with --resume True"
        if isinstance(link, OSError) and link.errno in FULL:
            return f"no space left while writing {link.filename or 'a file'}: free some and run again"
        if isinstance(link, OSError) and link.errno in CLOSED and link.filename:
            return (
                f"{link.filename} cannot be read or written ({link.strerror}): get the right to, or give another place"
            )
        found = re.findall(r"errors\.InputError: (.*)", str(link))
        if found:
            return str(found[-1])
    return None


def brief_message(error: BaseException) -> str:
    """Return one line about any exception: what the user can do where that is known, else what went wrong."""
    known = plain_message(error)
    if known is not None:
        return known
    if ran_out_of_memory(error):
        return "memory ran out: run fewer processes at once, or take a machine with more"
    texts = [" ".join(str(link).split()) for link in chain(error)]
    text = next(filter(None, reversed(texts)), "")  # the first cause, which others only pass on
    return f"{type(error).__name__}: {text[:200]}"


def ran_out_of_memory(error: BaseException) -> bool:
    """Tell whether numpy or PyTorch got no more memory of the machine."""
    return any(isinstance(link, MemoryError) or "can't allocate memory" in str(link) for link in chain(error))


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from, the outermost first."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _is_no_echo(record: logging.LogRecord) -> bool:
    """Drop what engines log about an exception whose message the user gets anyway; a server that catches it says it."""
    error = (record.exc_info or sys.exc_info())[1]
    echo = record.name.startswith(ENGINES) and record.levelno >= logging.ERROR
    return not echo or error is None or plain_message(error) is None
