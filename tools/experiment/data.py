"""The data of a study: where it lies, what it is, and lists of the scans that a pretraining may see."""

from __future__ import annotations

import hashlib
from pathlib import Path

from monai.bundle import ConfigParser

from scripts.data import pretraining_scans
from scripts.errors import InputError
from scripts.files import save_json

from ..commands import Knobs, shown
from ..overrides import digest, effective_config
from ..project import ROOT
from .places import Places
from .study import SELF, Study, sources_of

HEAD = 65536  # bytes of a file's beginning that stand for its content, so that terabytes need no reading


def data_digest(folder: Path) -> str:
    """Return a hash of names, sizes and first 64 KiB of all files in a folder, the same on every machine.

    Raises:
        InputError: if the folder is missing or empty.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise InputError(f"{shown(folder)} holds no data: put it there, or name another --data_dir")
    content = hashlib.sha256()
    for path in files:
        content.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size} ".encode(errors="surrogateescape"))
        with path.open("rb") as file:
            content.update(file.read(HEAD))
    return content.hexdigest()[:12]


def list_scans(study: Study, places: Places) -> None:
    """Write the data lists of what is pretrained on where that is not just a folder, see `scans_of`."""
    for sources in (sources_of(entry) for entry in study.initialisations.values()):
        for dataset in study.datasets if sources else ():
            for fold in study.folds:
                scans = scans_of(study, sources, dataset, fold)
                if scans.endswith(".json"):
                    target = places.real(scans)
                    images = [path for s in sources for path in _images(study, s, dataset, fold, places, target)]
                    save_json([{"image": image} for image in images], target)


def scans_of(study: Study, sources: list[str], dataset: str, fold: int) -> str:
    """Return where the scans to pretrain on are: a dataset's folder, or a list of training images or several datasets.

    Args:
        study: whose data.
        sources: as in `pretrain_on`.
        dataset: whose training images "self" means.
        fold: which fold validates.

    Returns:
        A name as `Places.real` takes it.
    """
    if len(sources) == 1 and sources[0] != SELF:
        return f"DATA/{study.unlabelled[sources[0]]['folder']}"
    names = [f"{dataset}-fold{fold}" if source == SELF else source for source in sources]
    entries = [study.datasets[dataset] if source == SELF else study.unlabelled[source] for source in sources]
    return f"OUTPUT/lists/{'+'.join(names)}-{digest(entries)}.json"  # another study's of these names may be others


def _images(study: Study, source: str, dataset: str, fold: int, places: Places, target: Path) -> list[str | list[str]]:
    """Return the scans of an unlabelled dataset, or a fold's training images, divided as the bundle itself does."""
    if source != SELF:
        scans = pretraining_scans(places.data / study.unlabelled[source]["folder"])
        return [scan["image"] for scan in scans]  # the pretraining puts channel files side by side together
    entry = study.datasets[dataset]
    paths: Knobs = {"bundle_root": str(ROOT / "bundles" / entry["bundle"]), "output_dir": str(target.with_suffix(""))}
    paths["dataset_dir"] = str(places.data / entry["folder"])
    config = effective_config(entry["bundle"], [], {**entry.get("knobs", {}), **paths, "fold": fold})
    return [case["image"] for case in ConfigParser(config).get_parsed_content("parts")["train"]]
