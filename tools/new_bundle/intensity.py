"""How intensities are normalised: in words, as a checkpoint keeps them, and as the component that does it."""

from __future__ import annotations

import re
from typing import Any

from .fingerprint import Fingerprint

Z_SCORE = "z-score over the non-zero crop, each channel"
Z_SCORE_NONZERO = "z-score of the non-zero voxels, each channel"
WINDOW = re.compile(r"(?:HU from )?(-?[\d.]+) to (-?[\d.]+)(?: HU)? to (?:the range )?0 to 1(?:, clipped)?")
# the windows are of all channels, as in "-160 to 240 HU | none"
STANDARD = re.compile(r"z-score[^,]*(?:, each channel)?(?:, CT clipped: ([^,]*))?")
FILLED = 0.75  # nnU-Net: where a box around the non-zero voxels is smaller, the zeros are no measured values


def chosen(channels: list[str], data: Fingerprint) -> str:
    """Choose by nnU-Net's rules: CT is clipped to the percentiles 0.5 and 99.5 of what is labelled, all else z-scored.

    CT alone is scaled to 0 to 1, CT beside other modalities z-scored as they are.

    Args:
        channels: their names; a CT is recognised by its name, and unnamed channels by their values.
        data: the dataset.

    Returns:
        The normalisation in words.
    """
    ct = [is_ct(name, data.channels[number].hounsfield) for number, name in enumerate(channels)]
    if all(ct):
        low, high = (round(f(getattr(c, key) for c in data.channels)) for f, key in ((min, "low"), (max, "high")))
        if low < high:
            return f"HU from {low} to {high} to the range 0 to 1"
    z_score = Z_SCORE_NONZERO if data.filled < FILLED else Z_SCORE
    limits = [(round(channel.low), round(channel.high)) for channel in data.channels]
    windows = [
        f"{low} to {high} HU" if clipped and low < high else "none"
        for clipped, (low, high) in zip(ct, limits, strict=True)
    ]
    return f"{z_score}, CT clipped: {' | '.join(windows)}" if {*windows} != {"none"} else z_score


def is_ct(name: str, hounsfield: bool) -> bool:
    """Tell a CT by the channel's name; `scan` and the like leave it to the values."""
    if re.fullmatch(r"(channel|scan|image)( ?\d+)?", name, re.IGNORECASE):
        return hounsfield
    return bool(re.search(r"(?<![a-z])ct(?![a-z])", name.lower()))


def component(words: str) -> dict[str, Any] | None:
    """Return the component of a normalisation in words, None where these are not known or say more than it does."""
    if found := WINDOW.fullmatch(words):
        low, high = map(_number, found.groups())
        limits = {"a_min": low, "a_max": high, "b_min": 0.0, "b_max": 1.0, "clip": True}
        return {"_target_": "ScaleIntensityRanged", "keys": "image", **limits}
    found = STANDARD.fullmatch(words)
    if found is None:
        return None
    nonzero = {"nonzero": True} if "non-zero voxels" in words else {}
    if found[1]:
        windows = [
            None if text == "none" else [_number(n) for n in text.removesuffix(" HU").split(" to ")]
            for text in found[1].split(" | ")
        ]
        return {
            "_target_": "scripts.transforms.NormalizeMixedIntensityd",
            "keys": "image",
            "windows": windows,
            **nonzero,
        }
    return {"_target_": "NormalizeIntensityd", "keys": "image", **nonzero, "channel_wise": True}


def _number(text: str) -> float:
    return int(float(text)) if float(text).is_integer() else float(text)
