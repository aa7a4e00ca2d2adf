"""The page that lists release zips: one HTML file beside them, for any web server."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.files import save_text

from ..pages import page_templates
from ..project import ROOT
from ..render.card_defaults import completed

TEMPLATES = Path(__file__).parent / "templates"
PHANTOMS = (
    "overview.png",
    "An example of the method, not of this bundle's data: generated phantoms, made by `make demo`, which pretrains by "
    "Spark3D and fine-tunes the residual-encoder U-Net. Contours: solid the prediction, dashed the reference.",
)
TONES = "a few minutes on a CPU; each hidden patch is shown with its own true brightness and contrast."
BRAIN = ("selfmedmae_brain.png", f"A held-out brain (OpenNeuro ds002748, CC0), restored after {TONES}")
XRAY = (
    "selfmedmae_xray.png",
    f"An X-ray, restored after {TONES} From ChestX-ray14 (https://nihcc.app.box.com/v/ChestXray-NIHCC), Wang et al., "
    "ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks on Weakly-Supervised Classification and "
    "Localization of Common Thorax Diseases, CVPR 2017; provided by the NIH Clinical Center.",
)
PICTURES = {  # file and caption, by template and what is pretrained or trained; others have none
    ("pretrain", "resenc"): PHANTOMS,
    ("segmentation", "resenc"): PHANTOMS,
    ("pretrain", "unetr"): BRAIN,
    ("pretrain_2d", "chestxray14_classification"): XRAY,
}
WIDTH = 720  # of a picture, in pixels


def write_catalogue(archives: Sequence[Path], folder: Path) -> None:
    """Write `index.html` beside release zips, from nothing but the zips.

    Args:
        archives: the zips, in the page's order.
        folder: of the zips.
    """
    releases = [describe(path) for path in archives]
    html = page_templates(TEMPLATES).get_template("catalogue.html.j2").render(releases=releases)
    save_text(html, folder / "index.html")


def describe(path: Path) -> dict[str, Any]:
    """Return what the page says of a release zip."""
    content = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        top = names[0].split("/")[0]
        card, metadata = (json.loads(archive.read(f"{top}/{file}")) for file in ("card.json", "configs/metadata.json"))
        own = f"{top}/docs/picture.png"
        picture, caption = (archive.read(own), "") if own in names else picture_of(card)
    return {
        "file": path.name,
        "name": top,
        "card": completed(card, ROOT / "tools" / "templates" / card["template"]),
        "version": metadata["version"],
        "description": metadata["description"],
        "labels": [name for name, value in card["dataset"].get("labels", {}).items() if name != "background" or value],
        "weights": any(name.startswith(f"{top}/models/") for name in names),
        "megabytes": len(content) / 1e6,
        "sha256": hashlib.sha256(content).hexdigest(),
        "picture": thumbnail(picture) if picture else None,
        "caption": caption,
    }


def picture_of(card: dict[str, Any]) -> tuple[bytes | None, str]:
    """Return the project's picture of a bundle's method and what has to be said of it, None and "" where it has none.

    Args:
        card: the bundle's card.
    """
    trained = str(card.get("pretrains", card.get("network")))
    file, caption = PICTURES.get((card["template"], trained), ("", ""))
    return (ROOT / "docs" / file).read_bytes() if file else None, caption


def thumbnail(png: bytes) -> str:
    """Return a picture as a small JPEG in a data URL."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((WIDTH, WIDTH))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
