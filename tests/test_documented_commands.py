"""Every `monai.bundle run` that a page tells must name settings and configs that exist."""

import re
import shlex
from pathlib import Path

import pytest

from scripts.command_line import check_settings, flags
from tools.prepare.cards import dataset_module, downloads
from tools.project import ROOT, bundle_names

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CARDS = [ROOT / "bundles" / name / "docs" / "README.md" for name in bundle_names(ROOT)]
MADE_BY_THE_READER = ("all_cases.json",)
EXAMPLE = ROOT / "bundles" / "hippocampus_segmentation"  # of pages that speak of any bundle


def commands(page: Path) -> list[dict]:
    """Return the options of the commands on a page; what stands in angle brackets is the reader's."""
    found = []
    for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if words := re.search(r"-m monai\.bundle run (.*)", line.split("  # ")[0]):
                plain = re.sub(r"<[^>]*>|\$\{?(?:arm|seed)\}?", "X", words[1]).rstrip("& ")
                found.append(flags(shlex.split(plain)))
    return found


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_and_configs_of_commands_exist(page, monkeypatch):
    base = page.parent.parent if page in CARDS else EXAMPLE
    monkeypatch.chdir(base)
    for given in commands(page):
        listed = given["config_file"] if isinstance(given["config_file"], list) else [given["config_file"]]
        files = [_place(base, file.removeprefix("X/")) for file in listed]
        check_settings(given | {"config_file": [str(file) for file in files if file.name not in MADE_BY_THE_READER]})


def _place(base: Path, file: str) -> Path:
    return base / file if file.startswith(("configs/", "..")) else ROOT / file


def test_the_first_segmentation_is_of_scans_that_the_line_before_it_fetches():
    block = re.search(r"\*\*Segment at once\.\*\*.*?```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    fetching, segmenting = (shlex.split(line) for line in block.replace("\\\n", " ").splitlines())
    assert fetching[:3] == ["python", "-m", "tools.prepare"] and fetching[-1] == "--download"
    assert downloads(dataset_module(fetching[3]))
    assert flags(segmenting[4:])["dataset_dir"] == f"{flags(fetching[4:-1])['target']}/imagesTr"


def test_there_are_commands_to_check():
    assert sum(len(commands(page)) for page in PAGES) > 15 and all(commands(card) for card in CARDS)
