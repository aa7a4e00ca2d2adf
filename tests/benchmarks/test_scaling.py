import json

import pytest

from benchmarks.scaling import main


@pytest.mark.slow
def test_each_setting_is_measured_alone_and_two_processes_together(tmp_path, capsys):
    options = {"size": 64, "ratios": (), "sizes": (), "batch_sizes": (), "width": 1 / 32, "repeats": 1}
    main(str(tmp_path / "found.json"), **options)
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert [(row["execution"], row["decoder"], row["processes"]) for row in rows] == [
        ("auto", "full", 1),
        ("dense", "full", 1),
        ("auto", "lean", 1),
        ("auto", "full", 2),
    ]
    assert all(row["processor_seconds"] > 0 and row["peak_memory_mib"] > 0 for row in rows)
    assert capsys.readouterr().out.count("\n") == 2 + len(rows)
