from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.render.toy_project import make_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one template and one card."""
    make_project(tmp_path)
    return tmp_path
