import json
import time

import nibabel as nib
import numpy as np
import pytest
from monai.data import DataLoader

from benchmarks.data import main, patches_per_second


def test_the_report_says_how_fast_crops_and_patches_come(tmp_path):
    (tmp_path / "scans").mkdir()
    for index in range(2):
        data = np.random.default_rng(index).integers(1, 100, (64, 60, 56)).astype(np.int16)
        nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "scans" / f"scan{index}.nii.gz")
    main(
        str(tmp_path / "data.json"),
        str(tmp_path / "scans"),
        crop_sizes=(24,),
        workers=(0,),
        patch_size=16,
        batches=2,
        step_seconds=0.5,
        repeats=1,
    )
    report = json.loads((tmp_path / "data.json").read_text())
    assert report["scans"] == ["scan0.nii.gz", "scan1.nii.gz"] and report["patches_per_second_a_step_needs"] == 4
    assert report["patches_per_second"]["0"] > 0 and report["crops"]["24"]["cache_against_nibabel"]["times_faster"] > 0


class Sleeping:
    """Items of known speed, in place of a config."""

    seconds = 0.1

    def update(self, config):
        self.config = config

    def parse(self, reset):
        assert reset

    def get_parsed_content(self, name):
        return DataLoader(self, batch_size=1, num_workers=self.config["num_workers"])

    def __len__(self):
        return self.config["steps_per_epoch"]

    def __getitem__(self, index):
        time.sleep(self.seconds)
        return {"image": index}


@pytest.mark.parametrize("workers", [0, 1, 6])
def test_the_rate_is_that_of_the_workers_and_not_of_what_they_loaded_ahead(workers):
    assert patches_per_second(Sleeping(), workers, batches=8) == pytest.approx(max(workers, 1) / 0.1, rel=0.25)
