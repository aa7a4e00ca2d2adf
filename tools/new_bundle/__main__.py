"""Make a bundle for your own labelled data: `python -m tools.new_bundle my_organ --data <folder>`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.data.reading import as_list
from scripts.data.split_lists import PARTS
from scripts.errors import InputError
from scripts.files import absolute, read_json, save_csv, save_json

from ..cli import cli
from ..commands import bundle_command, command_line
from ..memory import bytes_of
from ..project import ROOT
from .card import make_card
from .checks import check
from .faults import EVERY_CASE, Fault, errors_of, table
from .fingerprint import Fingerprint, fingerprint
from .folders import Source, find_source
from .intensity import is_ct
from .measurements import measure_all, measured_rows
from .plan import Plan, make_plan
from .pretrained import read_plan, segments
from .validate import validate
from .write import MEASURED, finish, part_of, place_of, write_bundle, write_dataset_json, write_split


def main(
    name: str,
    data: str,
    memory: str = "8GB",
    pretrained: str | None = None,
    target: str = str(ROOT / "bundles"),
    channels: Any = None,
    labels: Any = None,
    leave_out: bool = False,
    num_workers: int = 0,
) -> None:
    """Check and measure labelled data, choose what a bundle needs to know of them, and write the bundle.

    Args:
        name: folder name of the new bundle.
        data: folder with the data, see docs/own_dataset.md; nothing is written to it.
        memory: what a training step may take, such as 8GB.
        pretrained: model to start from: a checkpoint, bundle folder or bundle zip.
        target: folder that gets the bundle's folder.
        channels: names of the channels in order, `CT` or `[FLAIR,T1w]`; of BIDS the suffixes to take.
        labels: values by name, such as `{liver: 1}`, where no dataset.json has them.
        leave_out: go on without the cases that have errors, instead of stopping.
        num_workers: processes that read the data; 0 reads in this one.
    """
    names = [str(channel) for channel in ([channels] if isinstance(channels, str) else channels or [])]
    available = bytes_of(memory)
    bundle = place_of(name, absolute(target))
    start = read_plan(pretrained) if pretrained else None
    source = find_source(data, names or None)
    if names and source.channels and len(names) != len(source.channels):
        raise InputError(f"--channels names {len(names)}, {source.folder} has {source.channels}: give as many")
    if labels and not (isinstance(labels, dict) and all(isinstance(value, int) for value in labels.values())):
        raise InputError(f"labels is {labels}: give values by name, such as \"{{'liver': 1}}\"")
    stated = {"background": 0, **{str(key): value for key, value in labels.items()}} if labels else source.labels
    print(f"{source.folder}: {source.form}, {len(source.cases)} labelled cases")
    part = part_of(bundle)
    file = part / MEASURED
    file.parent.mkdir(parents=True, exist_ok=True)
    count = len(names or source.channels or []) or len(as_list(source.cases[0]["image"])) if source.cases else 1
    measure_all(source.cases, file, count, num_workers)
    faults = check(source, measured_rows(source.cases, file, count), stated)
    cases = sound_cases(source, faults, leave_out, part)
    chosen = {case["case"] for case in cases}
    rows = ((n, row) for n, row in measured_rows(source.cases, file, count) if row["case"] in chosen)
    found = fingerprint(rows, len(source.cases), count)
    names = names or source.channels or named_channels(found)
    stated = stated or named_labels(found)
    plan = make_plan(found, names, stated, len(source.regions or stated), available, start)
    card = make_card(name, source, found, plan, names, stated)
    write_bundle(part, card)
    save_json(found.summary(), part / "data" / "fingerprint.json")
    listed = len(cases) < len(source.cases) or not source.has_dataset_json
    if listed:
        write_dataset_json(part, source, cases, names, stated)
        if split := own_split(source.folder):
            write_split(part, split, cases)
    validate(part, cases[0])
    finish(part, bundle, card)
    print(account(bundle, found, plan, names))
    print(commands(bundle, None if listed else source.folder, pretrained))


def sound_cases(source: Source, faults: list[Fault], leave_out: bool, part: Path) -> list[dict[str, Any]]:
    """Print what is wrong and return the cases to go on with.

    Raises:
        InputError: if there are errors that leaving out cases does not mend, or that are not to be left out.
    """
    report = part / "data" / "faults.csv"
    columns = ("level", "case", "kind", "text")
    save_csv([{key: getattr(fault, key) for key in columns} for fault in faults], report, columns)
    errors = errors_of(faults)
    if faults:
        print(table(faults))
    bad = {fault.case for fault in errors}
    cases = [case for case in source.cases if case["case"] not in bad]
    if EVERY_CASE in bad or (errors and not leave_out) or not cases:
        remedy = "correct the data" if EVERY_CASE in bad or not cases else "correct them, or give --leave_out True"
        raise InputError(f"{source.folder}: {len(errors)} errors, listed above and in {report}: {remedy}")
    if errors:
        print(f"left out: {len(source.cases) - len(cases)} cases with errors")
    return cases


def named_channels(found: Fingerprint) -> list[str]:
    """Name channels of which nothing is stated: CT by its values, else MRI, and several by number."""
    if len(found.channels) > 1:
        return [f"channel {number}" for number in range(len(found.channels))]
    return ["CT" if is_ct("scan", found.channels[0].hounsfield) else "MRI"]


def named_labels(found: Fingerprint) -> dict[str, int]:
    """Name label values of which nothing is stated."""
    values = [value for value in found.voxels if value]
    return {"background": 0} | ({"target": 1} if values == [1] else {f"label {value}": value for value in values})


def account(bundle: Path, found: Fingerprint, plan: Plan, channels: list[str]) -> str:
    """Return what was found and chosen, in words."""
    return "\n".join(
        [
            f"channels: {', '.join(channels)}; intensities: {plan.normalization}",
            f"voxels: {plan.spacing} mm, then the median image has {plan.shape}",
            f"network: {plan.network} ({plan.size}), patch {plan.patch_size}, batch {plan.batch_size}",
            f"a training step takes about {plan.peak_gib:g} GiB in float32, less in mixed precision",
            f"written and tried: {bundle}",
        ]
    )


def own_split(folder: Path) -> Path | None:
    """Return the file by which the data are divided into training and test cases already, if there is one."""
    path = folder / "split.json"
    content = read_json(path) if path.is_file() else None
    return path if isinstance(content, dict) and all(content.get(part) for part in PARTS) else None


def commands(bundle: Path, folder: Path | None, pretrained: str | None) -> str:
    """Return how to train, evaluate and infer, from the project folder.

    Args:
        bundle: its folder.
        folder: of the data, None where the bundle has a list of its own.
        pretrained: model to start from.
    """
    data: dict[str, object] = {"dataset_dir": folder} if folder else {}
    if split := own_split(folder or bundle / "data"):
        data["split"] = split
    start: dict[str, object] = {"pretrained": pretrained} if pretrained else {}
    if pretrained and segments(pretrained):
        start["transfer"] = "encoder+decoder"
    lines = [
        ("train", bundle_command(bundle, ["train"], data | start)),
        ("evaluate", bundle_command(bundle, ["train", "evaluate"], data)),
        ("infer", bundle_command(bundle, ["inference"], {"dataset_dir": "SCANS", "output_dir": "segmentations"})),
    ]
    return "\n".join(f"\n# {title}\n{command_line(command)}" for title, command in lines)


if __name__ == "__main__":
    cli(main, resumes=True)
