"""What the catalogue shows of a bundle: a picture of its own method or none, with what has to be said of it."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tools.catalogue import describe, write_catalogue
from tools.project import ROOT, bundle_names

TONES = "its own true brightness and contrast"
CAPTIONS = {
    "spark3d_pretrain": ("generated phantoms", "Spark3D"),
    "hippocampus_segmentation": ("generated phantoms", "not of this bundle's data"),
    "vit_mae_pretrain": ("brain", TONES),
    "vit_mae_chestxray_pretrain": ("X-ray", TONES, "Wang et al.", "CVPR 2017", "NIH Clinical Center"),
}
WITHOUT = ("nnformer_mae_pretrain", "acdc_segmentation", "btcv_segmentation", "chestxray14_classification")


def packed(name: str, folder: Path, *more: tuple[str, bytes]) -> Path:
    """Write a zip of what the catalogue reads of a bundle."""
    path = folder / f"{name}_v0.1.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in ("card.json", "configs/metadata.json"):
            archive.write(ROOT / "bundles" / name / file, f"{name}/{file}")
        for file, content in more:
            archive.writestr(f"{name}/{file}", content)
    return path


@pytest.mark.parametrize("name", CAPTIONS)
def test_a_picture_is_of_the_method_and_has_its_reservations(name: str, tmp_path: Path) -> None:
    found = describe(packed(name, tmp_path))
    assert found["picture"] and all(words in found["caption"] for words in CAPTIONS[name])


@pytest.mark.parametrize("name", WITHOUT)
def test_a_method_without_a_picture_has_none(name: str, tmp_path: Path) -> None:
    found = describe(packed(name, tmp_path))
    assert found["picture"] is None and found["caption"] == ""


def test_the_reconstructions_are_under_their_own_method_alone(tmp_path: Path) -> None:
    found = {name: describe(packed(name, tmp_path))["caption"] for name in bundle_names(ROOT)}
    shown = {name for name, caption in found.items() if TONES in caption}
    assert shown == {"vit_mae_pretrain", "vit_mae_chestxray_pretrain"}


def test_a_picture_of_the_bundles_own_comes_first(tmp_path: Path) -> None:
    png = io.BytesIO()
    Image.new("L", (8, 8)).save(png, "PNG")
    found = describe(packed("acdc_segmentation", tmp_path, ("docs/picture.png", png.getvalue())))
    assert found["picture"] and found["caption"] == ""


def test_the_page_links_what_the_x_rays_terms_ask_for(tmp_path: Path) -> None:
    packed("vit_mae_chestxray_pretrain", tmp_path)
    write_catalogue(sorted(tmp_path.glob("*.zip")), tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert '<a href="https://nihcc.app.box.com/v/ChestXray-NIHCC"' in page and TONES in page


def test_weights_are_named_with_their_licence(tmp_path: Path) -> None:
    packed("hippocampus_segmentation", tmp_path, ("models/model.pt", b"weights"))
    packed("acdc_segmentation", tmp_path, ("models/model.pt", b"weights"))
    packed("btcv_segmentation", tmp_path)
    write_catalogue(sorted(tmp_path.glob("*.zip")), tmp_path)
    told = re.findall(r"<dt>Weights</dt><dd>(.*?)</dd>", (tmp_path / "index.html").read_text())
    assert told == [
        "included",
        "none yet: train them with the bundle",
        "included (CC BY-SA 4.0, as the data that they were trained on)",
    ]
