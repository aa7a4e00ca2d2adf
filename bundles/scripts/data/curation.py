"""Which scans are fit for pretraining, by the rules of the Spark3D paper (https://arxiv.org/abs/2410.23132, Sec. 2)."""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any

from monai.data.utils import affine_to_spacing

from ..errors import InputError
from .code import judging_code
from .reading import as_list, read_scan, scan_files
from .verdicts import judge_all

logger = logging.getLogger(__name__)


def curate(
    scans: list[dict[str, Any]],
    account: str | Path,
    min_fov_mm: float = 50.0,
    max_spacing_mm: float = 6.5,
    min_file_kb: float = 200.0,
    num_channels: int = 1,
) -> list[dict[str, Any]]:
    """Keep the scans fit for pretraining and write an account of every one kept or dropped, with the reason.

    Dropped are small files, a small field of view, thick slices, and what is unreadable, not 3D, of other channels,
    constant or has NaN or infinite voxels. An interrupted curation goes on where it stopped, and verdicts stand while
    a scan's files, the thresholds and the code that reads and judges stay the same.

    Args:
        scans: dicts with `case` and `image`, as `find_scans` returns them.
        account: CSV file to write: case, path, stamp (see `scripts.data.reading.stamp`), rule, verdict (kept or
            dropped), reason.
        min_fov_mm: smallest field of view in mm that every axis must have.
        max_spacing_mm: largest voxel spacing in mm that any axis may have.
        min_file_kb: smallest size in kB (1000 bytes) of a scan's files together.
        num_channels: channels that every scan must have.

    Returns:
        The kept scans, each with its `stamp`, which changes when a file does.

    Raises:
        InputError: no scan is left.
    """
    rule = f"fov >= {min_fov_mm:g} mm, spacing <= {max_spacing_mm:g} mm, files >= {min_file_kb:g} kB"
    rule += f", {num_channels} channels" if num_channels > 1 else ""

    def judge(scan: dict[str, Any]) -> str:
        return _reason(scan["image"], min_fov_mm, max_spacing_mm, min_file_kb, num_channels)

    rows = judge_all(scans, judge, f"{rule}, code {judging_code('curation.py')}", account, words=("kept", "dropped"))
    kept = [{**scan, "stamp": row["stamp"]} for scan, row in zip(scans, rows, strict=True) if row["verdict"] == "kept"]
    dropped = Counter(row["reason"].split(":")[0] for row in rows if row["verdict"] == "dropped")
    counts = ", ".join(f"{count} {kind}" for kind, count in dropped.most_common()) or "none"
    logger.info("curation: %d of %d scans kept; dropped: %s; account in %s", len(kept), len(scans), counts, account)
    if not kept:
        raise InputError(
            f"curation dropped all {len(scans)} scans, most often for '{dropped.most_common(1)[0][0]}': "
            f"see {account}, then give other scans or loosen the thresholds ({rule})"
        )
    return kept


def _reason(
    image: str | list[str], min_fov_mm: float, max_spacing_mm: float, min_file_kb: float, num_channels: int
) -> str:
    """Return why a scan is dropped as `kind: measured value`, or "" if it is kept; raise if it is unreadable."""
    try:
        kilobytes = sum(os.path.getsize(file) for path in as_list(image) for file in scan_files(path)) / 1000
        if kilobytes < min_file_kb:
            return f"small file: {kilobytes:.1f} kB is under {min_file_kb:g} kB"
        scan = read_scan(image)
    except (InputError, OSError) as error:
        raise InputError(f"unreadable: {error}") from error
    if scan.ndim == 4 and scan.shape[0] != num_channels:
        return f"number of channels: {scan.shape[0]} instead of {num_channels}"
    if scan.ndim != 4:
        return f"not 3D: the array has the shape {' x '.join(map(str, scan.shape[1:]))}, {scan.shape[0]} times"
    spacing = affine_to_spacing(scan.affine).tolist()
    fov = [size * step for size, step in zip(scan.shape[1:], spacing, strict=True)]
    # negated, so that a NaN in the header fails as well
    if not min(fov) >= min_fov_mm:
        return f"field of view: {min(fov):.1f} mm is under {min_fov_mm:g} mm"
    if not max(spacing) <= max_spacing_mm:
        return f"spacing: {max(spacing):.2f} mm is over {max_spacing_mm:g} mm"
    voxels = scan.as_tensor().flatten(1)
    bad = int((~voxels.isfinite()).sum())
    if bad:
        return f"not finite: {bad} voxels are NaN or infinite"
    if (voxels.amin(1) == voxels.amax(1)).any():
        return f"constant: every voxel is {voxels[:, 0].tolist()}"
    return ""
