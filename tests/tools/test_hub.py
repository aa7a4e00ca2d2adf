"""A released bundle is pushed to the Hugging Face Hub, of which a stand-in runs here, and comes back as it was."""

from __future__ import annotations

import base64
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import Hub
from tools.project import ROOT
from tools.release import main as release

pytestmark = pytest.mark.slow
NAME, REPO = "spark3d_pretrain", "someone/spark3d_pretrain"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(token="hf_secret") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(command: str, work: Path, hub: Hub) -> None:
    """Run a command of the guide as its reader does, on this hub."""
    program, *arguments = shlex.split(command.replace("\\\n", ""))
    assert program == "python"
    isolated = {"HF_ENDPOINT": hub.url, "HF_HOME": str(work / "home"), "HF_HUB_DISABLE_XET": "1"}
    environment = {**os.environ, **isolated, "HF_TOKEN": hub.token}
    done = subprocess.run([sys.executable, *arguments], cwd=work, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_what_arrives_and_comes_back_is_the_release_asked_for_or_the_latest(hub: Hub, tmp_path: Path) -> None:
    release(NAME, output_dir=str(tmp_path / "dist"))
    guide = (ROOT / "docs" / "sharing.md").read_text()
    packed, target = re.search(r"```bash\nunzip (\S+) -d (\S+)\n```", guide).groups()
    with zipfile.ZipFile(tmp_path / packed) as archive:
        archive.extractall(tmp_path / target)
    bundle = tmp_path / "released" / NAME
    (bundle / "models").mkdir()
    (bundle / "models" / "model.pt").write_bytes(bytes(range(256)) * 1000)
    released = files(bundle)

    push, fetch, untag = (
        re.search(rf"```bash\n(python -m \S+ {what}.*?)\n```", guide, re.S)[1]
        for what in ("monai.bundle push_to_hf_hub", r"download [^`]*huggingface_hub", "huggingface_hub delete_tag")
    )
    run(push, tmp_path, hub)
    assert hub.created == {"name": NAME, "organization": "someone", "visibility": "private"}
    assert set(hub.refs) == {"main", "0.1.0", "latest_version"} and len(set(hub.refs.values())) == 1
    arrived = dict(hub.commits[hub.refs["main"]])
    card = arrived.pop("README.md").decode()  # MONAI makes it of the model card
    assert arrived == released
    assert card.endswith(released["docs/README.md"].decode()) and "license: apache-2.0\n---\n# " in card
    assert list(hub.large.values()) == [released["models/model.pt"]]

    first = files(bundle)
    (bundle / "docs" / "data_license.txt").unlink()
    (bundle / "models" / "model.pt").write_bytes(bytes(range(255, -1, -1)) * 1000)
    newer = files(bundle)
    run(untag, tmp_path, hub)
    run(push.replace("0.1.0", "0.2.0"), tmp_path, hub)
    assert hub.refs["0.1.0"] != hub.refs["0.2.0"] == hub.refs["latest_version"]
    for command, expected in ((fetch, newer), (f"{fetch} --version 0.1.0", first)):
        run(command, tmp_path, hub)
        assert files(tmp_path / "fetched" / NAME) == expected
        shutil.rmtree(tmp_path / "fetched")


def test_weights_of_another_licence_are_shown_and_tagged_with_it(hub: Hub, tmp_path: Path) -> None:
    pushed = "---\ntags:\n- monai\n- medical\nlibrary_name: monai\nlicense: apache-2.0\n---\n# Hippocampus\n"
    content = base64.b64encode(pushed.encode()).decode()
    hub.commit([{"key": "file", "value": {"path": "README.md", "content": content}}])
    guide = (ROOT / "docs" / "sharing.md").read_text()
    block = re.search(r"```bash\n(python -m fire huggingface_hub metadata_update.*?)\n```", guide, re.S)[1]
    for command in block.splitlines():
        run(command, tmp_path, hub)
    assert set(hub.refs) == {"main", "0.1.0", "latest_version"} and len(set(hub.refs.values())) == 1
    card = hub.commits[hub.refs["latest_version"]]["README.md"].decode()
    assert card == pushed.replace("apache-2.0", "cc-by-sa-4.0")
