"""Stands in for the commands of an experiment: writes at once what the bundles would after minutes of training."""

import hashlib
import json
import threading
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from tests.tools.fake_bundles import knobs_of, write_json
from tools.experiment.child import Ended

TEST_CASES = [f"phantom_{number:03d}" for number in range(6)]


class FakeRuns:
    """Runs commands as if; remembers them, and fails, is stopped or is interrupted where told."""

    def __init__(self):
        self.commands = []
        self.fails_at = ""  # part of a command
        self.interrupted_after = None  # commands; the next raises as Ctrl-C does
        self.stops_after = None  # commands; the next ends as the time is up
        self.lock = threading.Lock()

    def __call__(self, command, log, stop, environment, lock=-1):
        with self.lock:
            self.commands.append(command)
            number = len(self.commands)
        if self.interrupted_after is not None and number > self.interrupted_after:
            raise KeyboardInterrupt
        if self.stops_after is not None and number > self.stops_after:
            stop.set()
            return Ended(-15, 1.0)
        if self.fails_at and self.fails_at in " ".join(command):
            log.write_text("loss is nan\nerror: it diverged\n")
            return Ended(3, 1.0)
        knobs = knobs_of(command)
        if "tools.measure" in command:
            flops = 3_000_000 if "spark3d_pretrain" in command else 1_000_000
            write_json(Path(knobs["output_file"]), {"flops_per_step": flops})
            return Ended(0, 1.0)
        out = Path(knobs["output_dir"])
        pretrains = "spark3d_pretrain" in " ".join(command)
        if out.name == "training":
            self._train(knobs, out, "val_reconstruction_error" if pretrains else "val_mean_dice")
        elif out.name == "evaluation" and pretrains:
            write_json(out / "reconstruction.json", reconstruction(knobs))
        elif out.name == "evaluation":
            write_json(out / "metrics.json", metrics(knobs))
        else:
            scans = json.loads(Path(knobs["dataset_dir"]).read_text())
            for scan in scans:
                picture = out / Path(scan["image"]).name / "case.png"
                picture.parent.mkdir(parents=True)
                picture.write_bytes(b"\x89PNG")
        return Ended(0, 2.0)

    def _train(self, knobs, out, metric):
        models = Path(knobs["ckpt_dir"])
        models.mkdir(parents=True, exist_ok=True)
        for name in ("model.pt", "training_state.pt", "model_final.pt"):
            (models / name).touch()
        rng = generator(knobs)
        epochs = int(knobs.get("max_epochs", 2))
        with SummaryWriter(str(out / "tensorboard")) as writer:
            for step in range(1, 4 * epochs + 1):
                writer.add_scalar("train_loss", rng.random(), step)
            for epoch in range(1, epochs + 1):
                writer.add_scalar(metric, rng.random(), epoch)


def generator(knobs):
    """A generator that depends on what decides a result: where it is trained and with which knobs."""
    same = {key: value for key, value in knobs.items() if not key.endswith("_dir") and key != "pretrained"}
    same["unit"] = Path(knobs["output_dir"]).parent.name
    return np.random.default_rng(list(hashlib.sha256(repr(sorted(same.items())).encode()).digest()))


def metrics(knobs):
    rng = generator(knobs)
    rows = [
        {"case": case, "class": name, "dsc": rng.random(), "nsd": rng.random(), "hd95_mm": None if i else 1.5}
        for i, case in enumerate(TEST_CASES)
        for name in ("anterior", "posterior")
    ]
    facts = {"part": "test", "nsd_tolerance_mm": 1.0, "empty_rule": "Both empty is not counted."}
    return {**facts, "reported_classes": None, "cases": rows}


def reconstruction(knobs):
    value = float(generator(knobs).random())
    row = {"case": "phantom_001", "mse": value, "mse_mean": 1.0, "mse_interpolation": 0.5}
    return {"mean": {key: row[key] for key in ("mse", "mse_mean", "mse_interpolation")}, "cases": [row]}
