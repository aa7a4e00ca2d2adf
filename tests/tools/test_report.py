import base64
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from scripts.errors import InputError
from tests.tools.fake_bundles import DICE, TEST_CASES, save
from tools.curves import read_curves
from tools.demo.__main__ import run_demo
from tools.demo.report import report
from tools.demo.results import read_volume
from tools.demo.settings import make_settings
from tools.demo.tables import compare_arms, reconstruction_words

FIGURES = {"overview", "pretraining_curves", "segmentation_curves", "reconstructions", "segmentations"}


class Page(HTMLParser):
    """Tables by id as lists of rows of texts, addresses, and the text outside of style sheets."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.addresses, self.text, self.tags = {}, [], "", []
        self.rows, self.in_cell = None, False
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.addresses += [attributes[key] for key in ("src", "href", "srcset", "action", "data") if key in attributes]
        if tag == "table":
            self.rows = self.tables[attributes["id"]] = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data):
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    return tmp_path_factory.mktemp("report") / "demo"


@pytest.fixture
def demo(finished, runner, tmp_path):
    """A complete demo, a copy of its own for every test."""
    run_demo(make_settings(), finished, run=runner)
    return shutil.copytree(finished, tmp_path / "demo")


def page_of(demo):
    report(str(demo))
    return Page((demo / "report.html").read_text())


def test_tables_hold_the_numbers_of_the_files(demo):
    tables = page_of(demo).tables
    rows = {(row[0], row[1]): row for row in tables["cases"]}
    for i, case in enumerate(TEST_CASES):
        for name in ("Anterior", "Posterior"):
            row = rows[case, name]
            assert row[2:4] == [f"{DICE[arm][name][i]:.3f}" for arm in ("finetuned", "scratch")]
            assert row[6] == ("–" if i else "1.25")
    summary = {row[0]: row for row in tables["summary"]}
    assert summary["mean of the classes"][1].startswith("0.775")
    assert summary["mean of the classes"][2].startswith("0.765")
    assert summary["Anterior"][1].startswith("0.820 ± 0.014")
    scans = {row[0]: row for row in tables["reconstruction"]}
    assert scans["phantom_001"] == ["phantom_001", "4321", "0.312", "0.900", "0.500"]
    assert scans["mean"][2:] == ["0.362", "0.900", "0.500"]


def test_words_name_the_higher_arm_and_what_it_does_not_prove(demo):
    text = " ".join(page_of(demo).text.split())
    assert "fine-tuned from the pretrained weights has the higher mean Dice, 0.775 against 0.765, by 0.010" in text
    assert "ahead in 2 of 2 test cases. Test cases: 2, seeds: 1" in text
    assert "prove little" in text


def test_page_needs_nothing_but_itself(demo):
    page = page_of(demo)
    html = (demo / "report.html").read_text()
    assert page.addresses and all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not re.search(r"(src|href|url\(|@import)\s*=?\s*[\"'(]?\s*(https?:)?//", html)
    assert "script" not in page.tags and "link" not in page.tags


def test_embedded_images_are_the_saved_figures(demo):
    page = page_of(demo)
    embedded = {base64.b64decode(address.split(",", 1)[1]) for address in page.addresses}
    saved = {path.stem: path.read_bytes() for path in (demo / "figures").glob("*.png")}
    assert set(saved) == FIGURES
    assert embedded == set(saved.values())
    assert all(png.startswith(b"\x89PNG") for png in embedded)


def test_commands_and_environment_are_told(demo):
    page = page_of(demo)
    for word in ("torch", "monai", "CPU cores", "--pretrained", "tools.phantoms", "make demo DATA=", "inference.json"):
        assert word in page.text
    assert page.tables["steps"][-1][0] == "total"


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("pretrain_evaluation", "Reconstruction errors are missing: the step “pretrain_evaluation”"),
        ("reconstructions", "Reconstructed scans are missing"),
        ("pretrain/tensorboard", "Curves of the pretraining are missing"),
        ("segmentations", "Segmented test cases are missing"),
    ],
)
def test_what_is_missing_is_told_and_the_rest_shown(demo, lost, told):
    shutil.rmtree(demo / lost)
    page = page_of(demo)
    assert told in page.text
    assert len(page.tables["cases"]) == 2 + 4


def test_one_arm_alone_is_shown_without_comparison(demo):
    shutil.rmtree(demo / "scratch_evaluation")
    page = page_of(demo)
    assert "higher mean Dice" not in page.text
    assert page.tables["cases"][2][2:4] == ["0.810", "–"]


def test_nothing_but_the_settings_still_gives_a_page(demo):
    for path in demo.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    assert page_of(demo).text.count("missing") >= 6


def test_a_folder_without_demo_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no demo"):
        report(str(tmp_path))


def test_words_on_reconstruction_follow_the_numbers():
    def words(network):
        mean = {"mse": network, "mse_mean": 1.0, "mse_interpolation": 0.5}
        return reconstruction_words({"mean": mean, "cases": [{}]})

    assert "60% below that" in words(0.4) and "fills in anatomy" in words(0.4)
    assert "50% above that" in words(0.75) and "interpolation still does better" in words(0.75)
    assert "not learned anything" in words(1.2)


def test_comparison_is_symmetric_in_the_arms():
    def metrics(dice):
        return {"summary": {"mean": {"dsc": {"mean": dice}}}, "cases": [{"case": "a", "class": "x", "dsc": dice}]}

    assert "trained from scratch has the higher mean Dice, 0.900 against 0.800" in compare_arms(
        metrics(0.8), metrics(0.9)
    )
    assert "ahead in 0 of 1" in compare_arms(metrics(0.8), metrics(0.9))
    assert "Both arms reach a mean Dice of 0.800" in compare_arms(metrics(0.8), metrics(0.8001))


def test_a_right_empty_answer_is_ahead_of_an_invented_one():
    def metrics(healthy):
        rows = [{"case": case, "class": "x", "dsc": dice} for case, dice in (("ill", 0.8), ("healthy", healthy))]
        mean = 0.8 if healthy is None else (0.8 + healthy) / 2
        return {"summary": {"mean": {"dsc": {"mean": mean}}}, "cases": rows}

    assert "ahead in 0 of 2" in compare_arms(metrics(0.0), metrics(None))
    assert "ahead in 1 of 2" in compare_arms(metrics(None), metrics(0.0))


def test_curves_of_a_resumed_run_take_the_later_value(tmp_path):
    for run, steps in enumerate([range(0, 6), range(3, 10)]):
        with SummaryWriter(str(tmp_path / "tensorboard"), filename_suffix=f".{run}") as writer:
            for step in steps:
                writer.add_scalar("train_loss", 100 * run + step, step, walltime=1000 * run + step)
    steps, values = read_curves(tmp_path)["train_loss"]
    assert steps.tolist() == list(range(10))
    assert values.tolist() == [0, 1, 2, *range(103, 110)]


def test_volumes_are_shown_in_one_orientation(tmp_path):
    plain = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    turned = plain[::-1].transpose(1, 2, 0)
    affine = np.array([[0, 0, -2.0, 2], [3, 0, 0, 0], [0, 4, 0, 0], [0, 0, 0, 1]])
    save(turned, affine, tmp_path / "turned.nii.gz")
    volume, spacing = read_volume(str(tmp_path / "turned.nii.gz"))
    np.testing.assert_array_equal(volume, plain)
    assert spacing == (2, 3, 4)
