"""A report of the cases of one process among several would be taken for one of all."""

import pytest
from ignite.engine import Engine

from scripts.errors import InputError
from scripts.handlers import (
    ClassificationReport,
    ReconstructionReport,
    SaveProbabilities,
    SegmentationReport,
    one_process,
)

REPORTS = {
    "ClassificationReport": lambda folder: ClassificationReport(folder, ["Mass"]),
    "ReconstructionReport": ReconstructionReport,
    "SaveProbabilities": lambda folder: SaveProbabilities(folder, ["Mass"]),
    "SegmentationReport": lambda folder: SegmentationReport(folder, {"background": 0, "organ": 1}),
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_no_report_is_written_where_processes_share_the_cases(report, tmp_path, monkeypatch):
    monkeypatch.setattr(one_process, "rank_and_size", lambda: (0, 2))
    evaluated = []
    evaluator = Engine(lambda _, case: evaluated.append(case))
    report(str(tmp_path)).attach(evaluator)
    with pytest.raises(InputError, match="runs in 2 processes, .*: run it in one, without torchrun"):
        evaluator.run(["a", "b"])
    assert not evaluated and not list(tmp_path.iterdir())
