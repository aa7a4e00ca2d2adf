"""A labelled dataset in MSD or nnU-Net raw layout, checked at the border against what the bundle segments."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor

from ..errors import InputError
from ..geometry import corner_shift, is_one_grid
from .checked_scans import form_problems, value_problems
from .reading import as_list, read_scan
from .scans import case_names, nnunet_images, one_image, read_json
from .verdicts import judge_all

logger = logging.getLogger(__name__)

EXPECTED = (
    'expected "labels", "modality" and "training": [{"image": path, "label": path}, ...] (Medical Segmentation '
    'Decathlon), or "labels", "channel_names" and "file_ending" (nnU-Net raw)'
)


def labelled_cases(
    dataset_dir: str | Path,
    labels: dict[str, int],
    channels: list[str] | dict[str, str],
    account: str | Path | None = None,
    regions: dict[str, int | list[int]] | None = None,
) -> list[dict[str, Any]]:
    """List the training cases of a dataset once every one of them is known to fit together and to fit the bundle.

    Args:
        dataset_dir: folder with a `dataset.json`, in Medical Segmentation Decathlon or nnU-Net raw layout.
        labels: the bundle's labels, name to value; names are compared without regard to case.
        channels: the bundle's input channels; their number must agree, other names are only warned of.
        account: CSV file that keeps the verdict on every case, so that unchanged cases are not read again.
        regions: the bundle's regions, name to label values, if it has any; a dataset may state them for its labels.

    Returns:
        One `{"case": name, "image": path, "label": path, "stamp": text}` per case, sorted by case; `image` is a list
        for a case of several channel files, and `stamp` changes when a file does.

    Raises:
        InputError: the dataset is missing, malformed or for other labels, or a case is unfit: missing, unreadable,
            of another shape or position than its label, not 3D, not finite, or with an unknown label value.
    """
    folder = Path(os.path.abspath(Path(dataset_dir).expanduser()))
    content = _dataset_json(folder)
    channels = list(channels.values()) if isinstance(channels, dict) else channels
    unknown = {value for values in (regions or {}).values() for value in _values(values)} - set(labels.values())
    if unknown:
        raise InputError(f"regions {regions} have the values {sorted(unknown)}, allowed are {labels}: correct regions")
    problems = [*_label_problems(content, labels, regions or {}), *_channel_problems(content, channels)]
    if problems:
        raise InputError(" | ".join(f"{folder / 'dataset.json'} {problem}" for problem in problems))
    cases = _nnunet_cases(folder, content) if "file_ending" in content else _msd_cases(folder, content)
    allowed = _with_background(labels)

    def judge(case: dict[str, Any]) -> str:
        return "; ".join(_problems(case, allowed, len(channels)))

    rule = f"{len(channels)} channels, label values {sorted(allowed.values())}"
    rows = judge_all(cases, judge, rule, account, words=("valid", "invalid"))
    reasons = [row["reason"] for row in rows if row["reason"]]
    if len(reasons) == 1:
        raise InputError(reasons[0])
    if reasons:
        shown = [*reasons[:3], *([f"all of them are in {account}"] if account else [])]
        raise InputError(f"{len(reasons)} of {len(cases)} cases of {folder} have problems: {' | '.join(shown)}")
    logger.info("dataset: %d labelled cases in %s", len(cases), folder)
    return [{**case, "stamp": row["stamp"]} for case, row in zip(cases, rows, strict=True)]


def _dataset_json(folder: Path) -> dict[str, Any]:
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


def _channels(content: dict[str, Any]) -> list[str]:
    names = content["channel_names"] if "channel_names" in content else content["modality"]
    return [str(name) for name in names.values()]


def _with_background(labels: dict[str, int]) -> dict[str, int]:
    return {"background": 0} | {name.lower(): value for name, value in labels.items()}


def _label_problems(
    content: dict[str, Any], labels: dict[str, int], regions: dict[str, int | list[int]]
) -> Iterator[str]:
    stated: dict[str, Any] = {}
    for key, value in content["labels"].items():
        name, number = (value, int(key)) if isinstance(value, str) and key.isdigit() else (key, value)
        if not all(isinstance(n, int) for n in (_values(number) if regions else [number])):
            one = (
                "a whole number, or a list of them for a region" if regions else "one whole number, as without regions"
            )
            yield f"has the label {name} of {number}: expected {one}"
            return
        stated[name] = number
    knob, wanted = "labels", dict[str, Any](labels)
    if any(isinstance(number, list) for number in stated.values()):
        knob, wanted = "regions", dict[str, Any](regions)
    if _comparable(stated) != _comparable(wanted):
        yield f"has the labels {stated}, the bundle has {wanted}: give --{knob} as in the dataset, or another dataset"


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _comparable(labels: dict[str, Any]) -> dict[str, list[Any]]:
    """Names of labels or regions without regard to case, with sorted values."""
    return {"background": [0]} | {name.lower(): sorted(_values(value)) for name, value in labels.items()}


def _channel_problems(content: dict[str, Any], channels: list[str]) -> Iterator[str]:
    stated = _channels(content)
    if len(stated) != len(channels):
        yield f"has the channels {stated}, the bundle has {channels}: their number must agree, give other --channels"
    elif [name.lower() for name in stated] != [name.lower() for name in channels]:
        logger.warning("the dataset's channels are called %s, the bundle's %s: are they the same?", stated, channels)


def _msd_cases(folder: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    path = folder / "dataset.json"
    entries = content["training"]
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
    ending, num_channels = content["file_ending"], len(_channels(content))
    images = nnunet_images(folder / "imagesTr", ending, num_channels)
    labels = {path.name.removesuffix(ending) for path in (folder / "labelsTr").glob(f"[!.]*{ending}")}
    if not images and not labels:
        raise InputError(f"{folder} has no imagesTr/<case>_0000{ending} and no labelsTr/<case>{ending}: add cases")
    for case in labels - images.keys():  # the image that ought to be there is reported as missing
        images[case] = [f"{folder}/imagesTr/{case}_{channel:04d}{ending}" for channel in range(num_channels)]
    return [
        {"case": case, "image": files if len(files) > 1 else files[0], "label": f"{folder}/labelsTr/{case}{ending}"}
        for case, files in sorted(images.items())
    ]


def _problems(case: dict[str, Any], allowed: dict[str, int], num_channels: int) -> Iterator[str]:
    """Yield what is wrong with one case, each in one line."""
    paths = {**dict.fromkeys(as_list(case["image"]), "image"), case["label"]: "label"}
    missing = [f"the {kind} {path} is missing" for path, kind in paths.items() if not os.path.exists(path)]
    if missing:
        yield f"case {case['case']}: {' and '.join(missing)}"
        return
    try:
        image, label = read_scan(case["image"]), read_scan(case["label"])
    except InputError as error:
        yield f"case {case['case']}: {error}"
        return
    problems = [*form_problems("image", image, num_channels), *form_problems("label", label, 1)]
    problems += [*value_problems(image), *_label_values(label, allowed)]
    if image.ndim == label.ndim == 4:
        problems += _grid(image, label)
    yield from (f"case {case['case']}: {problem}" for problem in problems)


def _label_values(label: MetaTensor, allowed: dict[str, int]) -> Iterator[str]:
    voxels = label.as_tensor()
    odd = voxels[~torch.isin(voxels, torch.tensor(sorted(allowed.values()), dtype=voxels.dtype))]
    if not len(odd):
        return
    value = float(odd[0])
    if value.is_integer():
        yield f"the label has the value {value:g}, allowed are {allowed}: correct the label, or give other --labels"
    else:
        yield f"the label has the value {value:g}, which is not a whole number: resample labels by nearest neighbour"


def _grid(image: MetaTensor, label: MetaTensor) -> Iterator[str]:
    """Compare the voxel grids of image and label, by shape and by where their corners lie."""
    sizes = [tuple(scan.shape[1:]) for scan in (image, label)]
    if sizes[0] != sizes[1]:
        yield f"the image has {sizes[0]} voxels, the label {sizes[1]}: both must lie on one grid, resample the label"
        return
    affines = image.affine.numpy(), label.affine.numpy()
    if not is_one_grid(*affines, sizes[0]):
        shift = corner_shift(*affines, sizes[0])
        yield f"the label lies {shift:.2f} mm beside the image: give both the same affine, or resample the label"
