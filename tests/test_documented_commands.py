"""Every `monai.bundle run`, tool and benchmark that a page tells must exist, with the options it is given."""

import inspect
import re
import runpy
import shlex
from itertools import takewhile
from pathlib import Path

import pytest

from scripts.command_line import check_settings
from scripts.flags import flags
from tools.overrides import effective_config
from tools.prepare.cards import dataset_module, downloads
from tools.project import ROOT, bundle_names

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CARDS = [ROOT / "bundles" / name / "docs" / "README.md" for name in bundle_names(ROOT)]
MADE_BY_THE_READER = ("all_cases.json",)
EXAMPLE = ROOT / "bundles" / "hippocampus_segmentation"  # of pages that speak of any bundle
BLOCK = r"```bash\n(.*?)```"
TOOL = r"(?:tools|benchmarks)\."


def commands(page: Path) -> list[dict]:
    """Return the options of each `monai.bundle run` on a page; what stands in angle brackets is the reader's."""
    found = (re.search(r"-m monai\.bundle run (.*)", line) for line in command_lines(page))
    plain = (re.sub(r"<[^>]*>|\$\{?(?:arm|seed)\}?", "X", words[1]).rstrip("& ") for words in found if words)
    return [flags(shlex.split(words)) for words in plain]


def command_lines(page: Path) -> list[str]:
    """Return the lines of a page's shell blocks, continued ones as one, without comments."""
    blocks = re.findall(BLOCK, page.read_text(), re.DOTALL)
    return [line.split("  # ")[0] for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def tool_commands(page: Path) -> list[tuple[str, bool]]:
    """Return the modules of tools and benchmarks with their options, and whether all is there, as in a shell block."""
    words = (re.search(rf"-m ({TOOL}.*)", line) for line in command_lines(page))
    whole = [(found[1].split("; ")[0], True) for found in words if found]
    sentences = re.sub(BLOCK, "", page.read_text(), flags=re.DOTALL)
    named = [(found, False) for found in re.findall(rf"`python -m ({TOOL}[^`]*)`", sentences)]
    return [(" ".join(re.sub(r"<[^>]*>", "X", command).split()), is_whole) for command, is_whole in whole + named]


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_and_configs_of_commands_exist(page, monkeypatch):
    base = page.parent.parent if page in CARDS else EXAMPLE
    monkeypatch.chdir(base)
    for given in commands(page):
        listed = given["config_file"] if isinstance(given["config_file"], list) else [given["config_file"]]
        files = [_place(base, file.removeprefix("X/")) for file in listed]
        check_settings(given | {"config_file": [str(file) for file in files if file.name not in MADE_BY_THE_READER]})


TOOLS = sorted({command for page in [*PAGES, *CARDS] for command in tool_commands(page)})


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")  # imported by other tests
@pytest.mark.parametrize(("command", "is_whole"), TOOLS, ids=[command for command, _ in TOOLS])
def test_options_of_tools_exist(command, is_whole, monkeypatch):
    module, *words = shlex.split(command)
    started = []
    monkeypatch.setattr("tools.cli.cli", lambda function, *_, **__: started.append(function))
    monkeypatch.setattr("sys.argv", [module, *words])
    runpy.run_module(module, run_name="__main__")
    function = started[0]
    if isinstance(function, dict):
        function, words = function[words[0]], words[1:]
    values = list(takewhile(lambda word: not word.startswith("--"), words))
    signature = inspect.signature(function)
    bind = signature.bind if is_whole else signature.bind_partial
    given = bind(*values, **flags(words[len(values) :])).arguments
    if "knobs" in given:
        effective_config(given["bundle"], [given["preset"]], given["knobs"])
    if module == "tools.prepare" and given:
        dataset_module(given["dataset"])


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
    assert sum(len(tool_commands(page)) for page in PAGES) > 50 and len(TOOLS) > 60
