"""The command line of `python -m monai.bundle run`: nothing on it is passed over in silence."""

from __future__ import annotations

import copy
import difflib
import inspect
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from pydoc import locate
from typing import Any

import torch
from monai.bundle import (
    ComponentLocator,
    ConfigComponent,
    ConfigParser,
    ConfigWorkflow,
    ReferenceResolver,
    create_workflow,
    run,
    update_kwargs,
)
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS

from .errors import InputError, check_flags, plain_errors, stop_at_sigterm
from .flags import flags

PROGRAM = ("monai", "bundle", "__main__.py")
COMMANDS = ("run", "run_workflow")
PLACES = ("dataset_dir", "output_dir", "ckpt_dir", "cache_dir", "checkpoint", "pretrained", "split")
SCALARS_TOO = ("mask_ratio", "patch_size")  # lists that may be a number, or are checked where they are used
PARTS = ("train", "val", "test")
EXPRESSIONS = ("$", "@", "%")  # what MONAI resolves


def start() -> None:
    """Show errors as one line from here on, and check the command line; every bundle calls this in `initialize`.

    A run also stops in order at SIGTERM, by which clusters and `torchrun` end it. A command line that is another
    program's, such as an application that serves the bundle, is not looked at, and its way to end stays its own.

    Raises:
        InputError: see `check_settings`.
    """
    plain_errors()
    if Path(sys.argv[0]).parts[-3:] == PROGRAM and sys.argv[1:2] and sys.argv[1] in COMMANDS:
        stop_at_sigterm()
        check_settings(flags(sys.argv[2:]))


def check_settings(given: Mapping[str, Any]) -> None:
    """Refuse what MONAI passes over in silence: a setting that no config has, and a value that it takes otherwise.

    Args:
        given: the command line's names and values; `args_file` adds its own.

    Raises:
        InputError: naming the setting, and the nearest that exist or how the value is written.
    """
    options = _options()
    merged = update_kwargs(given.get("args_file"), **given)
    configs = ConfigParser.load_config_files(merged.get("config_file") or {})
    known = _top_level(configs) | _tracked(merged.get("tracking")) | options
    for name in {**merged, **given}:
        if not _top_level([name]) <= known:
            raise InputError(
                f"--{name} is no setting of these configs{_nearest(name, known)} (settings are the names at the top "
                f"level of {merged.get('config_file')})"
            )
    _check_places(configs, {name: value for name, value in merged.items() if name not in options})
    for name, value in given.items():
        if name not in options:
            _check_value(name, value)


def _check_places(configs: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse a new name inside of what cannot take it, which would fail far from here, or change nothing."""
    parser = ConfigParser(copy.deepcopy(configs))
    for name, value in given.items():
        place, last = ReferenceResolver.split_id(name, last=True)
        if name.startswith("+") or place not in parser:
            continue
        if name in configs:
            _check_kind(name, value, configs[name])
        if place and name not in parser and not last.startswith("_"):
            allowed = _names_inside(parser[place])
            if allowed is not None and last not in allowed:
                raise InputError(
                    f"--{name}: {place} has no {last}{_nearest(last, allowed)} (it takes {', '.join(sorted(allowed))})"
                )
        parser[name] = value


def _names_inside(place: Any) -> set[str] | None:
    """Return the arguments of a component, or the names in a section of components; None where any name may stand."""
    if not isinstance(place, dict):
        return None
    if "_target_" not in place:
        is_section = any(isinstance(part, dict) and "_target_" in part for part in place.values())
        return set(place) if is_section else None
    try:
        target = ConfigComponent(place, locator=ComponentLocator()).resolve_module_name()
        parameters = inspect.signature(locate(target)).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):  # no such component, or none that names its arguments
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return set(parameters)


def _nearest(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=3)
    return f": did you mean {' or '.join(nearest)}?" if nearest else ""


def _check_value(name: str, value: object) -> None:
    """Refuse `None`, which MONAI drops, `false`, which is a text and true, and names that would be others."""
    if name in PLACES:
        _check_place(name, value)
    _check_choice(name, value)
    if value is None:
        raise InputError(f"--{name} None leaves the config's own value, by MONAI's rule; for nothing write '$None'")
    if isinstance(value, str) and value.lower() in ("true", "false"):
        check_flags(**{name: value})


def _check_kind(name: str, value: object, own: object) -> None:
    """Refuse one value where the config has a list, and anything but names with values where it has these."""
    wanted = dict if isinstance(own, dict) else (list, tuple)
    is_open = not isinstance(own, (dict, list)) or (isinstance(own, dict) and "_target_" in own) or name in SCALARS_TOO
    if is_open or value is None or isinstance(value, wanted) or str(value).startswith(EXPRESSIONS):
        return
    raise InputError(f'--{name} {value}: expected the form of the config\'s own value, "{own}"')


def _check_choice(name: str, value: object) -> None:
    """Refuse a device that is not there or a mere number, and a part of the data that does not exist."""
    if str(value).startswith(EXPRESSIONS):
        return
    if name == "evaluated_part" and value not in PARTS:
        raise InputError(f"--evaluated_part {value}: allowed are {', '.join(PARTS)}")
    if name == "device":
        if isinstance(value, int):  # torch takes it, but the configs would not see a GPU in it
            raise InputError(f"--device {value} is no device's name: write cuda:{value:d}, or cpu")
        try:
            torch.empty(1, device=str(value))
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"--device {value} cannot be used ({reason}): cpu is always there") from error


def _check_place(name: str, value: object) -> None:
    """Refuse a path that is read as something else: a number, several words, or one with `#`, which becomes `::`."""
    if isinstance(value, (int, float, tuple)):
        raise InputError(
            f"--{name}: {value!r} is what the command line reads; write ./ before a name of digits or commas"
        )
    if "#" in str(value):
        raise InputError(f"--{name} {value}: MONAI takes # for ::, rename the folder or link to it by another name")


def _top_level(names: Any) -> set[str]:
    return {str(name).lstrip("+").replace("::", "#").split("#")[0] for name in names}


def _tracked(tracking: str | dict[str, Any] | None) -> set[str]:
    """Return the names that the settings of experiment tracking add to the configs."""
    settings = DEFAULT_EXP_MGMT_SETTINGS.get(tracking, tracking) if isinstance(tracking, str) else tracking
    return set(ConfigParser.load_config_files(settings).get("configs", {})) if settings else set()


def _options() -> set[str]:
    """Return the names that MONAI's commands take for themselves."""
    takers = (run, create_workflow, ConfigWorkflow.__init__)
    return {name for taker in takers for name in inspect.signature(taker).parameters}
