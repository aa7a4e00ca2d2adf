"""What Fire takes for settings on a command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from fire.parser import DefaultParseValue

FLAG = re.compile(r"-(-|[a-zA-Z])")  # -1 is a number


def flags(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the names and values of `--name value`, `-name=value` and a lone `--name` as Fire reads them."""
    found: dict[str, Any] = {}
    for argument, following in pairwise([*arguments, "--"]):
        if FLAG.match(argument):
            name, has_value, value = argument.lstrip("-").partition("=")
            value = value if has_value else "True" if FLAG.match(following) else following
            found[name.replace("-", "_")] = DefaultParseValue(value)
    return found
