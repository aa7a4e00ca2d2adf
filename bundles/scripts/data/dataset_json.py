"""A `dataset.json` in the form of the Medical Segmentation Decathlon or of nnU-Net raw, and the cases it stands for."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import absolute, read_json
from .reading import as_image, as_list
from .scans import case_names, nnunet_images, one_image

EXPECTED = (
    'expected "labels", "modality" and "training": [{"image": path, "label": path}, ...] (Medical Segmentation '
    'Decathlon), or "labels", "channel_names" and "file_ending" (nnU-Net raw)'
)


def read_dataset_json(folder: Path) -> dict[str, Any]:
    """Read the `dataset.json` of a folder.

    Args:
        folder: that holds it.

    Returns:
        Its content, with "labels", the channels, and "training" or "file_ending".

    Raises:
        InputError: there is none, or it is malformed.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give the folder that holds a dataset.json")
    if not any(folder.iterdir()):
        raise InputError(f"{folder} is empty: give the folder that holds a dataset.json")
    path = folder / "dataset.json"
    if not path.is_file():
        raise InputError(f"{folder} has no dataset.json: {EXPECTED}")
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} does not hold a JSON object: {EXPECTED}")
    nnunet = {"labels": dict, "channel_names": dict, "file_ending": str}
    msd = {"labels": dict, "channel_names" if "channel_names" in content else "modality": dict, "training": list}
    for key, kind in (nnunet if "file_ending" in content else msd).items():
        if not isinstance(content.get(key), kind):
            raise InputError(f'{path} lacks a proper "{key}": {EXPECTED}')
    return content


def listed_cases(folder: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    """List the training cases, without looking whether their files exist.

    Args:
        folder: that holds the `dataset.json`.
        content: as `read_dataset_json` returns it.

    Returns:
        One `{"case": name, "image": path or list of channel files, "label": path}` per case, sorted by case.

    Raises:
        InputError: there are none, or the list is malformed.
    """
    if "file_ending" in content:
        return _nnunet_cases(folder, content)
    return _msd_cases(folder / "dataset.json", content["training"])


def paired_images(source: str | Path) -> list[dict[str, Any]]:
    """List images with their labels, none of which is opened.

    Args:
        source: folder with a `dataset.json`, or a JSON data list of `{"image": path, "label": path}`, bare or under
            "training", with paths relative to its folder.

    Returns:
        One `{"case": name, "image": path, "label": path}` per case, sorted by case.

    Raises:
        InputError: the source is missing or malformed.
    """
    path = absolute(source)
    if path.suffix != ".json":
        return listed_cases(path, read_dataset_json(path))
    if not path.is_file():
        raise InputError(f"{path} does not exist: give a labelled dataset or a JSON data list")
    content = read_json(path)
    entries = content.get("training") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise InputError(f"{path} is no data list: {EXPECTED}")
    return _msd_cases(path, entries)


def stated_channels(content: dict[str, Any]) -> list[str]:
    """Return the names of the channels, in order."""
    names = content["channel_names"] if "channel_names" in content else content["modality"]
    return [str(name) for name in names.values()]


IGNORED = (
    "a label 'ignore' for what nobody labelled, which would be learnt as a structure: label these voxels, or leave "
    "such cases and the label out"
)


def names_ignored(stated: dict[str, Any]) -> bool:
    """Tell whether labels have nnU-Net's for voxels that nobody labelled, which is not supported."""
    return any(name.lower() == "ignore" for name in stated)


def stated_labels(content: dict[str, Any]) -> dict[str, Any]:
    """Return the values of labels, or of regions, by name; MSD has it the other way round, as `{"1": name}`."""
    pairs = content["labels"].items()
    return dict((v, int(k)) if isinstance(v, str) and k.isdigit() else (k, v) for k, v in pairs)


def _msd_cases(path: Path, entries: list[Any]) -> list[dict[str, Any]]:
    folder = path.parent
    if not entries:
        raise InputError(f'{path} has an empty "training" list: {EXPECTED}')
    for entry in entries:
        if not isinstance(entry, dict) or "image" not in entry or not isinstance(entry.get("label"), str):
            raise InputError(f'{path} has the "training" entry {entry}: {EXPECTED}')
    images = [one_image(entry["image"], folder, str(path)) for entry in entries]
    twice = [paths for paths, count in Counter(tuple(as_list(image)) for image in images).items() if count > 1]
    if twice:
        raise InputError(f"{path} lists {twice[0][0]} more than once: remove the repetition")
    named = zip(case_names(images), images, entries, strict=True)
    cases = [{"case": c, "image": i, "label": os.path.abspath(folder / e["label"])} for c, i, e in named]
    return sorted(cases, key=lambda case: case["case"])


def _nnunet_cases(folder: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    ending, num_channels = content["file_ending"], len(stated_channels(content))
    images = nnunet_images(folder / "imagesTr", ending, num_channels)
    labels = {path.name.removesuffix(ending) for path in (folder / "labelsTr").glob(f"[!.]*{ending}")}
    if not images and not labels:
        raise InputError(f"{folder} has no imagesTr/<case>_0000{ending} and no labelsTr/<case>{ending}: add cases")
    for case in labels - images.keys():  # the image that ought to be there is reported as missing
        images[case] = [f"{folder}/imagesTr/{case}_{channel:04d}{ending}" for channel in range(num_channels)]
    return [
        {"case": case, "image": as_image(files), "label": f"{folder}/labelsTr/{case}{ending}"}
        for case, files in sorted(images.items())
    ]
