"""What a user points at, a file, a folder, a list or a dataset, as a list of scans with unique case names."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import absolute, read_json
from .dicom_files import DICOM_SUFFIXES, dicom_scans, has_frames, is_dicom
from .dicom_stack import read_stack
from .reading import as_image, as_list, channel_files
from .walk import folders_below

logger = logging.getLogger(__name__)

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
LABEL_FOLDERS = ("labelstr", "labelsts", "label", "labels", "mask", "masks", "segmentation", "segmentations")
LABEL_WORDS = {"dseg", "seg", "segmentation", "mask", "msk", "label", "labels", "lesion", "lesionseg", "gt"}
Image = str | list[str]


def find_scans(
    source: str | Path | list, mixed_dicom: bool = False, num_channels: int = 1, results: str | Path | None = None
) -> list[dict[str, Any]]:
    """List the scans behind what the user gave, in the same order on every machine.

    Args:
        source: a scan; a folder, searched recursively, where the DICOM files in a folder are one scan; a folder with a
            `dataset.json` (MSD or nnU-Net raw), of which `imagesTs` is taken or, if that is empty, `imagesTr`; a
            JSON data list, `[{"image": ...}, ...]` or `{"training": [...]}`, with paths relative to its folder; or a
            list of any of these. Below a folder, hidden files are ignored, and labels: in `LABEL_FOLDERS`, or by a name
            that ends in one of `LABEL_WORDS`, such as `a_seg.nii.gz` and `a.seg.nrrd`, or that has one anywhere where
            a file without it lies beside, such as `1-LesionSeg-T1.nii` beside `1-T1.nii`.
        mixed_dicom: let folders with several DICOM series pass, for `curate` to drop them with a reason.
        num_channels: of a case; with several, files `<case>_0000`, `<case>_0001`, ... side by side are one case.
        results: folder where results go, which is not searched for scans.

    Returns:
        One `{"case": name, "image": path}` per scan, sorted by case; `image` is a list for a case of several channel
        files. Case names are file (or DICOM folder) names, and relative paths where those repeat.

    Raises:
        InputError: nothing there, no scan found, a malformed JSON file, a folder with several DICOM series, or results
            that would go beside the scans.
    """
    sources = source if isinstance(source, (list, tuple)) else [source]
    sources = [str(item) if isinstance(item, int) else item for item in sources]  # 4711 on a command line is a number
    images = [image for item in sources for image in but_results(item, _listed(item, Path.cwd()), results)]
    if not images:
        kinds = ", ".join(SUFFIXES)
        raise InputError(f"no scans in {source}: expected files ending in {kinds}, or folders of DICOM files")
    if not mixed_dicom:
        for path in (path for image in images for path in as_list(image) if os.path.isdir(path)):
            read_stack(path)
    images = _by_case(images, num_channels) if num_channels > 1 else images
    images = list({tuple(as_list(image)): image for image in images}.values())
    named = zip(case_names(images), images, strict=True)
    scans = [{"case": case, "image": as_image(as_list(image))} for case, image in named]
    return sorted(scans, key=lambda scan: scan["case"])


def case_names(images: list[Image], suffixes: tuple[str, ...] = (*SUFFIXES, *DICOM_SUFFIXES)) -> list[str]:
    """Name each image by its file, by its relative path where file names repeat, and with suffix where that does.

    Lists of channel files are named without the channel number of nnU-Net.
    """
    firsts = [as_list(image)[0] for image in images]
    root = os.path.commonpath([os.path.dirname(path) for path in firsts])
    relative = [os.path.relpath(path, root).replace(os.sep, "_") for path in firsts]
    levels: list[list[str]] = [
        [_case(os.path.basename(path), image, suffixes) for path, image in zip(firsts, images, strict=True)],
        [_case(path, image, suffixes) for path, image in zip(relative, images, strict=True)],
        relative,
    ]
    level = [0] * len(images)
    while True:
        names = [levels[depth][index] for index, depth in enumerate(level)]
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if not repeated:
            return names
        for alike in ([index for index, name in enumerate(names) if name == again] for again in repeated):
            shallowest = min(level[index] for index in alike)
            if shallowest == len(levels) - 1:
                raise InputError(f"{firsts[alike[0]]} and {firsts[alike[1]]} would be one case: rename one of them")
            for index in alike:
                level[index] += level[index] == shallowest


def stem(name: str, suffixes: tuple[str, ...] = SUFFIXES) -> str:
    """Return a file's name or path without the suffix that it ends in, of these the longest, in whatever case."""
    suffix = max((suffix for suffix in suffixes if name.lower().endswith(suffix)), key=len, default="")
    return name[: len(name) - len(suffix)]


def without_channel(name: str) -> str:
    """Return the case of a file of nnU-Net's naming, whose number of the channel is dropped: `case_0001` to `case`."""
    return re.sub(r"_\d{4}$", "", name)


def nnunet_images(folder: Path, ending: str, num_channels: int) -> dict[str, list[str]]:
    """Return the channel files of each nnU-Net raw case in order; a file that ought to exist may be missing.

    Args:
        folder: `imagesTr` or `imagesTs`, with files `<case>_<channel, four digits><ending>`.
        ending: the dataset's `file_ending`, such as `.nii.gz`.
        num_channels: how many channels the dataset declares.
    """
    counts: dict[str, int] = {}
    for name in sorted(os.listdir(folder)) if folder.is_dir() else []:
        if found := re.fullmatch(rf"([^.].*)_(\d{{4}}){re.escape(ending)}", name):
            counts[found[1]] = max(counts.get(found[1], num_channels), int(found[2]) + 1)
    return {case: [f"{folder}/{case}_{c:04d}{ending}" for c in range(count)] for case, count in counts.items()}


def one_image(value: Any, base: Path, context: str) -> Image:
    """Return the image of a data list's entry with absolute paths, without looking whether they exist.

    Raises:
        InputError: the value is neither a path nor a list of paths (the channel files).
    """
    if isinstance(value, str):
        return os.path.abspath(base / value)
    if isinstance(value, list) and value and all(isinstance(path, str) for path in value):
        return [os.path.abspath(base / path) for path in value]
    raise InputError(f"{context} has the entry {value!r} where a path, or a list of channel files, is expected")


def _listed(item: Any, base: Path) -> list[Image]:
    if isinstance(item, (str, Path)):
        return _found(absolute(item, base))
    image = one_image(item.get("image") if isinstance(item, dict) else item, base, "the data list")
    for path in as_list(image):
        if _found(Path(path)) != [path]:
            raise InputError(f"{path} is not one scan: an entry of a data list names a file or a folder of DICOM files")
    return [image]


def but_results(item: Any, images: list[Image], results: str | Path | None) -> list[Image]:
    """Leave out what lies in the folder of results, if that is below a folder that was searched.

    Args:
        item: where the images were found.
        images: their paths.
        results: where results go, None if nobody knows.

    Raises:
        InputError: if results would go right among the images.
    """
    if results is None or not isinstance(item, (str, Path)):
        return images
    folder, place = absolute(item), absolute(results)
    if folder == place and not (folder / "dataset.json").is_file():
        raise InputError(
            f"results would go among the scans in {folder} and be taken for scans: give another output_dir"
        )
    if not place.is_relative_to(folder) or folder == place:
        return images
    return [image for image in images if not Path(as_list(image)[0]).is_relative_to(place)]


def _found(path: Path) -> list[Image]:
    if path.is_dir():
        return _dataset(path) if (path / "dataset.json").is_file() else list(_walk(path))
    if not path.exists():
        raise InputError(f"{path} does not exist: give a scan, a folder of scans or a JSON data list")
    if path.name.endswith(".json"):
        content = read_json(path)
        entries = content.get("training") if isinstance(content, dict) else content
        if not isinstance(entries, list):
            raise InputError(f'{path} is no data list: expected [{{"image": path}}, ...] or {{"training": [...]}}')
        return [image for entry in entries for image in _listed(entry, path.parent)]
    if path.name.lower().endswith(SUFFIXES):
        return [str(path)]
    if is_dicom(str(path)):
        if has_frames(str(path)):
            return [str(path)]
        raise InputError(f"{path} is one slice of a DICOM series: give the folder of its series, {path.parent}")
    raise InputError(f"{path} is not a scan: known are {', '.join(SUFFIXES)}, folders of DICOM files and JSON lists")


def _dataset(folder: Path) -> list[Image]:
    return part_images(folder, "imagesTs") or part_images(folder, "imagesTr")


def part_images(folder: Path, part: str) -> list[Image]:
    """Return the images in a part, such as `imagesTs`, of a folder with a `dataset.json`; none if it is not there."""
    content = read_json(folder / "dataset.json")
    nnunet = isinstance(content, dict) and "file_ending" in content
    if not (folder / part).is_dir():
        return []
    return _nnunet(folder / part, content) if nnunet else [*_walk(folder / part)]


def _nnunet(folder: Path, content: dict) -> list[Image]:
    cases = nnunet_images(folder, str(content["file_ending"]), len(content.get("channel_names", "1")))
    missing = [path for files in cases.values() for path in files if not os.path.exists(path)]
    if missing:
        raise InputError(f"{missing[0]} is missing: every case needs all channels that dataset.json names")
    return list(cases.values())


def _walk(folder: Path) -> Iterator[str]:
    labels = []
    for root, files in folders_below(folder, left_out=LABEL_FOLDERS):
        scans = {name: _words(stem(name)) for name in files if name.lower().endswith(SUFFIXES)}
        beside = list(scans.values())
        for name, words in scans.items():
            path = os.path.join(root, name)
            others = [word for word in words if word not in LABEL_WORDS]
            if words[-1] in LABEL_WORDS or (others != words and others in beside):
                labels.append(path)
            else:
                yield path
        yield from dicom_scans(root)
    if labels:
        logger.info("%d files are named as labels and left out, such as %s", len(labels), labels[0])


def _words(name: str) -> list[str]:
    return re.split(r"[._-]", name.lower())


def _by_case(images: list[Image], num_channels: int) -> list[Image]:
    """Put the channel files of each case together, in nnU-Net's naming, where none is missing."""
    files = {image for image in images if isinstance(image, str)}
    grouped: list[Image] = []
    for image in images:
        channels = channel_files(image, num_channels) if isinstance(image, str) else []
        if not channels or not files.issuperset(channels):
            grouped.append(image)
        elif image == channels[0]:
            grouped.append(channels)
    return grouped


def _case(name: str, image: Image, suffixes: tuple[str, ...]) -> str:
    case = stem(name, suffixes)
    return without_channel(case) if isinstance(image, list) else case
