"""BraTS-Africa in miniature as TCIA has it: gliomas, one in older numbering, one without label, other neoplasms."""

from __future__ import annotations

from pathlib import Path

from tests.releases.brats import write_case


def write_release(folder: Path, num_cases: int = 8) -> Path:
    """Write the release.

    Args:
        folder: to make.
        num_cases: how many labelled gliomas.

    Returns:
        The folder.
    """
    home = folder / "BraTS-Africa"
    for number in range(1, num_cases + 1):
        write_case(home / "95_Glioma", f"BraTS-SSA-{number:05d}-000", (1, 2, 4) if number == 3 else (1, 2, 3))
    write_case(home / "95_Glioma", "BraTS-SSA-00300-000", (1, 2, 3), labelled=False)
    write_case(home / "51_OtherNeoplasms", "BraTS-SSA-00200-000", (1, 2, 3))
    return folder
