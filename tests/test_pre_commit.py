"""The hooks before a commit look at what `make test` looks at."""

import re

import tomllib
import yaml

from tools.project import ROOT


def test_types_are_checked_wherever_mypy_does():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    [trigger] = [hook["files"] for hook in hooks if hook["id"] == "mypy"]
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["files"]
    assert [folder for folder in folders if not re.search(trigger, f"{folder}/module.py")] == []
