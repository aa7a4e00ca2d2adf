"""The page that lists release zips: one HTML file beside them, for any web server."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

from scripts.files import save_text

from ..pages import page_templates
from ..project import ROOT
from ..render.card_defaults import completed

TEMPLATES = Path(__file__).parent / "templates"
PICTURES = {  # of the project, by template; a bundle's own `docs/picture.png` comes first
    "pretrain": "selfmedmae_brain.png",
    "pretrain_2d": "selfmedmae_xray.png",
    "segmentation": "overview.png",
    "evaluation": "overview.png",
    "classification": "selfmedmae_xray.png",
}
WIDTH = 720  # of a picture, in pixels


def write_catalogue(folder: Path) -> None:
    """Write `index.html` into a folder of release zips, from nothing but the zips.

    Args:
        folder: of the zips.
    """
    releases = [describe(path) for path in sorted(folder.glob("*.zip"))]
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
        common = ROOT / "docs" / PICTURES.get(card["template"], "")
        picture = archive.read(own) if own in names else common.read_bytes() if common.is_file() else None
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
        "own_picture": own in names,
        "picture": thumbnail(picture) if picture else None,
    }


def thumbnail(png: bytes) -> str:
    """Return a picture as a small JPEG in a data URL."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((WIDTH, WIDTH))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
