"""The card, `bundles/<name>/card.json`: the only hand-edited file of a bundle.

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

import json
from pathlib import Path
from typing import Any

from scripts.errors import InputError

from ..project import bundle_names

COMPLETE = ("train", "inference")
OVERLAYS = ("evaluate", "multi_gpu_train")
REQUIRED = ("template", "name", "title", "dataset", "docs")
OPTIONAL = (
    *("network", "networks", "model", "pretrains", "common", "metadata", "presets", "splits"),
    *(*COMPLETE, *OVERLAYS),
)


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
        others = ", ".join(bundle_names(root)) or "none"
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
