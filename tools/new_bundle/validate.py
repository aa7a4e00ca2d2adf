"""Whether a rendered bundle works: its metadata, its configs, and one patch of a real case through its network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.transforms import SpatialPad

from scripts.errors import InputError

from ..release import checked_version
from .geometry import unit_of

TRAIN_IDS = ("loss", "optimizer", "train#random_transforms", "validate#inferer", "validate#postprocessing")


def validate(bundle: Path, case: dict[str, Any]) -> None:
    """Try a bundle.

    Args:
        bundle: its folder, whose `scripts` are those of this project.
        case: a labelled case, `{"case", "image", "label"}`.

    Raises:
        InputError: if something of it does not work.
    """
    configs = bundle / "configs"
    checked_version(bundle.name, ConfigParser.load_config_file(configs / "metadata.json"))
    train = _parser(configs, bundle, "train")
    for id_ in TRAIN_IDS:
        train.get_parsed_content(id_)
    inference = _parser(configs, bundle, "inference")
    inference.get_parsed_content("inferer")
    evaluate = _parser(configs, bundle, "train", "evaluate")
    evaluate.get_parsed_content("validate#preprocessing")
    item = train.get_parsed_content("train#preprocessing")({key: case[key] for key in ("image", "label")})
    network = inference.get_parsed_content("network_def").eval()
    network.check_patch(train["patch_size"])
    size = _small_patch(inference)
    image = SpatialPad(size)(item["image"])[:, : size[0], : size[1], : size[2]]
    with torch.no_grad():
        logits = network(torch.as_tensor(image)[None].float())
    expected = (1, inference.get_parsed_content("network_def#out_channels"), *size)
    if tuple(logits.shape) != expected or not logits.isfinite().all():
        raise InputError(f"{bundle.name}: a patch gives {tuple(logits.shape)} where {expected} finite logits are due")


def _parser(configs: Path, bundle: Path, *names: str) -> ConfigParser:
    parser = ConfigParser(ConfigParser.load_config_files([configs / f"{name}.json" for name in names]))
    parser.update({"bundle_root": str(bundle), "device": "cpu"})
    return parser


def _small_patch(config: ConfigParser) -> list[int]:
    """Return the patch, of a U-Net two voxels of the bottleneck at most: to try it, not to use it."""
    patch = list(config["patch_size"])
    if not config["network_def#_target_"].endswith("ResEncUNet"):
        return patch
    return [min(side, 2 * unit) for side, unit in zip(patch, unit_of(config["network_def#strides"]), strict=True)]
