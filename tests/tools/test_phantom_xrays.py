from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.data import read_xray, split_xrays, xray_cases
from scripts.data.xray_findings import FINDINGS
from scripts.errors import InputError
from tools.phantom_xrays import KINDS, SIGNS, make_xray, make_xrays


def test_the_set_is_read_as_a_release(tmp_path: Path) -> None:
    make_xrays(str(tmp_path / "one"), num_patients=12)
    make_xrays(str(tmp_path / "two"), num_patients=12)
    parts = split_xrays(xray_cases(tmp_path / "one"))
    assert all(parts.values()) and {c["patient"] for c in parts["test"]} == {f"{n:08d}" for n in (10, 11, 12)}
    images = sorted((tmp_path / "one").rglob("*.png"))
    assert {Image.open(path).mode for path in images} == set(KINDS)
    again = [tmp_path / "two" / path.relative_to(tmp_path / "one") for path in images]
    assert all(np.array_equal(read_xray(a), read_xray(b)) for a, b in zip(images, again, strict=True))
    with pytest.raises(InputError, match="not empty"):
        make_xrays(str(tmp_path / "one"))


def test_every_finding_shows_where_its_sign_is() -> None:
    assert tuple(SIGNS) == FINDINGS
    for name, sign in SIGNS.items():
        y, x = (int(64 * c) for c in sign.centre)
        pair = [np.mean([make_xray(f, 64, np.random.default_rng(n))[y, x] for n in range(8)]) for f in ([name], [])]
        assert (pair[0] - pair[1]) * np.sign(sign.brightness) > 0.05, name
