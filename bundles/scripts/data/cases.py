"""A labelled dataset in MSD or nnU-Net raw layout, checked at the border against what the bundle segments."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import absolute
from .case_checks import grid_problems, label_problems
from .code import judging_code
from .dataset_json import IGNORED, listed_cases, names_ignored, read_dataset_json, stated_channels, stated_labels
from .reading import as_list, read_scan
from .scan_checks import constant_problems, form_problems, header_problems, value_problems
from .verdicts import judge_all

logger = logging.getLogger(__name__)


def labelled_cases(
    dataset_dir: str | Path,
    labels: dict[str, int],
    channels: list[str] | dict[str, str],
    account: str | Path | None = None,
    regions: dict[str, int | list[int]] | None = None,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> list[dict[str, Any]]:
    """List the training cases of a dataset once every one of them is known to fit together and to fit the bundle.

    Args:
        dataset_dir: folder with a `dataset.json`, in Medical Segmentation Decathlon or nnU-Net raw layout.
        labels: the bundle's labels, name to value; names are compared without regard to case.
        channels: the bundle's input channels; their number must agree, other names are only warned of.
        account: CSV file that keeps the verdict on every case, so that unchanged cases are not read again.
        regions: the bundle's regions, name to label values, if it has any; a dataset may state them for its labels.
        spacing: in mm, to which the cases are resampled.

    Returns:
        One `{"case": name, "image": path, "label": path, "stamp": text}` per case, sorted by case; `image` is a list
        for a case of several channel files, and `stamp` changes when a file does.

    Raises:
        InputError: a label's value is not from 0 to 255, the dataset is missing, malformed or for other labels, or a
            case is unfit: missing, unreadable, of another shape or position than its label, not 3D, of a size that
            cannot be, not finite, or with an unknown label value.
    """
    folder = absolute(dataset_dir)
    content = read_dataset_json(folder)
    channels = list(channels.values()) if isinstance(channels, dict) else channels
    if large := {name: value for name, value in labels.items() if value not in range(256)}:
        raise InputError(f"labels have {large}: segmentations are files of 8 bits, give values from 0 to 255")
    unknown = {value for values in (regions or {}).values() for value in _values(values)} - set(labels.values())
    if unknown:
        raise InputError(f"regions {regions} have the values {sorted(unknown)}, allowed are {labels}: correct regions")
    problems = [*_label_problems(content, labels, regions or {}), *_channel_problems(content, channels)]
    if problems:
        raise InputError(" | ".join(f"{folder / 'dataset.json'} {problem}" for problem in problems))
    cases = listed_cases(folder, content)
    allowed = _with_background(labels)

    def judge(case: dict[str, Any]) -> str:
        return "; ".join(_problems(case, allowed, len(channels), spacing))

    code = judging_code("cases.py", "case_checks.py", "scan_checks.py")
    rule = f"{len(channels)} channels, label values {sorted(allowed.values())}, spacing {list(spacing)}, code {code}"
    rows = judge_all(cases, judge, rule, account, words=("valid", "invalid"))
    reasons = [row["reason"] for row in rows if row["reason"]]
    if len(reasons) == 1:
        raise InputError(reasons[0])
    if reasons:
        shown = [*reasons[:3], *([f"all of them are in {account}"] if account else [])]
        raise InputError(f"{len(reasons)} of {len(cases)} cases of {folder} have problems: {' | '.join(shown)}")
    logger.info("dataset: %d labelled cases in %s", len(cases), folder)
    return [{**case, "stamp": row["stamp"]} for case, row in zip(cases, rows, strict=True)]


def _with_background(labels: dict[str, int]) -> dict[str, int]:
    return {"background": 0} | {name.lower(): value for name, value in labels.items()}


def _label_problems(
    content: dict[str, Any], labels: dict[str, int], regions: dict[str, int | list[int]]
) -> Iterator[str]:
    stated = stated_labels(content)
    if names_ignored(stated):
        yield f"has {IGNORED}"
        return
    for name, number in stated.items():
        if not all(isinstance(n, int) for n in (_values(number) if regions else [number])):
            one = (
                "a whole number, or a list of them for a region" if regions else "one whole number, as without regions"
            )
            yield f"has the label {name} of {number}: expected {one}"
            return
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
    stated = stated_channels(content)
    if len(stated) != len(channels):
        yield f"has the channels {stated}, the bundle has {channels}: their number must agree, give other --channels"
    elif [name.lower() for name in stated] != [name.lower() for name in channels]:
        logger.warning("the dataset's channels are called %s, the bundle's %s: are they the same?", stated, channels)


def _problems(
    case: dict[str, Any], allowed: dict[str, int], num_channels: int, spacing: Sequence[float]
) -> Iterator[str]:
    """Yield what is wrong with one case, each in one line; raise if it cannot be read."""
    paths = {**dict.fromkeys(as_list(case["image"]), "image"), case["label"]: "label"}
    missing = [f"the {kind} {path} is missing" for path, kind in paths.items() if not os.path.exists(path)]
    if missing:
        yield f"case {case['case']}: {' and '.join(missing)}"
        return
    try:
        image, label = read_scan(case["image"]), read_scan(case["label"])
    except InputError as error:
        raise InputError(f"case {case['case']}: {error}") from error
    problems = [*form_problems("image", image, num_channels), *form_problems("label", label, 1)]
    problems += [*value_problems(image), *constant_problems(image), *label_problems(label, allowed)]
    problems += header_problems(image, spacing) if image.ndim == 4 else []
    if image.ndim == label.ndim == 4:
        problems += grid_problems(image, label)
    yield from (f"case {case['case']}: {problem}" for problem in problems)
