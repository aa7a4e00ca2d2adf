from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.errors import InputError
from tests.tools.render.toy_project import CARD, changed, write_card
from tools.render.__main__ import main
from tools.render.bundle_table import BEGIN, END
from tools.render.stale import differences


def test_writing_twice_changes_nothing_and_check_is_silent(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(root=str(project))
    bundle = project / "bundles" / "toy_segmentation"
    files = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    assert (bundle / "docs" / "data_license.txt").read_text() == "Free to use.\n"
    assert (bundle / "scripts").readlink() == Path("../scripts")
    assert (bundle / "scripts" / "__init__.py").is_file()
    capsys.readouterr()
    main(root=str(project))
    main(root=str(project), check=True)
    assert capsys.readouterr().out == ""
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == files


def test_splits_come_with_the_card(project: Path) -> None:
    lists = {"paper": {"description": "a paper", "train": ["a", "b"], "test": ["c"]}}
    write_card(project, changed(splits=lists))
    main(root=str(project))
    written = project / "bundles/toy_segmentation/splits/paper.json"
    assert json.loads(written.read_text()) == lists["paper"]
    assert "| `paper` | 2 | 1 | a paper |" in (written.parents[1] / "docs/README.md").read_text()


@pytest.mark.parametrize("path", ["configs/mine.json", "splits/mine.json"])
def test_what_no_card_asks_for_is_named_and_kept(project: Path, path: str) -> None:
    bundle = project / "bundles" / "toy_segmentation"
    (bundle / path).parent.mkdir()
    (bundle / path).write_text("{}")
    for check in (False, True):
        with pytest.raises(InputError, match=f"bundles/toy_segmentation: no card asks for {path}: put it under"):
            main(root=str(project), check=check)
    assert (bundle / path).read_text() == "{}" and not (bundle / "LICENSE").exists()
    (bundle / path).unlink()
    main(root=str(project))


@pytest.mark.parametrize("check", [True, False])
def test_a_copy_of_scripts_is_named_and_nothing_is_written(project: Path, check: bool) -> None:
    bundle = project / "bundles" / "toy_segmentation"
    (bundle / "scripts").mkdir()
    before = sorted(bundle.rglob("*"))
    with pytest.raises(InputError, match="toy_segmentation/scripts is a copy, as releases have it: remove it"):
        main(root=str(project), check=check)
    assert sorted(bundle.rglob("*")) == before


def test_check_lists_every_stale_file_and_writes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(root=str(project))
    bundle = project / "bundles" / "toy_segmentation"
    (bundle / "configs" / "train.json").write_text("{}")
    (bundle / "LICENSE").unlink()
    (bundle / "scripts").unlink()
    docs = CARD["docs"] | {"presets": CARD["docs"]["presets"] | {"small": "less"}}
    write_card(project, changed(presets=CARD["presets"] | {"small": {}}, docs=docs))
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main("toy_segmentation", check=True, root=str(project))
    listed = {line.rpartition("toy_segmentation/")[2] for line in capsys.readouterr().out.splitlines()}
    assert isinstance(stop.value.code, str) and "make render" in stop.value.code  # a text means exit code 1
    assert listed == {"LICENSE", "scripts", "docs/README.md", "configs/train.json", "configs/small.json"}
    assert (bundle / "configs" / "train.json").read_text() == "{}" and not (bundle / "LICENSE").exists()
    main(root=str(project))
    assert (bundle / "configs" / "small.json").is_file()
    assert differences("toy_segmentation", project) == {}


def test_the_readmes_table_follows_the_cards(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = project / "README.md"
    pretraining = project / "bundles" / "toy_pretrain"
    pretraining.mkdir()
    (pretraining / "card.json").write_text(json.dumps(changed(name="toy_pretrain", pretrains="toy_segmentation")))
    with pytest.raises(SystemExit):
        main(root=str(project), check=True)
    assert "stale: README.md" in capsys.readouterr().out and "|" not in readme.read_text()
    main(root=str(project))
    text = readme.read_text()
    assert text.startswith("# Toys\n") and text.endswith("\n\nMore.\n")
    row = "| [toy_segmentation](bundles/toy_segmentation/docs/README.md) | Toy | MRI: T1, T2 | head, tail | ViT | "
    assert f"{row}`toy_pretrain` | toy shop | CC0 |" in text
    assert (
        "| [toy_pretrain](bundles/toy_pretrain/docs/README.md) | Toy segmentation | Toy | `toy_segmentation` |" in text
    )
    main(root=str(project), check=True)
    readme.write_text(f"{END} {BEGIN}")
    with pytest.raises(InputError, match="README.md needs the lines"):
        main(root=str(project))
