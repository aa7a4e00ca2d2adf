"""A runner that stands in for the bundles: it writes at once what they would after minutes of training."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
from torch.utils.tensorboard import SummaryWriter

from tools.demo import report

TEST_CASES = ("phantom_000", "phantom_002")
HELD_OUT = ("phantom_001", "phantom_002")
DICE = {"finetuned": {"Anterior": (0.81, 0.83), "Posterior": (0.71, 0.75)}}
DICE["scratch"] = {"Anterior": (0.80, 0.80), "Posterior": (0.70, 0.76)}


class FakeRunner:
    """Runs the demo's commands as if; remembers them, and fails or is interrupted at the step named."""

    def __init__(self, phantoms: Path) -> None:
        self.phantoms = phantoms
        self.reports = False
        self.commands: list[list[str]] = []
        self.fails_at = ""
        self.interrupted_at = ""

    def __call__(self, command, log):
        name = log.stem
        self.commands.append(command)
        with log.open("a") as file:
            file.write(f"{name} begins\rprogress 50 %\rprogress 100 %\n")
        if name == self.fails_at:
            with log.open("a") as file:
                file.write("error: the disk is full\n")
            return 3
        knobs = knobs_of(command)
        if name == "phantoms":
            shutil.copytree(self.phantoms, knobs["output_dir"])
        elif name in ("pretrain", "finetuned", "scratch"):
            self._train(name, Path(knobs["output_dir"]), Path(knobs["ckpt_dir"]))
        elif name == "pretrain_evaluation":
            write_json(Path(knobs["output_dir"]) / "reconstruction.json", reconstruction_json())
        elif name == "reconstructions":
            self._reconstruct(Path(knobs["dataset_dir"]), Path(knobs["output_dir"]))
        elif name in ("finetuned_evaluation", "scratch_evaluation"):
            write_json(Path(knobs["output_dir"]) / "metrics.json", metrics_json(name.split("_")[0]))
        elif name == "segmentations":
            self._segment(Path(knobs["dataset_dir"]), Path(knobs["output_dir"]))
        elif name == "report" and self.reports:
            report.report(str(log.parents[1]))
        elif name == "report":
            (log.parents[1] / "report.html").touch()
        return 0

    def _train(self, name, output, models):
        models.mkdir(parents=True, exist_ok=True)
        (models / "training_state.pt").touch()
        if name == self.interrupted_at:
            raise KeyboardInterrupt
        (models / "model.pt").touch()
        metric = "val_reconstruction_error" if name == "pretrain" else "val_mean_dice"
        with SummaryWriter(str(output / "tensorboard")) as writer:
            for step in range(1, 31):
                writer.add_scalar("train_loss", 1 / step, step)
            for epoch in (1, 2, 3):
                writer.add_scalar(metric, 0.2 * epoch, epoch)

    def _reconstruct(self, source, output):
        for entry in json.loads(source.read_text()):
            scan = nib.load(entry["image"])
            image = np.asarray(scan.dataobj).astype(np.float32)
            hidden = (np.indices(image.shape) // 8).sum(0) % 2 > 0
            name = Path(entry["image"]).name.removesuffix(".nii.gz")
            parts = {"original": image, "masked": np.where(hidden, image.min(), image), "reconstruction": 0.9 * image}
            for part, volume in parts.items():
                save(volume, scan.affine, output / name / f"{name}_{part}.nii.gz")

    def _segment(self, source, output):
        for entry in json.loads(source.read_text()):
            image = Path(entry["image"])
            label = nib.load(image.parents[1] / "labelsTr" / image.name)
            prediction = np.roll(np.asarray(label.dataobj), 1, axis=1)
            save(prediction, label.affine, output / image.name.replace(".nii.gz", "_seg.nii.gz"))


def knobs_of(command):
    """The options of a command as a dict."""
    return {key[2:]: value for key, value in zip(command, command[1:], strict=False) if key.startswith("--")}


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def save(array, affine, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def reconstruction_json():
    cases = [
        {"case": case, "hidden_voxels": 4321, "mse": 0.312 + 0.1 * i, "mse_mean": 0.9, "mse_interpolation": 0.5}
        for i, case in enumerate(HELD_OUT)
    ]
    mean = {"mse": 0.362, "mse_mean": 0.9, "mse_interpolation": 0.5}
    return {"mask_ratio": 0.75, "cell_size": [8, 8, 8], "cases": cases, "mean": mean}


def metrics_json(arm):
    rows = [
        {"case": case, "class": name, "dsc": dice[i], "nsd": 0.9, "hd95_mm": None if i else 1.25}
        for i, case in enumerate(TEST_CASES)
        for name, dice in DICE[arm].items()
    ]
    summary = {}
    for name in ("Anterior", "Posterior", "mean"):
        values = [row["dsc"] for row in rows if name in (row["class"], "mean")]
        summary[name] = {
            "dsc": {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1)), "n": 2},
            "nsd": {"mean": 0.9, "sd": 0.0, "n": 2},
            "hd95_mm": {"mean": 1.25, "sd": None, "n": 1},
        }
    return {"nsd_tolerance_mm": 1.0, "empty_rule": "both empty scores 1.", "cases": rows, "summary": summary}
