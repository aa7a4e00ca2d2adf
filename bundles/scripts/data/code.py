"""Which code came to what is kept on disk, so that verdicts and voxels of another release do not count."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from monai import __version__

FOLDER = Path(__file__).parent
READING = ("../geometry.py", "dicom_files.py", "dicom_stack.py", "reading.py", "scan_reader.py")


def code_digest(paths: Iterable[Path]) -> str:
    """Return a digest of some source files, in this order."""
    return sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def judging_code(*names: str) -> str:
    """Return a digest of the code that reads scans and of these files beside it, which judge them."""
    return code_digest(FOLDER / name for name in (*READING, *names))


def preprocessing_code() -> str:
    """Return a digest of the code that reads scans and of all transforms, with MONAI's version."""
    readers = [FOLDER / name for name in (*READING, "xray_images.py")]
    # not of the transforms in use alone, since they share code with each other
    transforms = sorted((FOLDER.parent / "transforms").glob("*.py"))
    return f"{code_digest([*readers, *transforms])}, MONAI {__version__}"
