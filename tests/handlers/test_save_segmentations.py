"""What inference leaves in a folder must be right after any number of runs, whole, stopped or with failures."""

from __future__ import annotations

import logging
import multiprocessing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.engines import IterationEvents

from scripts.errors import InputError
from scripts.handlers import SaveDicomSegmentations, SaveSegmentations, SaveVolumes, save_segmentations

STRUCTURES = {"background": 0, "front": 1, "whole": [1, 2]}
AFFINE = np.diag([-2.0, 5.0, 10.0, 1.0])  # voxels of 0.1 ml


def run(folder: Path, cases: dict[str, int | None]) -> None:
    """Go through the events of a run over cases, each with some voxels of label 1 and one of label 2, or failing."""
    data = [{"case": case} for case in cases]
    engine: Any = SimpleNamespace(failures={}, state=SimpleNamespace(dataloader=SimpleNamespace()))
    engine.state.dataloader.dataset = SimpleNamespace(data=data)
    volumes, segmentations = SaveVolumes(str(folder), STRUCTURES), SaveSegmentations(str(folder))
    volumes.forget(engine)
    for case, size in cases.items():
        if size is None:
            engine.failures[case] = "unreadable"
            continue
        labels = torch.zeros(1, 4, 4, 4)
        labels.flatten()[:size], labels.flatten()[-1] = 1, 2
        engine.state.batch = [{"case": case}]
        engine.state.output = [{"pred": MetaTensor(labels, affine=AFFINE)}]
        segmentations(engine)
        volumes(engine)
    segmentations.warn_of_former(engine)


def table(folder: Path) -> list[str]:
    return (folder / "volumes.csv").read_text().splitlines()[1:]


def test_volumes_are_in_ml(tmp_path: Path) -> None:
    run(tmp_path, {"a": 3})
    assert (tmp_path / "volumes.csv").read_text() == "case,structure,volume_ml\na,front,0.3000\na,whole,0.4000\n"


def test_each_case_has_the_volumes_of_its_last_run(tmp_path: Path) -> None:
    run(tmp_path, {"b": 1, "c": 2})
    run(tmp_path, {"a": 5, "b": 4})
    assert table(tmp_path)[::2] == ["a,front,0.5000", "b,front,0.4000", "c,front,0.2000"]
    before = (tmp_path / "volumes.csv").read_text()
    run(tmp_path, {"a": 5, "b": 4})
    assert (tmp_path / "volumes.csv").read_text() == before
    assert {path.name for path in tmp_path.iterdir()} == {"volumes.csv", *(f"{c}_seg.nii.gz" for c in "abc")}


def test_a_case_that_fails_keeps_no_volumes_of_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path, {"a": 1, "b": 2})
    with caplog.at_level(logging.WARNING):
        run(tmp_path, {"a": 3, "b": None, "c": None})
    assert table(tmp_path) == ["a,front,0.3000", "a,whole,0.4000"]
    assert [record.getMessage() for record in caplog.records] == [
        f"case b failed, {tmp_path / 'b_seg.nii.gz'} is of an earlier run"
    ]


def run_dicom(folder: Path, output_format: str, cases: dict[str, str | None]) -> None:
    """Go through the events of a run over cases, each with its source, or failing."""

    def step(engine: Any, case: str) -> None:
        engine.state.batch = [{"case": case, "source": cases[case]}]
        engine.state.output = [{"pred": MetaTensor(torch.ones(1, 4, 4, 4), affine=AFFINE)}]
        if cases[case] is None:
            engine.failures[case] = "unreadable"
        else:
            engine.fire_event(IterationEvents.MODEL_COMPLETED)

    engine: Any = Engine(step)
    engine.register_events(*IterationEvents)
    engine.failures = {}
    SaveDicomSegmentations(str(folder), output_format, {"front": 1}, {}, "test", "1").attach(engine)
    engine.run(list(cases))


def test_dicom_segmentations_of_before_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(save_segmentations, "save_dicom_seg", lambda *given: given[3].write_text(given[2]))
    one, two = tmp_path / "a_seg.dcm", tmp_path / "b_seg.dcm"
    runs: list[tuple[str, dict[str, str | None], list[str]]] = [
        ("dicomseg", {"a": "1", "b": "1"}, [f"a: its segmentation is {one}", f"b: its segmentation is {two}"]),
        ("dicomseg", {"a": "2", "b": None}, [f"a: its segmentation replaces {one}", f"case b failed, {two} is of an"]),
        ("nifti", {"a": "3", "b": None, "c": "3"}, [f"{one} is of an earlier run", f"case b failed, {two} is of an"]),
    ]
    for output_format, cases, told in runs:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            run_dicom(tmp_path, output_format, cases)
        found = [record.getMessage() for record in caplog.records if record.name == save_segmentations.__name__]
        assert [words in message for words, message in zip(told, found, strict=True)] == [True, True]
    assert (one.read_text(), two.read_text()) == ("2", "1")


def test_a_table_of_others_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "volumes.csv").write_text("patient;ml\n")
    with pytest.raises(InputError, match="has not the columns case, structure, volume_ml: move it"):
        run(tmp_path, {"a": 1})
    assert (tmp_path / "volumes.csv").read_text() == "patient;ml\n"


def add_cases(folder: Path, name: str, together: Any) -> None:
    together.wait()
    volumes = SaveVolumes(str(folder), STRUCTURES)
    for number in range(60):
        row = {"case": f"{name}{number}", "structure": "front", "volume_ml": "1"}
        volumes._update({row["case"]}, [row])


def test_runs_side_by_side_keep_each_others_rows(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    together = context.Barrier(2)
    processes = [context.Process(target=add_cases, args=(tmp_path, name, together)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(table(tmp_path)) == 120
