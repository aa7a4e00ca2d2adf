"""What of a bundle differs from its card, and how it is put right."""

from __future__ import annotations

from pathlib import Path

from scripts.errors import InputError
from scripts.files import save_text

from ..project import ROOT
from .bundle import render


def differences(name: str, root: Path = ROOT) -> dict[str, str | None]:
    """Compare a bundle with what its card says now.

    Args:
        name: folder of the bundle.
        root: project folder.

    Returns:
        Every path inside the bundle that is missing or stale, with the text it should have, or None for the link
        `scripts`.

    Raises:
        InputError: if there is a config or split that its card does not ask for, written by hand or of a former card,
            or a copy where the link `scripts` should be.
    """
    bundle = root / "bundles" / name
    files = render(name, root)
    wrong: dict[str, str | None] = {}
    for path, text in files.items():
        if not (bundle / path).is_file() or (bundle / path).read_text() != text:
            wrong[path] = text
    present = sorted(
        path.relative_to(bundle).as_posix()
        for folder in ("configs", "splits")
        for path in bundle.glob(f"{folder}/*.json")
    )
    if unasked := [path for path in present if path not in files]:
        raise InputError(
            f"bundles/{name}: no card asks for {', '.join(unasked)}: put it under the card's presets (or splits), or "
            "remove it"
        )
    scripts = bundle / "scripts"
    if scripts.exists() and not scripts.is_symlink():
        raise InputError(
            f"bundles/{name}/scripts is a copy, as releases have it: remove it, and a link to bundles/scripts will "
            "take its place"
        )
    if not scripts.is_symlink():
        wrong["scripts"] = None
    return wrong


def apply(changes: dict[str, str | None], bundle: Path) -> None:
    """Bring a bundle up to date.

    Args:
        changes: what `differences` found.
        bundle: the bundle's folder.
    """
    for path, text in changes.items():
        if text is not None:
            save_text(text, bundle / path)
        else:
            (bundle / path).symlink_to("../scripts")
