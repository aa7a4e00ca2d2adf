"""What MONAI passes over ends a run at once, instead of leaving what the user meant at its default."""

import json
import os
import signal
import subprocess
import sys

import pytest

from scripts.command_line import check_settings, start
from scripts.errors import InputError
from scripts.flags import flags
from tests.warm_runs import run_warm
from tools.project import ROOT, bundle_names

CONFIGS = [str(ROOT / f"bundles/spark3d_pretrain/configs/{name}.json") for name in ("train", "compact")]


@pytest.mark.parametrize(
    "given",
    [
        {"max_epochs": 3, "config_file": CONFIGS},
        {"config_file": CONFIGS[0], "train#trainer#max_epochs": 3, "network_def::cell_size": [8, 8, 8]},
        {"config_file": ",".join(CONFIGS), "bundle_root": ".", "meta_file": None, "workflow_type": "train"},
        {"config_file": CONFIGS, "tracking": "mlflow", "experiment_name": "mine", "is_not_rank0": False},
        {
            "config_file": CONFIGS,
            "tracking": str(ROOT / "bundles/spark3d_pretrain/scripts/mlflow.json"),
            "run_name": "mine",
        },
        {"config_file": {"mine": 1}, "mine": 2},
        {"config_file": CONFIGS, "network_def#network#dropout": 0.1, "network_def#_disabled_": False},
        {"config_file": CONFIGS, "+network_def": {"decoder": "lean"}},
        {"config_file": {"labels": {"background": 0}}, "labels#lesion": 1},
        {"config_file": CONFIGS, "network_def": {"_target_": "UNet"}, "network_def#channels": [8]},
        {
            "config_file": CONFIGS,
            "mask_ratio": 0.75,
            "spacing": "$[2.0] * 3",
            "device": "cpu",
            "channels": ("T1", "T2"),
        },
        {"config_file": CONFIGS, "train#trainer#amp_kwargs": {}, "train#trainer#decollate": False},
    ],
)
def test_what_the_configs_and_monai_know_passes(given):
    check_settings(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_epoch": 3}, "--max_epoch is no setting of these configs: did you mean max_epochs"),
        ({"trian#trainer#max_epochs": 3}, "--trian#trainer#max_epochs is no setting .*train"),
        ({"run_name": "mine"}, "--run_name is no setting"),
        ({"pretraned": None}, "--pretraned is no setting"),
        ({"run_name": None}, "--run_name is no setting"),
        ({"dataset_dir": None}, r"--dataset_dir None leaves the config's own value.*write '\$None'"),
        ({"dataset_dir": 2024}, "--dataset_dir: 2024 is what the command line reads; write ./ before"),
        ({"output_dir": ("Miller", "Hans")}, "--output_dir: .* write ./ before a name of digits or commas"),
        ({"output_dir": "/data/patient#1"}, "MONAI takes # for ::, rename the folder"),
        ({"resume": "false"}, "resume is 'false'; write True or False"),
        ({"channels": "T1"}, r"--channels T1: expected the form of the config's own value, \"\['MRI'\]\""),
        ({"spacing": 2.0}, r"--spacing 2.0: expected the form .* \"\[1.0, 1.0, 1.0\]\""),
        ({"train": "all"}, "--train all: expected the form of the config's own value"),
        ({"device": "gpu"}, "--device gpu cannot be used .*: cpu is always there"),
        ({"device": "cuda:77"}, "--device cuda:77 cannot be used"),
        ({"device": 0}, "--device 0 is no device's name: write cuda:0, or cpu"),
        ({"xyzzy": 3}, r"--xyzzy is no setting of these configs \(settings are"),
        (
            {"network_def#sparze": True},
            "--network_def#sparze: network_def has no sparze: did you mean sparse",
        ),
        ({"network_def#features": [8]}, r"network_def has no features.*it takes cell_size, checkpointing,.*network, "),
        ({"train#trainer#max_epoch": 3}, "train::trainer has no max_epoch: did you mean max_epochs"),
        ({"train#max_epochs": 3}, "--train#max_epochs: train has no max_epochs .*trainer"),
    ],
)
def test_what_monai_passes_over_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        check_settings(given | {"config_file": CONFIGS})


def test_parts_that_do_not_exist_are_refused():
    configs = [str(ROOT / f"bundles/hippocampus_segmentation/configs/{name}.json") for name in ("train", "evaluate")]
    for part in ("val", "$'val'"):
        check_settings({"config_file": configs, "evaluated_part": part})
    with pytest.raises(InputError, match="--evaluated_part validation: allowed are train, val, test"):
        check_settings({"config_file": configs, "evaluated_part": "validation"})


def test_names_in_the_args_file_are_checked_too(tmp_path):
    file = tmp_path / "args.json"
    file.write_text(json.dumps({"config_file": CONFIGS, "max_epochs": 3}))
    check_settings({"args_file": str(file)})
    file.write_text(json.dumps({"config_file": CONFIGS, "max_epoch": 3}))
    with pytest.raises(InputError, match="--max_epoch is no setting"):
        check_settings({"args_file": str(file)})


def test_flags_are_read_as_fire_reads_them():
    line = ["training", "--config_file", "['a.json','b.json']", "--max-epochs=3", "-resume", "-lr", "-1e-3", "--amp"]
    read = {"config_file": ["a.json", "b.json"], "max_epochs": 3, "resume": True, "lr": -1e-3, "amp": True}
    assert flags(line) == read and flags([]) == {}


@pytest.mark.parametrize("argv", [["monailabel", "run", "--max_epoch", "3"], ["-c"], [""]])
def test_the_command_line_of_another_program_is_not_looked_at(monkeypatch, argv):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", argv)
    start()


def test_a_run_that_is_terminated_leaves_no_half_written_file(tmp_path):
    program = """
import sys, time
from scripts.command_line import start
from scripts.files import write_atomically
sys.argv = ["monai/bundle/__main__.py", "run"]
start()
def write(name):
    print("writing", flush=True)
    time.sleep(60)
write_atomically("model.pt", write)
"""
    env = os.environ | {"PYTHONPATH": str(ROOT / "bundles")}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        process.terminate()
        errors = process.communicate()[1]
    assert process.returncode == -signal.SIGINT
    assert errors == "error: stopped; a training goes on where it was with --resume True\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bundle", bundle_names(ROOT))
def test_every_bundle_refuses_before_it_does_anything(bundle, tmp_path):
    folder = ROOT / "bundles" / bundle
    for config in ("train", "inference", "evaluate"):
        file = folder / f"configs/{config}.json"
        if not file.exists() or "initialize" not in json.loads(file.read_text()):
            continue
        command = ["monai.bundle", "run", "--config_file", str(file), "--bundle_root", str(folder), "--devise", "cpu"]
        ended = run_warm(command, tmp_path)
        assert ended.returncode == 1, ended.output
        assert "error: --devise is no setting of these configs: did you mean device" in ended.output
        assert "Traceback" not in ended.output
        assert not list(tmp_path.iterdir())
