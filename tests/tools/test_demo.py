import ast
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.command_line import check_settings
from scripts.errors import InputError
from scripts.flags import flags
from tests.tools.fake_bundles import knobs_of
from tools.cli import cli
from tools.demo import __main__ as program
from tools.demo.__main__ import demo, last_lines, run_demo, run_logged
from tools.demo.commands import commands_to_go_on
from tools.demo.settings import GENERATED, REAL, ROOT, make_settings
from tools.demo.steps import make_steps

NAMES = [
    "phantoms",
    "pretrain",
    "pretrain_evaluation",
    "reconstructions",
    "finetuned",
    "scratch",
    "finetuned_evaluation",
    "scratch_evaluation",
    "segmentations",
    "report",
]


def stamps(out):
    return {path.stem: json.loads(path.read_text()) for path in (out / "steps").glob("*.json")}


def tree(folder):
    """Every file with its content's size and time of change."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_runs_every_step_and_leaves_stamps_and_a_report(tmp_path, runner, capsys):
    out = tmp_path / "demo"
    runner.reports = True
    run_demo(make_settings(), out, run=runner)
    found = stamps(out)
    assert set(found) == set(NAMES)
    assert all(stamp["exit_code"] == 0 and stamp["command"] in runner.commands for stamp in found.values())
    assert len({stamp["settings"] for stamp in found.values()}) == 1
    assert "<html" in (out / "report.html").read_text()
    said = capsys.readouterr().out
    assert "generated phantoms" in said and f"about {GENERATED.minutes:g} minutes" in said
    for command in runner.commands:
        assert command[-1] in said


def test_batches_are_lowered_to_the_memory():
    plenty, scarce = (make_settings(memory=memory) for memory in ("16GB", "0.45GB"))
    assert plenty == make_settings()
    assert scarce.pretrain["batch_size"] == scarce.segment["batch_size"] == 1
    with pytest.raises(InputError, match="memory 0.1GB is too small: a step of spark3d_pretrain takes 0"):
        make_settings(memory="0.1GB")


@pytest.mark.parametrize("memory", [None, "0.45GB"])
def test_the_command_that_continues_asks_for_the_same(tmp_path, phantoms, monkeypatch, memory):
    asked = []
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(program, "run_demo", lambda settings, *_: asked.append(settings))
    settings = make_settings(str(phantoms / "labelled"), str(phantoms / "unlabelled"), 20, memory)
    commands = dict(commands_to_go_on(tmp_path / "demo", settings))
    cli(demo, shlex.split(commands["Continue an interrupted run of this demo"])[3:])
    assert asked == [settings] and asked[0].memory == settings.memory


def test_both_arms_differ_only_in_the_weights_their_warm_up_and_folders(tmp_path):
    steps = {step.name: step for step in make_steps(make_settings(), tmp_path)}
    finetuned, scratch = (knobs_of(steps[arm].command) for arm in ("finetuned", "scratch"))
    assert finetuned.pop("pretrained") == str(tmp_path / "pretrain" / "models" / "model.pt")
    steps = int(finetuned["max_epochs"]) * int(finetuned["steps_per_epoch"])
    phases = ast.literal_eval(finetuned.pop("pretrained_phases"))
    assert sum(length for *_, length in phases[:-1]) <= steps / 2 and phases[-1] == ["all", "poly", None]
    for knobs in (finetuned, scratch):
        del knobs["output_dir"], knobs["ckpt_dir"]
    assert finetuned == scratch


@pytest.mark.parametrize("real", [False, True])
def test_every_step_gives_knobs_and_configs_that_exist(tmp_path, phantoms, real):
    data = {"data": str(phantoms / "labelled"), "unlabelled": str(phantoms / "unlabelled")} if real else {}
    checked = 0
    for step in make_steps(make_settings(**data), tmp_path):
        if "monai.bundle" in step.command:
            check_settings(flags(step.command[step.command.index("run") + 1 :]))
            checked += 1
    assert checked == 8


def test_bundles_read_what_earlier_steps_wrote(tmp_path):
    steps = {step.name: knobs_of(step.command) for step in make_steps(make_settings(), tmp_path)}
    assert steps["pretrain"]["dataset_dir"] == str(tmp_path / "data" / "unlabelled")
    assert steps["finetuned"]["dataset_dir"] == str(tmp_path / "data" / "labelled")
    assert (
        steps["segmentations"]["ckpt_dir"]
        == steps["finetuned"]["ckpt_dir"]
        == steps["finetuned_evaluation"]["ckpt_dir"]
    )
    assert (
        steps["reconstructions"]["ckpt_dir"]
        == steps["pretrain_evaluation"]["ckpt_dir"]
        == steps["pretrain"]["ckpt_dir"]
    )


def test_second_run_skips_what_is_finished(tmp_path, runner, capsys):
    out = tmp_path / "demo"
    run_demo(make_settings(), out, run=runner)
    before = tree(out)
    runner.commands.clear()
    capsys.readouterr()
    run_demo(make_settings(), out, run=runner)
    assert runner.commands == []
    assert tree(out) == before
    assert capsys.readouterr().out.count("finished before") == len(NAMES)


@pytest.mark.parametrize("step", ["pretrain", "finetuned", "scratch"])
def test_interrupted_training_is_resumed(tmp_path, runner, step):
    out = tmp_path / "demo"
    runner.interrupted_at = step
    with pytest.raises(KeyboardInterrupt):
        run_demo(make_settings(), out, run=runner)
    assert step not in stamps(out)
    first = runner.commands[-1]
    runner.interrupted_at, runner.commands = "", []
    run_demo(make_settings(), out, run=runner)
    assert runner.commands[0] == [*first, "--resume", "True"]
    assert [command for command in runner.commands if "--resume" in command] == runner.commands[:1]
    assert stamps(out)[step]["resumed"] is True


def test_half_an_evaluation_is_made_anew(tmp_path, runner):
    out = tmp_path / "demo"
    runner.fails_at = "segmentations"
    with pytest.raises(SystemExit):
        run_demo(make_settings(), out, run=runner)
    stale = out / "segmentations" / "of_a_former_try_seg.nii.gz"
    stale.parent.mkdir()
    stale.touch()
    runner.fails_at = ""
    run_demo(make_settings(), out, run=runner)
    assert not stale.exists()


def test_failing_step_stops_with_its_last_lines_and_code(tmp_path, runner, capsys):
    out = tmp_path / "demo"
    runner.fails_at = "pretrain_evaluation"
    with pytest.raises(SystemExit) as stop:
        run_demo(make_settings(), out, run=runner)
    assert stop.value.code == 3
    assert set(stamps(out)) == {"phantoms", "pretrain"}
    assert capsys.readouterr().out.rstrip().endswith("error: the disk is full")


def test_other_settings_are_refused_and_nothing_is_touched(tmp_path, runner):
    out = tmp_path / "demo"
    run_demo(make_settings(), out, run=runner)
    before = tree(tmp_path)
    with pytest.raises(
        InputError, match=rf"minutes {GENERATED.minutes}.*, not 20.*--fresh \(make demo FRESH=1\)"
    ) as refusal:
        run_demo(make_settings(minutes=20), out, run=runner)
    assert "\n" not in str(refusal.value)
    assert tree(tmp_path) == before


def test_other_data_is_refused(tmp_path, runner, phantoms):
    out = tmp_path / "demo"
    run_demo(make_settings(), out, run=runner)
    with pytest.raises(InputError, match="data None, not"):
        run_demo(make_settings(data=str(phantoms / "labelled")), out, run=runner)


def test_fresh_moves_the_former_run_aside(tmp_path, runner):
    out = tmp_path / "demo"
    (tmp_path / "demo_1").mkdir()
    run_demo(make_settings(), out, run=runner)
    former = sorted(path.relative_to(out) for path in tree(out))
    run_demo(make_settings(minutes=20), out, fresh=True, run=runner)
    assert sorted(path.relative_to(tmp_path / "demo_2") for path in tree(tmp_path / "demo_2")) == former
    assert json.loads((out / "demo.json").read_text())["minutes"] == 20


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_that_is_no_demo_is_left_alone(tmp_path, runner, fresh):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds no demo"):
        run_demo(make_settings(), tmp_path, fresh=fresh, run=runner)
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.txt"]


def test_real_data_without_unlabelled_scans_relaxes_curation_and_says_so(tmp_path, runner, phantoms, capsys):
    labelled = phantoms / "labelled"
    out = tmp_path / "demo"
    run_demo(make_settings(data=str(labelled)), out, run=runner)
    said = capsys.readouterr().out
    assert "8 cases in" in said and "but those of the test cases" in said
    pretrain = knobs_of(runner.commands[0])
    images = [Path(entry["image"]).name for entry in json.loads(Path(pretrain["dataset_dir"]).read_text())]
    assert len(images) == 6 and set(images) < {path.name for path in (labelled / "imagesTr").iterdir()}
    assert pretrain["min_fov_mm"] == pretrain["min_file_kb"] == "0" and pretrain["max_spacing_mm"] == "1000"
    assert "phantoms" not in stamps(out)


def test_unlabelled_scans_are_curated_as_ever(tmp_path, phantoms):
    settings = make_settings(str(phantoms / "labelled"), str(phantoms / "unlabelled"))
    knobs = knobs_of(make_steps(settings, tmp_path)[0].command)
    assert knobs["dataset_dir"] == str(phantoms / "unlabelled")
    assert "min_fov_mm" not in knobs


@pytest.mark.parametrize("table", [GENERATED, REAL])
@pytest.mark.parametrize("factor", [0.01, 0.5, 1, 3])
def test_minutes_scale_epochs_to_whole_validation_intervals(phantoms, table, factor):
    data = "" if table is GENERATED else str(phantoms / "labelled")
    settings = make_settings(data, minutes=table.minutes * factor)
    for scaled, knobs in ((settings.pretrain, table.pretrain), (settings.segment, table.segment)):
        epochs, interval = scaled["max_epochs"], scaled["val_interval"]
        assert epochs % interval == 0 and epochs >= interval
        assert abs(epochs - factor * knobs["max_epochs"]) <= interval


def test_bad_input_is_told_at_once(tmp_path, phantoms):
    with pytest.raises(InputError, match="without data"):
        make_settings(unlabelled=str(phantoms / "unlabelled"))
    with pytest.raises(InputError, match="dataset.json"):
        make_settings(data=str(phantoms / "unlabelled"))
    with pytest.raises(InputError):
        make_settings(data=str(phantoms / "labelled"), unlabelled=str(tmp_path))
    with pytest.raises(InputError, match="above 0"):
        make_settings(minutes=0)


def test_data_with_other_labels_are_sent_to_a_bundle_of_their_own(tmp_path, phantoms):
    shutil.copytree(phantoms / "labelled", tmp_path / "other")
    content = json.loads((tmp_path / "other" / "dataset.json").read_text())
    content["labels"] = {"0": "background", "1": "spleen", "2": "liver"}
    (tmp_path / "other" / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"python -m tools.new_bundle .*{tmp_path / 'other'}"):
        make_settings(data=str(tmp_path / "other"))


def test_logged_command_streams_and_returns_its_code(tmp_path, capfdbinary):
    log = tmp_path / "step.log"
    program = "import sys; print('on its way'); print('bad news', file=sys.stderr); sys.exit(7)"
    assert run_logged([sys.executable, "-c", program], log) == 7
    assert b"on its way\n" in capfdbinary.readouterr().out
    assert last_lines(log)[-2:] == ["on its way", "bad news"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_the_step_and_says_how_to_go_on(tmp_path, how):
    program = f"""
import sys, pathlib, signal
signal.signal(signal.SIGINT, signal.SIG_DFL if {how == signal.SIGTERM} else signal.default_int_handler)
from tools.cli import cli
from tools.demo.__main__ import run_logged
def sleeper():
    child = "import os, time; open({str(tmp_path / "pid")!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    run_logged([sys.executable, "-c", child], pathlib.Path({str(tmp_path / "log")!r}))
cli(sleeper, [], resumes=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    pid = tmp_path / "pid"
    while not pid.exists() or not pid.read_text():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(how)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command continues from here" in said
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_command_line_shows_what_to_put_right(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(InputError, match="empty"):
        cli(demo, ["--data", str(tmp_path), "--output_dir", str(tmp_path / "out")], resumes=True)
    assert not Path(tmp_path / "out").exists()
