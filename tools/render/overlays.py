"""Overlays of configs, merged as MONAI merges several `--config_file`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

from scripts.errors import InputError


def overlaid(base: dict[str, Any], layers: list[dict[str, Any]], where: str) -> dict[str, Any]:
    """Merge overlays into a config exactly as MONAI merges several `--config_file`.

    Args:
        base: complete config; left unchanged.
        layers: overlays, the later ones win. Keys are ids (`network_def#out_channels`), `+id` merges or extends.
        where: card and workflow, for the error message.

    Returns:
        The merged config.

    Raises:
        InputError: if the parent of an id is not in the config, or `+id` has nothing of its kind to extend.
    """
    parser = ConfigParser(copy.deepcopy(base))
    for layer in layers:
        for key, value in copy.deepcopy(layer).items():
            extendable = isinstance(value, (dict, list)) and type(parser.get(key[1:])) is type(value)
            if key.startswith("+") and not extendable:
                raise InputError(
                    f"{where}: {key!r} must extend a list by a list or a dict by a dict: drop or correct '+'"
                )
            try:
                merge_kv(parser, key, value)
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise InputError(
                    f"{where}: id {key!r} cannot be set, the config has no parent for it: correct it"
                ) from error
    merged: dict[str, Any] = parser.get()
    return merged


def chained(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Join two overlays into one that does what applying them one after the other does.

    Args:
        first: overlay of a template.
        second: overlay of a card, the stronger one.

    Returns:
        The joined overlay; its keys stay ids, since they are resolved when the bundle runs.
    """
    joined = copy.deepcopy(first)
    for key, value in copy.deepcopy(second).items():
        if key.startswith("+") and key in joined:
            merge_kv(joined, f"+{key}", value)  # both extend the same id: extend by the one, then by the other
        else:
            # to the end, where it also wins over ids below the same one
            joined.pop(key, None)
            joined[key] = value
    return joined


def with_copies(base: Any, template: Path) -> Any:
    """Replace macros such as `%train.json::network_def` by what they name, in this template or another's file.

    MONAI would look for the file in the current directory, and MONAI Label reads a single file.

    Args:
        base: a template's config, or a part of it.
        template: its folder, from where paths count.

    Returns:
        The config without macros to other files.
    """
    if isinstance(base, dict):
        return {key: with_copies(value, template) for key, value in base.items()}
    if isinstance(base, list):
        return [with_copies(value, template) for value in base]
    if not (isinstance(base, str) and base.startswith("%") and "::" in base):
        return base
    file, _, source = base[1:].partition("::")
    path = template / file
    content = ConfigParser.load_config_file(path)
    # an overlay's keys are ids themselves
    named = content[source] if source in content else ConfigParser(content)[source]
    return with_copies(named, path.parent)
