"""What is wrong with a dataset: the faults of single cases, and those that only show between cases."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scripts.data.scans import stem, without_channel
from scripts.files import read_json

from .faults import EVERY_CASE, Fault
from .fingerprint import HOUNSFIELD_MIN
from .folders import Source
from .measure import Row


def check(source: Source, rows: Iterable[tuple[int, Row]], labels: dict[str, int] | None) -> list[Fault]:
    """Find all faults.

    Args:
        source: the dataset.
        rows: of all its cases, in any order.
        labels: values by name that the label maps may have; None takes what is there.

    Returns:
        Faults, sorted by case and kind.
    """
    faults = [*source.faults, *_split_faults(source)]
    digests: dict[str, list[str]] = defaultdict(list)
    air: dict[str, list[bool]] = {}
    values: dict[int, list[str]] = defaultdict(list)  # a few cases of each label value, as examples
    for _, row in rows:
        case, measured = row["case"], row["measured"]
        faults += [Fault(case, kind, text) for kind, text in row["faults"]]
        if measured is None:
            continue
        digests[measured["digest"]].append(case)
        air[case] = [channel["min"] <= HOUNSFIELD_MIN for channel in measured["channels"]]
        for value in (float(text) for text in measured["classes"]):
            if value.is_integer() and len(values[int(value)]) < 3:
                values[int(value)].append(case)
            if labels is not None and value.is_integer() and int(value) not in {0, *labels.values()}:
                text = f"the label has the value {value:g}, allowed are {labels}: correct it, or give other --labels"
                faults.append(Fault(case, "label ids", text))
    faults += [*_duplicates(digests), *_mixed(air), *_id_faults(values, labels)]
    return sorted(set(faults), key=lambda fault: (fault.case, fault.kind, fault.text))


def _duplicates(digests: dict[str, list[str]]) -> Iterator[Fault]:
    for cases in digests.values():
        first, *others = sorted(cases)
        for case in others:
            text = f"the image is voxel for voxel that of {first}: in training and test at once it falsifies scores"
            yield Fault(case, "duplicate", f"{text}, remove one")


def _mixed(air: dict[str, list[bool]]) -> Iterator[Fault]:
    """Yield the cases of which a channel looks like CT where most look like something else, or the other way."""
    for channel in range(max((len(looks) for looks in air.values()), default=0)):
        looks = {case: flags[channel] for case, flags in air.items() if channel < len(flags)}
        usual = 2 * sum(looks.values()) > len(looks)
        found, others = ("no value", "values") if usual else ("values", "none")
        for case, look in looks.items():
            if look != usual:
                text = f"channel {channel} has {found} below {HOUNSFIELD_MIN:g}, most others have {others}: "
                yield Fault(case, "mixed modalities", text + "is it of another modality, such as CT among MRI?")


def _id_faults(values: dict[int, list[str]], labels: dict[str, int] | None) -> Iterator[Fault]:
    ids = sorted({0, *(values if labels is None else labels.values())})
    if len(ids) == 1 or not set(values) - {0}:
        if values:
            yield Fault(EVERY_CASE, "no foreground", "no label map has anything but background: label some voxels")
        return
    wrong = [value for value in ids if value < 0] or sorted(set(range(ids[-1] + 1)) - set(ids))
    if wrong:
        of_data = "the label maps have" if labels is None else "the labels stated are"
        but = "which may not be negative" if wrong[0] < 0 else f"without {_short(wrong)}"
        remedy = "renumber them 0, 1, 2, ... without gaps"
        remedy += ", or name all by --labels if these are only rare" if labels is None else ""
        yield Fault(EVERY_CASE, "label ids", f"{of_data} the values {_short(ids)}, {but}: {remedy}")
    if labels is not None:
        for name, value in labels.items():
            if value and value not in values:
                yield Fault(EVERY_CASE, "absent class", f"no label map has {name} ({value}): it cannot be learnt")


def _split_faults(source: Source) -> Iterator[Fault]:
    """Yield cases that stand in two parts of a split, by list or by folder."""
    for file, parts in _lists(source.folder):
        counts = Counter(case for names in parts.values() for case in set(names))
        for case in sorted(case for case, count in counts.items() if count > 1):
            named = ", ".join(part for part, names in parts.items() if case in names)
            yield Fault(case, "two splits", f"{file} has it in {named}: keep it in one")
    test = {_case(path) for path in (source.folder / "imagesTs").glob("[!.]*")}
    for case in sorted(test & {case["case"] for case in source.cases}):
        yield Fault(case, "two splits", "it is in imagesTs too: keep it in one")


def _lists(folder: Path) -> Iterator[tuple[str, dict[str, list[str]]]]:
    for path in (folder / "split.json", folder / "splits_final.json"):
        if path.is_file():
            content: Any = read_json(path)
            for number, parts in enumerate(content if isinstance(content, list) else [content]):
                where = f"{path.name}, fold {number}," if isinstance(content, list) else path.name
                yield (
                    where,
                    {part: list(map(case_of, names)) for part, names in parts.items() if isinstance(names, list)},
                )


def case_of(entry: Any) -> str:
    """Return the case of a list's entry: a name, or the image of a dictionary as in a data list."""
    return _case(Path(str(entry["image"]))) if isinstance(entry, dict) and "image" in entry else str(entry)


def _case(path: Path) -> str:
    return without_channel(stem(path.name))


def _short(values: list[int]) -> str:
    return ", ".join(map(str, values[:10])) + (f", ... ({len(values)})" if len(values) > 10 else "")
