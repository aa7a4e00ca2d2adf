"""One bundle, rendered in memory from its card and the template that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from scripts.errors import InputError
from scripts.files import to_json

from ..project import ROOT
from .card import COMPLETE, OVERLAYS, read_card
from .card_defaults import completed
from .dataset_ids import ids_of_dataset
from .model_card import model_card
from .overlays import chained, overlaid, with_copies

UNTRAINED = ("evaluate", "inference")  # both complete, in a template without train.json


def render(name: str, root: Path = ROOT) -> dict[str, str]:
    """Render one bundle in memory, so that writing and checking share one source.

    Args:
        name: folder of the bundle below `bundles`.
        root: project folder, holding `bundles`, `tools/templates` and `requirements.txt`.

    Returns:
        The text of every generated file by its path inside the bundle.

    Raises:
        InputError: if the card is incomplete or asks for something its template does not have.
    """
    return render_card(read_card(name, root), root)


def render_card(card: dict[str, Any], root: Path = ROOT) -> dict[str, str]:
    """Render the bundle of a card, wherever that is to stand.

    Args:
        card: the content of card.json.
        root: project folder, holding `tools/templates` and `requirements.txt`.

    Returns:
        The text of every generated file by its path inside the bundle.

    Raises:
        InputError: if the card asks for something its template does not have.
    """
    name = card["name"]
    templates = root / "tools" / "templates"
    template = templates / card["template"]
    card = completed(card, template)
    derived = ids_of_dataset(card)
    variant = json.loads((template / "regions.json").read_text()) if "regions" in card["dataset"] else {}
    networks = networks_of(card, template)
    default = networks.pop(card.get("network", ""), {})
    configs: dict[str, dict[str, Any]] = {}
    trained = (template / "train.json").is_file()
    complete, overlays = (COMPLETE, OVERLAYS) if trained else (UNTRAINED, ())
    for workflow in complete:
        path = (template / f"{workflow}.json").resolve()  # a template may link to a file of another one
        base = with_copies(ConfigParser.load_config_files([path]), path.parent)
        network = {id_: value for id_, value in default.items() if id_ in base}  # inference has no optimiser
        layers = [part.get(section, {}) for part in (variant, card) for section in ("common", workflow)]
        layers = [network, *layers[:3], derived[workflow], *layers[3:]]
        configs[workflow] = overlaid(base, layers, f"card {name}, {workflow}")
    for workflow in overlays:
        base = ConfigParser.load_config_file(template / f"{workflow}.json")
        configs[workflow] = chained(base, card.get(workflow, {}))
    for overlay in overlays:
        overlaid(configs["train"], [configs[overlay]], f"card {name}, {overlay} over train")
    for preset, content in (card.get("presets", {}) | networks).items():
        for workflow in complete:
            overlaid(configs[workflow], [content], f"card {name}, preset {preset} over {workflow}")
        configs[preset] = content
    base = ConfigParser.load_config_files([template / "metadata.json"])
    layers = [versions(root / "requirements.txt"), derived["metadata"], card.get("metadata", {})]
    configs["metadata"] = overlaid(base, layers, f"card {name}, metadata")

    files = {f"configs/{config}.json": to_json(content) for config, content in configs.items()}
    files["configs/logging.conf"] = (templates / "common" / "logging.conf").read_text()
    files |= {f"splits/{split}.json": to_json(content) for split, content in card.get("splits", {}).items()}
    files["LICENSE"] = (templates / "common" / "LICENSE").read_text()
    files["docs/data_license.txt"] = card["dataset"]["licence_text"].strip() + "\n"
    files["docs/README.md"] = model_card(card, configs, list(networks), templates)
    return dict(sorted(files.items()))


def networks_of(card: dict[str, Any], template: Path) -> dict[str, dict[str, Any]]:
    """Collect the networks that the card's bundle can take, each as an overlay of `train` and `inference` alike.

    Args:
        card: a bundle's card.
        template: its template's folder, whose `networks` hold one overlay each.

    Returns:
        Overlays by name, with an output per region and the card's own ids; none where the card names no network.

    Raises:
        InputError: if the card names a network that the template does not have.
    """
    if "network" not in card:
        return {}
    files = {path.stem: path for path in sorted((template / "networks").glob("*.json"))}
    own = card.get("networks", {})
    unknown = sorted({card["network"], *own} - set(files))
    if unknown:
        raise InputError(f"card {card['name']}: network {', '.join(unknown)} is not one of {', '.join(files)}")
    shapes = {id_: value for id_, value in ids_of_dataset(card)["train"].items() if id_.startswith("network_def#")}
    return {
        name: overlaid(
            ConfigParser.load_config_file(path), [shapes, own.get(name, {})], f"card {card['name']}, network {name}"
        )
        for name, path in files.items()
    }


def versions(requirements: Path) -> dict[str, Any]:
    """Read the metadata's version fields from the pins, their only place.

    Args:
        requirements: requirements.txt, whose first group (up to a blank line) is what running a bundle needs.

    Returns:
        The fields `monai_version`, `pytorch_version`, `numpy_version` and `required_packages_version`.
    """
    lines = requirements.read_text().split("\n\n")[0].splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    return {
        "monai_version": pins.pop("monai"),
        "pytorch_version": pins.pop("torch"),
        "numpy_version": pins.pop("numpy"),
        "required_packages_version": pins,
    }
