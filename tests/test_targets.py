"""What a config's `_target_` finds in a package under `scripts`."""

from importlib import import_module
from pkgutil import iter_modules, walk_packages
from types import ModuleType

import pytest

import scripts

PACKAGES = ["scripts", *(found.name for found in walk_packages(scripts.__path__, "scripts.") if found.ispkg)]


@pytest.mark.parametrize("name", PACKAGES)
def test_no_package_exports_the_name_of_one_of_its_modules(name):
    # from Python 3.12 on pydoc.locate, by which MONAI finds a `_target_`, returns the module instead
    package = import_module(name)
    exported = {key for key, value in vars(package).items() if not isinstance(value, ModuleType)}
    assert exported & {module.name for module in iter_modules(package.__path__)} == set()
