from __future__ import annotations

import nibabel as nib
import numpy as np

from tools.prepare.raw_layout import divide


def test_sites_are_not_divided(converted):
    taken, refused = converted("atlas_stroke")
    groups = {name: case.group for name, (case, _) in taken.items()}
    assert len(taken) == 8 and sorted(set(groups.values())) == ["r001", "r002", "r009", "r052"]
    assert groups["sub-r001s001_ses-1"] == groups["sub-r001s001_ses-2"] == "r001"
    assert refused == {"sub-r060s001_ses-1": "it has no t1lesion_mask"}
    parts = divide(groups)
    assert not {groups[name] for name in parts["train"]} & {groups[name] for name in parts["test"]}


def test_scan_and_mask_are_those_of_the_files(release, converted):
    for name, (case, prepared) in converted("atlas_stroke")[0].items():
        scan = nib.load(next(release("atlas_stroke").rglob(f"{name}*_T1w.nii.gz")))
        mask = nib.load(next(release("atlas_stroke").rglob(f"{name}*_label-L_desc-T1lesion_mask.nii.gz")))
        assert np.array_equal(prepared.images[0].dataobj, scan.dataobj) and np.allclose(
            prepared.images[0].affine, scan.affine
        )
        assert np.array_equal(prepared.label.dataobj, mask.dataobj) and np.asarray(mask.dataobj).max() == 1
        assert case.files["t1w"].parts[-5].lower() == case.group
