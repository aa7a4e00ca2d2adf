"""The examples in docstrings give what they say."""

import doctest
import importlib

import pytest

from tools.project import ROOT

FOLDER = ROOT / "bundles"
MODULES = [
    ".".join(path.relative_to(FOLDER).with_suffix("").parts)
    for path in sorted((FOLDER / "scripts").rglob("*.py"))
    if ">>>" in path.read_text()
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_hold(module):
    failed, attempted = doctest.testmod(importlib.import_module(module))
    assert not failed and attempted


def test_there_are_examples():
    assert "scripts.networks.spark3d" in MODULES
