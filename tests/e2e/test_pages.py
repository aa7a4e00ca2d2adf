"""The catalogue, both reports and the README's pictures in a real browser, on a desktop and on a phone."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.browser import find_browser, look
from tests.tools.conftest import interface, phantoms, runner  # noqa: F401  fixtures
from tests.tools.test_experiment_report import results  # noqa: F401  a fixture
from tools import release
from tools.demo.__main__ import run_demo
from tools.demo.report import report as demo_report
from tools.demo.settings import make_settings
from tools.project import ROOT
from tools.report.__main__ import report as experiment_report

BROWSER = find_browser()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium on the path, or named by the variable CHROMIUM"),
]


@pytest.fixture
def pictures(tmp_path):
    folder = Path(os.environ.get("TEST_ARTEFACTS", tmp_path / "artefacts")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check(page, images, pictures, name=""):
    for width in (1280, 390):
        picture = pictures / f"{name or page.stem}_{width}.png"
        found = look(BROWSER, page, width, picture)
        assert picture.stat().st_size > 5000 and found["images"] >= images and found["width"] == width
        assert not (found["broken"] or found["nameless"] or found["dangling"] or found["refused"])
        assert found["content"] <= width, f"{page.name} is {found['content']} pixels wide in a window of {width}"
        assert all(url.startswith(("http://127.0.0.1:", "data:")) for url in found["loaded"])
        for link in found["links"]:
            assert link.startswith(("#", "http")) or (page.parent / link).is_file(), f"{link} leads nowhere"


def test_catalogue(tmp_path, pictures):
    release.main("spark3d_pretrain", "hippocampus_segmentation", "acdc_segmentation", output_dir=str(tmp_path / "dist"))
    check(tmp_path / "dist" / "index.html", 1, pictures, "catalogue")


def test_demo_report(runner, tmp_path, pictures):  # noqa: F811
    run_demo(make_settings(), tmp_path / "demo", run=runner)
    demo_report(str(tmp_path / "demo"))
    check(tmp_path / "demo" / "report.html", 5, pictures, "demo")


def test_experiment_report(results, tmp_path, pictures):  # noqa: F811
    experiment_report(str(results), str(tmp_path / "page"))
    check(tmp_path / "page" / "report.html", 1, pictures, "experiment")


def test_pictures_of_the_readme(tmp_path, pictures):
    found = re.findall(r"!\[(.+?)\]\((.+?)\)", (ROOT / "README.md").read_text())
    assert found
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    tags = "".join(f'<p><img src="{path}" alt="{alt}" style="max-width:100%"></p>' for alt, path in found)
    (tmp_path / "readme.html").write_text(f"<!DOCTYPE html><title>README</title><main>{tags}</main>")
    check(tmp_path / "readme.html", len(found), pictures)
