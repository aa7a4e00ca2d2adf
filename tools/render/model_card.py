"""The model card, docs/README.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, UndefinedError

from scripts.errors import InputError

from .execution_table import execution_table


def model_card(card: dict[str, Any], configs: dict[str, dict[str, Any]], networks: list[str], templates: Path) -> str:
    """Render docs/README.md.

    Args:
        card: the bundle's card.
        configs: its rendered configs by name.
        networks: names of the overlays that put another network in the place of the default one.
        templates: folder of the templates.

    Returns:
        Markdown text.

    Raises:
        InputError: if the card's `docs` lack an entry, or a knob has no description.
    """
    texts = json.loads((templates / "common" / "knobs.json").read_text())
    environment = Environment(
        loader=FileSystemLoader(templates), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    try:
        text = environment.get_template(f"{card['template']}/README.md.j2").render(
            card=card,
            presets=list(card.get("presets", {})),
            networks=networks,
            metadata=configs["metadata"],
            executions=executions_of(card, templates.parents[1]),
            inference=configs["inference"],
            train=configs.get("train"),
            knobs=knobs_of(configs.get("train", configs["evaluate"]), texts, f"card {card['name']}, train"),
            inference_knobs=knobs_of(configs["inference"], texts, f"card {card['name']}, inference"),
        )
    except UndefinedError as error:
        raise InputError(f"card {card['name']}: docs/README.md needs more from the card: {error.message}") from error
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def executions_of(card: dict[str, Any], root: Path) -> str:
    """Render what a file of `benchmarks.spark3d` says, so that measured numbers are not typed.

    Args:
        card: its `docs` may name the file as `executions`.
        root: project folder.

    Returns:
        A Markdown table, empty without a file.
    """
    file = card["docs"].get("executions")
    return execution_table(json.loads((root / file).read_text())) if file else ""


def knobs_of(config: dict[str, Any], texts: dict[str, str], where: str) -> list[tuple[str, str, str]]:
    """Collect the knobs of a config: top-level ids that hold a plain value or are described as a knob.

    Args:
        config: rendered config.
        texts: what each knob does, by id.
        where: card and workflow, for the error message.

    Returns:
        Id, default (as JSON) and description of every knob, in the order of the config.

    Raises:
        InputError: if a plain value has no description.
    """
    knobs = [id_ for id_, value in config.items() if id_ in texts or is_plain(value)]
    undescribed = [knob for knob in knobs if knob not in texts]
    if undescribed:
        raise InputError(f"{where}: describe {', '.join(undescribed)} in tools/templates/common/knobs.json")
    return [(knob, json.dumps(config[knob]), texts[knob]) for knob in knobs]


def is_plain(value: Any) -> bool:
    """Tell a plain value from a component, an expression, a reference or a macro.

    Args:
        value: value of a top-level id.

    Returns:
        True if nothing in it is resolved when the bundle runs.
    """
    if isinstance(value, dict):
        return "_target_" not in value and all(map(is_plain, value.values()))
    if isinstance(value, list):
        return all(map(is_plain, value))
    return not (isinstance(value, str) and value.startswith(("$", "@", "%")))
