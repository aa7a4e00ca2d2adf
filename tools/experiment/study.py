"""A study: which networks, initialisations, label budgets and seeds are compared, read from a JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from scripts.errors import InputError

from ..commands import shown

SELF = "self"  # the name under which the training images themselves are the unlabelled scans
MATCHES = ("steps", "flops", "seconds")
KEYS = {
    "datasets": {"bundle", "folder", "knobs"},
    "unlabelled": {"folder", "knobs"},
    "networks": {"configs", "knobs", "pretraining"},
    "initialisations": {"pretrain_on", "knobs", "match"},
    "variants": {"pretraining", "finetuning", "only_for"},
}
NEEDED = {"datasets": {"bundle", "folder"}, "unlabelled": {"folder"}}


@dataclass(frozen=True)
class Study:
    """What to run: every network with every initialisation, variant, budget, seed and fold on every dataset.

    Attributes:
        name: that of its file.
        file: its path, for the commands that repeat it.
        title: what it asks.
        source: the table or section of a paper that it repeats, if any.
        datasets: name to `bundle`, `folder` below the data folder, `knobs`.
        networks: name to `configs` (overlays of the bundle's train.json), `knobs`, and `pretraining` with `bundle`,
            `configs`, `knobs`.
        initialisations: name to `{}` (from scratch), `pretrain_on` ("self": the training images, one of `unlabelled`,
            or a list of these) with `knobs` of the fine-tuning, or `match`: from scratch, longer by what pretraining on
            `pretrain_on` took in "steps", "flops" or "seconds".
        reference: the initialisation with which the others are compared.
        budgets: numbers of labelled cases, nested subsets; None for all.
        subset_per_seed: whether every seed trains on labelled cases of its own, out of the same training part.
        seeds: of pretraining and training alike.
        folds: which fold chooses the checkpoint; the test part is the same for all.
        variants: name to knobs of `pretraining` and `finetuning`, and `only_for`, the initialisations it is for.
        unlabelled: name to `folder` below the data folder and `knobs` of a pretraining on it.
        generated: arguments of `tools.phantoms`, whose phantoms then are the data folder's `phantoms`.
        pretraining_seed: one pretraining of this seed for all seeds; None for one each.
        pictures: number of held-out scans whose reconstruction is drawn after each pretraining.
    """

    name: str
    file: str
    title: str
    datasets: dict[str, dict[str, Any]]
    networks: dict[str, dict[str, Any]]
    initialisations: dict[str, dict[str, Any]]
    source: str = ""
    reference: str = "scratch"
    budgets: list[int | None] = field(default_factory=lambda: [None])
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    folds: list[int] = field(default_factory=lambda: [0])
    variants: dict[str, dict[str, Any]] = field(default_factory=lambda: {"default": {}})
    unlabelled: dict[str, dict[str, Any]] = field(default_factory=dict)
    generated: dict[str, int] | None = None
    pretraining_seed: int | None = None
    subset_per_seed: bool = False
    pictures: int = 1


def sources_of(initialisation: dict[str, Any]) -> list[str]:
    """Return what an initialisation pretrains on, see `Study.initialisations`."""
    given = initialisation.get("pretrain_on", [])
    return given if isinstance(given, list) else [given]


def read_study(path: str | Path) -> Study:
    """Read a study; `extends` names another in the same folder, whose keys it takes over where it has none itself.

    Raises:
        InputError: no such file, no JSON, or an entry that is unknown, missing or contradicts another.
    """
    content = _read(Path(path))
    known = {entry.name for entry in fields(Study)} - {"name", "file"}
    _refuse(path, "", content, known)
    try:
        study = Study(name=Path(path).stem, file=shown(Path(path).resolve()), **content)
    except TypeError as error:
        raise InputError(f"{path} is incomplete: {str(error).split(') ')[-1]}; see docs/experiments.md") from error
    _check(study, path)
    return study


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give a study's JSON file, see studies") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is no JSON ({error}): correct it") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}: a study is a dictionary, see docs/experiments.md")
    base = content.pop("extends", None)
    return content if base is None else _read(path.parent / base) | content


def _check(study: Study, path: str | Path) -> None:
    for group, keys in KEYS.items():
        for name, entry in getattr(study, group).items():
            _refuse(path, f"{group} {name!r}: ", entry, keys, NEEDED.get(group))
    for name, entry in study.networks.items():
        if "pretraining" in entry:
            where = f"networks {name!r}, pretraining: "
            _refuse(path, where, entry["pretraining"], {"bundle", "configs", "knobs"}, {"bundle"})
    if study.reference not in study.initialisations:
        raise InputError(f"{path}: reference {study.reference!r} is none of {list(study.initialisations)}")
    for name, entry in study.initialisations.items():
        sources, match = sources_of(entry), entry.get("match")
        allowed = [SELF, *study.unlabelled]
        for source in sources:
            if source not in allowed:
                raise InputError(f"{path}: initialisation {name!r} pretrains on {source!r}; allowed are {allowed}")
        if match is not None and (match not in MATCHES or not sources):
            raise InputError(f"{path}: initialisation {name!r}: match is one of {list(MATCHES)}, with pretrain_on")
        if sources and any("pretraining" not in network for network in study.networks.values()):
            raise InputError(f"{path}: initialisation {name!r} needs a pretraining bundle for every network")
    for name, entry in study.variants.items():
        unknown = set(entry.get("only_for", [])) - set(study.initialisations)
        if unknown:
            raise InputError(f"{path}: variant {name!r} is only_for {sorted(unknown)}, which are no initialisations")
    if not (study.seeds and study.budgets and study.folds):
        raise InputError(f"{path}: seeds, budgets and folds hold one value at least")


def _refuse(
    path: str | Path, where: str, entry: dict[str, Any], known: set[str], needed: set[str] | None = None
) -> None:
    unknown, missing = sorted(set(entry) - known), sorted((needed or set()) - set(entry))
    if unknown:
        raise InputError(f"{path}: {where}unknown {', '.join(unknown)}; allowed are {', '.join(sorted(known))}")
    if missing:
        raise InputError(f"{path}: {where}{' and '.join(missing)} missing; see docs/experiments.md")
