"""Turn a release into nnU-Net raw layout, case by case, so that an interrupted preparation goes on."""

from __future__ import annotations

import inspect
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from scripts.errors import InputError, check_flags

from ..project import ROOT
from .cards import bundle_of, dataset_module, dataset_section, layout
from .case import Case, Found, Prepared
from .checking import check
from .matching import visible_files
from .raw_layout import is_written, remove_case, remove_descriptions, write_case, write_descriptions
from .record import digest, file_stamps, is_unchanged, preparing_code, read_former, versions, write_record

SECONDS_BETWEEN_WRITES = 10.0
MAX_NAMES = 5  # in an error


def prepare(dataset: str, source: Path, target: Path, root: Path = ROOT, **options: bool) -> None:
    """Write `imagesTr`, `labelsTr`, `dataset.json`, `split.json`, `provenance.json` and `account.csv`.

    Args:
        dataset: name of a module of `tools.prepare.datasets`.
        source: the release as downloaded and unpacked; it is only read.
        target: folder to write; one of an interrupted preparation is gone on with.
        root: project folder, for the card of the dataset's bundle.
        options: switches that the dataset's `find_cases` has.

    Raises:
        InputError: the release is not there or lacks cases that were prepared, or no case of it can be taken.
    """
    module, card = dataset_module(dataset), dataset_section(dataset, root)
    found = _find(module, source, target, options)
    former = read_former(target, dataset)
    _check_none_lost(set(former["cases"]), found, source, target)
    channels, labels = card["channel_names"], card["labels"]
    rule = {"options": options, "channels": channels, "labels": labels, "code": preparing_code(module)}
    known = former["cases"] if all(former.get(key) == value for key, value in rule.items()) else {}
    stamps = {case.name: file_stamps(case, source) for case in found.cases}
    kept = [name for name, stamp in stamps.items() if is_unchanged(known.get(name), stamp)]
    kept = [name for name in kept if is_written(name, len(channels), target)]
    print(f"{card['name']}: {len(found.cases)} cases found, licence: {card['licence']}", flush=True)
    remove_descriptions(target)
    for name in (former["cases"].keys() | stamps.keys() | found.refused.keys()) - set(
        kept
    ):  # also halves of a killed run
        remove_case(name, target)
    record = {
        "dataset": dataset,
        "release": card["name"],
        "reference": card["reference"],
        "licence": card["licence"],
        "bundle": bundle_of(dataset, root),
        **rule,
        "versions": versions(),
        "cases": {name: known[name] for name in kept},
        "refused": dict(found.refused),
    }
    write_record(target, record)
    _take_all(module, [case for case in found.cases if case.name not in kept], source, target, record)
    if record["refused"]:
        print(f"refused {len(record['refused'])}:")
        print(*(f"  {name}: {reason}" for name, reason in record["refused"].items()), sep="\n")
    if not record["cases"]:
        raise InputError(f"no case could be taken: the reasons are above and in {target / 'account.csv'}")
    parts = write_descriptions(card, {name: entry["group"] for name, entry in record["cases"].items()}, target)
    print(
        f"{target}: {len(record['cases'])} cases ({len(kept)} were there already), {len(record['refused'])} refused; "
        f"{len(parts['train'])} to train, {len(parts['test'])} to test"
    )


def _find(module: ModuleType, source: Path, target: Path, options: dict[str, bool]) -> Found:
    """Return the cases of the release; refuse folders and options that cannot be meant."""
    if not source.is_dir():
        raise InputError(f"{source} is not a folder: give the release's folder as --source, or --download it there")
    if target.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{target} lies in the source, which is only read: give a --target outside of {source}")
    allowed = [name for name in inspect.signature(module.find_cases).parameters if name != "source"]
    if unknown := sorted(options.keys() - set(allowed)):
        raise InputError(f"option {unknown[0]} is not known for this dataset: it has {', '.join(allowed) or 'none'}")
    check_flags(**options)
    found: Found = module.find_cases(source, **options)
    if not found.cases:
        archives = [path.name for path in visible_files(source) if path.suffix in (".zip", ".tar", ".tgz")]
        reasons = [f"{name}: {reason}" for name, reason in list(found.refused.items())[:3]]
        reasons += [f"unpack {' and '.join(archives)} first"] if archives else []
        raise InputError(" | ".join([f"{source} has no case to take; expected is {layout(module)}", *reasons]))
    return found


def _check_none_lost(former: set[str], found: Found, source: Path, target: Path) -> None:
    """Refuse another source, or a part of it, for which prepared cases would be removed; by hand they may be."""
    absent = former - {case.name for case in found.cases} - found.refused.keys()
    lost = sorted(name for name in absent if is_written(name, 0, target))
    if lost:
        names = ", ".join(lost[:MAX_NAMES]) + (f" and {len(lost) - MAX_NAMES} more" if lost[MAX_NAMES:] else "")
        raise InputError(
            f"{target} has {len(lost)} prepared cases that {source} does not have ({names}): "
            "give the whole release or another --target, or remove their files from labelsTr and imagesTr first"
        )


def _take_all(module: ModuleType, cases: list[Case], source: Path, target: Path, record: dict[str, Any]) -> None:
    """Prepare cases one after the other; what is finished is on record also when anything interrupts."""
    written = time.monotonic()
    try:
        for number, case in enumerate(cases, start=1):
            try:
                prepared: Prepared = module.read_case(case)
                notes = [*prepared.notes, *check(prepared, record["channels"], record["labels"])]
            except InputError as error:
                record["refused"][case.name] = str(error)
                print(f"[{number}/{len(cases)}] {case.name}: refused, {error}", flush=True)
                continue
            files = file_stamps(case, source)
            for role, path in case.files.items():
                files[role]["sha256"] = digest(path)
            write_case(case.name, prepared, target)
            record["cases"][case.name] = {"group": case.group, "files": files, "notes": notes}
            print(f"[{number}/{len(cases)}] {case.name}: {'; '.join(notes) or 'as it is'}", flush=True)
            if time.monotonic() - written > SECONDS_BETWEEN_WRITES:
                write_record(target, record)
                written = time.monotonic()
    finally:
        record["cases"] = dict(sorted(record["cases"].items()))
        write_record(target, record)
