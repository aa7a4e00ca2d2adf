"""The configs of a bundle: ids that the zoo's tests and MONAI Label look for, overlays that load, channels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver

from scripts.errors import brief_message

INFERENCE = ("bundle_root", "device", "network_def", "inferer", "output_dir", "dataset", "evaluator")
TRAIN = (
    *("bundle_root", "device", "dataset_dir", "output_dir", "val_interval"),
    *(f"train#{id_}" for id_ in ("trainer", "trainer#max_epochs", "dataset", "dataset#data", "handlers", "inferer")),
    *(f"validate#{id_}" for id_ in ("evaluator", "handlers", "dataset", "dataset#data")),
)
WORKFLOWS = {"train": TRAIN, "inference": INFERENCE}
OF_TRAIN = ("evaluate", "multi_gpu_train")  # every other config is an overlay of inference too


def config_faults(bundle: Path) -> Iterator[str]:
    """Yield what is wrong with the configs of a bundle's folder."""
    files = {path.stem: path for path in sorted((bundle / "configs").glob("*.json"))}
    metadata = ConfigParser.load_config_file(files["metadata"])
    for workflow, ids in WORKFLOWS.items():
        if workflow not in files and workflow != "inference":
            continue  # a bundle that only evaluates trains nothing
        base = ConfigParser.load_config_file(files[workflow])
        parser = ConfigParser(base)
        yield from (f"{workflow}.json has no {id_}" for id_ in ids if id_ not in parser)
        if base.get("bundle_root") != ".":
            yield f"{workflow}.json has bundle_root {base.get('bundle_root')!r} instead of '.'"
        yield from channel_faults(parser, metadata["network_data_format"], workflow)
        for name in files.keys() - {"metadata", *WORKFLOWS} - (set(OF_TRAIN) if workflow != "train" else set()):
            try:
                merged = ConfigParser.load_config_files([files[workflow], files[name]])
            except (KeyError, ValueError, TypeError) as error:
                yield f"{name}.json does not load over {workflow}.json: {error}"
                continue
            # inference has no use for what a network's overlay says of training
            used = merged if workflow == "train" else {id_: merged[id_] for id_ in base}
            found = reference_faults(used, {**merged, "_meta_": metadata})
            yield from (f"{name}.json over {workflow}.json: {fault}" for fault in found)
        found = reference_faults(base, {**base, "_meta_": metadata})
        yield from (f"{workflow}.json: {fault}" for fault in found)


def channel_faults(parser: ConfigParser, formats: dict[str, Any], workflow: str) -> Iterator[str]:
    """Yield where a network's channels, also those of one inside it, are not those that the metadata state."""
    network = "network_def#network" if "network_def#network" in parser else "network_def"
    for key, kind, name in (("in_channels", "inputs", "image"), ("out_channels", "outputs", "pred")):
        stated = formats[kind].get(name, {}).get("num_channels")
        if (id_ := f"{network}#{key}") not in parser:
            continue
        try:
            own = parser.get_parsed_content(id_)
        except (ValueError, RuntimeError) as error:
            yield f"{workflow}.json's {id_} cannot be computed: {brief_message(error)}"
            continue
        if own != stated:
            yield f"{workflow}.json's network has {key} {own}, the metadata state {stated} for {name}"


def reference_faults(used: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    """Yield references in what is used of a config to ids that it does not have."""
    parser = ConfigParser(config)
    wanted = {id_ for text in strings(used) for id_ in ReferenceResolver.match_refs_pattern(text)}
    yield from (f"there is no id {id_}" for id_ in sorted(wanted) if id_ not in parser)


def strings(config: Any) -> Iterator[str]:
    """Yield the expressions and references in a config, those without relative ids."""
    if isinstance(config, dict):
        config = [value for key, value in config.items() if key != "_desc_"]
    if isinstance(config, list):
        for value in config:
            yield from strings(value)
    elif isinstance(config, str) and config.startswith(("$", "@")) and "@##" not in config and "@::" not in config:
        yield config
