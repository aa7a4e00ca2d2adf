import json

import nibabel as nib
import numpy as np

from benchmarks.data import main


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
