"""Prepare a public dataset for its bundle; without arguments, list the datasets.

python -m tools.prepare hippocampus --source downloads --target data/hippocampus --download
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.errors import InputError

from ..cli import cli
from .cards import dataset_module, dataset_section, downloads
from .download import fetch
from .listing import list_datasets
from .prepare import prepare
from .unpack import unpack


def run(dataset: str = "", source: str = "", target: str = "", download: bool = False, **options: Any) -> None:
    """Turn a release into one common form (nnU-Net raw) that the dataset's bundle reads.

    Args:
        dataset: its name; "" to list all.
        source: the release's folder, which is only read; with --download the folder to download to.
        target: folder for the prepared dataset; the same command goes on with an interrupted one.
        download: fetch the release first, where that needs no login.
        options: switches of some datasets, such as --trust_headers of ms_flair.

    Raises:
        InputError: something only the user can put right.
    """
    if not dataset:
        print(list_datasets())
        return
    module = dataset_module(dataset)
    if not (source and target):
        raise InputError("give the release's folder as --source and the folder to write as --target")
    if download:
        if not downloads(module):
            card = dataset_section(dataset)
            raise InputError(f"{card['name']} cannot be downloaded without you: {card.get('access', card['licence'])}")
        for wanted in downloads(module):
            unpack(fetch(wanted, Path(source)))
    prepare(dataset, Path(source), Path(target), **options)


if __name__ == "__main__":
    cli(run, resumes=True)
