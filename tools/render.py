"""Render every bundle from its card and the template it names: `python -m tools.render [names] [--check]`.

A card (`bundles/<name>/card.json`) is the only hand-edited file of a bundle:

- `template`: folder of `tools/templates`; `name`: the bundle's folder; `title`: its display name;
- `dataset`: the data in the terms of nnU-Net's dataset.json; its `labels` are the ids in the files, and where a
  network is to learn regions, unions of ids, they stand beside them as `regions` with nnU-Net's `regions_class_order`;
  `codes` (optional): label name to code and meaning of its `category`, `type`, `modifier`, `side` and `region`, for
  DICOM-SEG, SNOMED CT or with another scheme as third; all of them in DICOM's context groups;
- `splits`: name to `{"description", "train", "test"}`, a published division by case names, for `splits/<name>.json`;
- `network`: the default one of the template's `networks` (the template's own when absent); `networks`: what the others
  need besides their file, as MONAI overlay of it, by name. Each becomes `configs/<network>.json`;
- `model`: of a bundle that only evaluates, the model: its `channels`, numbers of those of the data, its `labels` and
  their `codes`;
- `pretrains`: of a pretraining bundle, the network whose encoder it pretrains (or the template of one network);
- `common`: MONAI overlay of both `train` and `inference` (of `evaluate` and `inference` where nothing is trained);
- `train`, `evaluate`, `inference`, `multi_gpu_train`, `metadata`: MONAI overlay of that file;
- `presets`: name to the content of `configs/<name>.json`, an overlay of `train` and `inference`; where the template has
  a preset of this name for the default network, that is laid below, and `{}` takes it as it is;
- `docs`: what the model card says, see the template's README.md.j2; its docs.json holds what all its bundles say.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, UndefinedError
from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

from benchmarks.tables import execution_table
from scripts.errors import InputError
from scripts.files import write_atomically

from .bundle_table import with_tables
from .card_defaults import chained, completed
from .cli import cli

ROOT = Path(__file__).resolve().parents[1]
COMPLETE = ("train", "inference")
OVERLAYS = ("evaluate", "multi_gpu_train")
UNTRAINED = ("evaluate", "inference")  # both complete, in a template without train.json
LABELLED = ("segmentation", "classification", "evaluation")
REQUIRED = ("template", "name", "title", "dataset", "docs")
OPTIONAL = (
    *("network", "networks", "model", "pretrains", "common", "metadata", "presets", "splits"),
    *(*COMPLETE, *OVERLAYS),
)


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


def read_card(name: str, root: Path) -> dict[str, Any]:
    """Read a bundle's card and check its sections.

    Args:
        name: folder of the bundle below `bundles`.
        root: project folder.

    Returns:
        The content of card.json.

    Raises:
        InputError: if there is no such card, or a section is missing or unknown.
    """
    path = root / "bundles" / name / "card.json"
    if not path.is_file():
        others = ", ".join(names_of(root)) or "none"
        raise InputError(f"no bundle {name!r}: bundles/{name}/card.json is missing; there are {others}")
    try:
        card: dict[str, Any] = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON ({error}): correct it") from error
    missing = sorted(set(REQUIRED) - set(card))
    unknown = sorted(set(card) - set(REQUIRED) - set(OPTIONAL))
    if missing or unknown:
        raise InputError(
            f"card {name}: sections missing {missing}, unknown {unknown}; "
            f"needed are {', '.join(REQUIRED)}, allowed also {', '.join(OPTIONAL)}"
        )
    networks = {path.stem for path in (root / "tools" / "templates" / card["template"] / "networks").glob("*.json")}
    clash = sorted(set(card.get("presets", {})) & {"metadata", *networks, *COMPLETE, *OVERLAYS})
    if clash:
        taken = ", ".join(clash)
        raise InputError(f"card {name}: preset name {taken} is taken by a workflow or a network: choose another")
    if card["name"] != name:
        raise InputError(f"card {name}: its name is {card['name']!r}, but must be that of its folder, {name!r}")
    if not (root / "tools" / "templates" / card["template"] / "inference.json").is_file():
        raise InputError(f"card {name}: template {card['template']!r} is not a folder of tools/templates")
    return card


def names_of(root: Path) -> list[str]:
    """List the bundles, i.e. the folders of `bundles` that hold a card.

    Args:
        root: project folder.

    Returns:
        Sorted folder names.
    """
    return sorted(card.parent.name for card in (root / "bundles").glob("*/card.json"))


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


def ids_of_dataset(card: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Derive what follows from the card's `dataset`, so that labels and channels are written once.

    Args:
        card: a bundle's card.

    Returns:
        An overlay each for `train`, `inference`, `evaluate` and `metadata`.

    Raises:
        InputError: if channels or labels are not numbered from 0 without gaps.
    """
    dataset = card["dataset"]
    channels = [name for _, name in numbered(card, {int(k): v for k, v in dataset["channel_names"].items()})]
    ids: dict[str, Any] = {"channels": channels}
    metadata: dict[str, Any] = {"name": card["title"]}
    if card["template"] in LABELLED:
        given = dict(numbered(card, {index: name for name, index in dataset["labels"].items()}))
        labels, inputs = given, channels
        if "model" in card:
            ids["used_channels"] = card["model"]["channels"]
            inputs = [channels[number] for number in ids["used_channels"]]
            labels = dict(numbered(card, {index: name for name, index in card["model"]["labels"].items()}))
            ids["reference_labels"] = dataset["labels"]
        ids["labels"] = {name: index for index, name in labels.items()}
        outputs, predicted = labels, labels_in_words(labels)
        if "regions" in dataset:
            ids |= {key: dataset[key] for key in ("regions", "regions_class_order")}
            ids["network_def#out_channels"] = "$len(@regions)"
            outputs = dict(enumerate(ids["regions"]))
            predicted = regions_in_words(ids["regions"])
        image, pred = "network_data_format#inputs#image", "network_data_format#outputs#pred"
        metadata |= {
            "description": card["docs"]["overview"],
            "data_source": f"{dataset['name']} (not included)",
            "image_classes": ", ".join(inputs),
            "label_classes": labels_in_words(given),
            "pred_classes": predicted,
            "references": card["docs"].get("references", []),
            f"{image}#num_channels": len(inputs),
            f"{image}#channel_def": {str(index): channel for index, channel in enumerate(inputs)},
            f"{pred}#num_channels": len(outputs),
            f"{pred}#channel_def": {str(index): name for index, name in outputs.items()},
        }
    own = {id_: value for id_, value in ids.items() if id_ != "reference_labels"}  # inference has no reference
    codes = card.get("model", dataset).get("codes")
    if codes:
        own["dicom_segmentations#codes"] = codes
    return {"train": ids, "evaluate": ids, "inference": own, "metadata": metadata}


def labels_in_words(labels: dict[int, str]) -> str:
    """Name labels with their values."""
    return ", ".join(f"{value} {name}" for value, name in labels.items())


def regions_in_words(regions: dict[str, int | list[int]]) -> str:
    """Name regions with the label values that they unite."""
    values = {name: value if isinstance(value, list) else [value] for name, value in regions.items()}
    return ", ".join(f"{name} {{{', '.join(map(str, value))}}}" for name, value in values.items())


def numbered(card: dict[str, Any], names: dict[int, str]) -> list[tuple[int, str]]:
    """Sort names by their number and check the numbers.

    Args:
        card: the card they come from.
        names: channel or label names by number.

    Returns:
        Pairs of number and name, in order.

    Raises:
        InputError: if the numbers are not 0, 1, 2, ...
    """
    if sorted(names) != list(range(len(names))):
        raise InputError(f"card {card['name']}: {names} must be numbered 0, 1, 2, ... without gaps")
    return sorted(names.items())


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


def to_json(config: dict[str, Any]) -> str:
    """Write a config as `ConfigParser.export_config_file(indent=4)` does, with a final newline.

    Args:
        config: rendered config.

    Returns:
        JSON text.
    """
    return json.dumps(config, indent=4) + "\n"


def differences(name: str, root: Path = ROOT) -> dict[str, str | None]:
    """Compare a bundle with what its card says now.

    Args:
        name: folder of the bundle.
        root: project folder.

    Returns:
        Every path inside the bundle that is missing or stale, with the text it should have; None for a config or
        split that no card asks for any more (such as a preset taken out) and for the link `scripts`.
    """
    bundle = root / "bundles" / name
    files = render(name, root)
    wrong: dict[str, str | None] = {}
    for path, text in files.items():
        if not (bundle / path).is_file() or (bundle / path).read_text() != text:
            wrong[path] = text
    present = sorted(
        path.relative_to(bundle).as_posix()
        for folder in ("configs", "splits")
        for path in bundle.glob(f"{folder}/*.json")
    )
    wrong |= dict.fromkeys(path for path in present if path not in files)
    if not (bundle / "scripts").is_symlink():
        wrong["scripts"] = None
    return wrong


def apply(changes: dict[str, str | None], bundle: Path) -> None:
    """Bring a bundle up to date.

    Args:
        changes: what `differences` found.
        bundle: the bundle's folder.
    """
    for path, text in changes.items():
        if text is not None:
            write(bundle / path, text.encode())
        elif path == "scripts":
            (bundle / path).symlink_to("../scripts")
        else:
            (bundle / path).unlink()


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Args:
        path: file to write; its folder is made where it is missing.
        content: its bytes.
    """
    write_atomically(path, lambda name: Path(name).write_bytes(content))


def main(*names: str, check: bool = False, root: str = str(ROOT)) -> None:
    """Render bundles from their cards, and the table of bundles in README.md.

    Args:
        names: bundles to render; all when none is named.
        check: write nothing, list the files that differ and leave with exit code 1 if there are any.
        root: project folder.
    """
    folder = Path(root)
    found = {name: differences(name, folder) for name in names or names_of(folder)}
    readme = (folder / "README.md").read_text()
    with_table = with_tables(readme, [read_card(name, folder) for name in names_of(folder)])
    stale = [f"bundles/{name}/{path}" for name, changes in found.items() for path in changes]
    stale += ["README.md"] if with_table != readme else []
    for path in stale:
        print(f"{'stale' if check else 'rendered'}: {path}")
    if check:
        if stale:
            sys.exit("error: rendered files differ from their cards: run `make render` and commit the result")
        return
    for name, changes in found.items():
        apply(changes, folder / "bundles" / name)
    if with_table != readme:
        write(folder / "README.md", with_table.encode())


if __name__ == "__main__":
    cli(main)
