from __future__ import annotations

import importlib
from functools import cache

import pytest

from scripts.errors import InputError


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """Return a function that writes a dataset's generated release, once, and gives its folder."""

    @cache
    def make(dataset):
        return importlib.import_module(f"tests.releases.{dataset}").write_release(tmp_path_factory.mktemp(dataset))

    return make


@pytest.fixture(scope="session")
def converted(release):
    """Return a function that reads all cases of a generated release and gives them by name with the refusals."""

    @cache
    def convert(dataset):
        module = importlib.import_module(f"tools.prepare.datasets.{dataset}")
        found = module.find_cases(release(dataset))
        taken, refused = {}, dict(found.refused)
        for case in found.cases:
            try:
                taken[case.name] = case, module.read_case(case)
            except InputError as error:
                refused[case.name] = str(error)
        return taken, refused

    return convert
