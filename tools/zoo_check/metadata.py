"""The metadata of a bundle: the zoo's schema, version and changelog, exact pins, and channels that agree."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = Path(__file__).with_name("meta_schema.json")
EXACT = re.compile(r"\d+(\.\w+)*")
VERSIONS = ("monai_version", "pytorch_version", "numpy_version")


def metadata_faults(metadata: dict[str, Any]) -> Iterator[str]:
    """Yield what the zoo's CI would refuse in the content of `metadata.json`."""
    errors = list(jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).iter_errors(metadata))
    for fault in sorted(errors, key=jsonschema.exceptions.relevance, reverse=True):
        where = "#".join(map(str, fault.absolute_path)) or "top level"
        yield f"metadata break the schema at {where}: {fault.message}"
    if errors:
        return
    version = metadata["version"]
    if version not in metadata["changelog"]:
        yield f"version {version} is not in its changelog: add a line"
    pins = {name: metadata[name] for name in VERSIONS} | metadata.get("required_packages_version", {})
    yield from (f"{name} {pin!r} is no exact version" for name, pin in pins.items() if not EXACT.fullmatch(str(pin)))
    for kind, tensors in metadata["network_data_format"].items():
        for name, tensor in tensors.items():
            channels, defined = tensor["num_channels"], list(tensor["channel_def"])
            if defined != [str(index) for index in range(channels)]:
                yield f"{kind} {name} has num_channels {channels}, but channel_def defines {', '.join(defined)}"
