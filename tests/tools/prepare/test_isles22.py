from __future__ import annotations

import nibabel as nib
import numpy as np

from tests.releases.isles22 import EMPTY, FLAIR_AFFINE, FLAIR_SIZE, OLDER, SI, WHOLE_NUMBERS, flair_at
from tools.prepare.datasets.isles22 import find_cases, read_case


def name(number):
    return f"sub-strokecase{number:04d}_ses-0001"


def test_flair_lies_on_the_grid_of_the_dwi(release, converted):
    taken, refused = converted("isles22")
    assert sorted(taken) == [name(n) for n in range(1, 9)] and not refused
    for case, prepared in taken.values():
        dwi, adc, flair = prepared.images
        file = nib.load(case.files["dwi"])
        assert np.array_equal(dwi.dataobj, np.asarray(file.dataobj, np.float32))
        for image in (dwi, adc, flair, prepared.label):
            assert np.allclose(image.affine, file.affine) and image.shape == file.shape
        mask = nib.load(next(release("isles22").rglob(f"*{case.name}_msk.nii.gz")))
        assert np.array_equal(prepared.label.dataobj, mask.dataobj)
        world = nib.affines.apply_affine(file.affine, np.moveaxis(np.indices(file.shape), 0, -1))
        place = nib.affines.apply_affine(np.linalg.inv(FLAIR_AFFINE), world)
        inside = np.all((place >= 0) & (place <= np.array(FLAIR_SIZE) - 1), axis=-1)
        beyond = np.any((place <= -1) | (place >= np.array(FLAIR_SIZE)), axis=-1)
        resampled = np.asarray(flair.dataobj)
        assert np.allclose(resampled[inside], flair_at(world)[inside], atol=1e-2) and inside.mean() > 0.5
        assert not resampled[beyond].any() and beyond.any()
        assert any("FLAIR covers" in note for note in prepared.notes)


def test_adc_has_one_unit(converted):
    taken, _ = converted("isles22")
    for number, unit in ((1, "ADC in"), (WHOLE_NUMBERS, "from 1e-6 mm2/s to"), (SI, "from mm2/s to")):
        case, prepared = taken[name(number)]
        dwi = np.asarray(nib.load(case.files["dwi"]).dataobj)
        truth = np.where(dwi > 0, 0.8 + 0.002 * dwi, 0)
        assert np.allclose(prepared.images[1].dataobj, truth, atol=1.1e-3)
        assert any(unit in note for note in prepared.notes)


def test_older_layout_and_empty_mask(converted):
    taken, _ = converted("isles22")
    assert "rawdata" in taken[name(OLDER)][0].files["dwi"].parts
    assert not np.asarray(taken[name(EMPTY)][1].label.dataobj).any()


def test_real_case(real_data):
    (case,) = find_cases(real_data / "isles22").cases
    prepared = read_case(case)
    dwi, adc, flair = (np.asarray(image.dataobj) for image in prepared.images)
    assert dwi.shape == adc.shape == flair.shape == (112, 112, 73) == prepared.label.shape
    brain = adc > 0.3
    assert 0.5 < np.median(adc[brain]) < 1.5 and "ADC in 1e-3 mm2/s" in prepared.notes
    assert (flair[brain] > 0).mean() > 0.9  # both show the same head
