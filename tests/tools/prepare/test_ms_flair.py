from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import openpyxl
import pytest

from scripts.errors import InputError
from tests.releases.ms_flair import BRIGHT_MASK, HEADER, true_spacing
from tools.prepare.datasets.ms_flair import find_cases, read_case
from tools.prepare.spacing_table import read_spacings


@pytest.fixture
def source(release, tmp_path):
    return Path(shutil.copytree(release("ms_flair"), tmp_path / "download"))


def table_of(source):
    return next(source.rglob("*Table 2*.xlsx"))


def test_image_and_mask_get_the_spacing_of_the_table(converted):
    taken, refused = converted("ms_flair")
    assert sorted(taken) == [f"patient_{n:02d}" for n in range(1, 9)] and not refused
    for number in range(1, 9):
        case, prepared = taken[f"patient_{number:02d}"]
        truth = HEADER @ np.diag([1, 1, true_spacing(number), 1])  # the header says 1 mm
        for image, role in ((prepared.images[0], "flair"), (prepared.label, "lesionseg-flair")):
            assert np.allclose(image.affine, truth)
            file = np.asarray(nib.load(case.files[role]).dataobj)
            expected = (file > 0) if role == "lesionseg-flair" else file
            assert np.array_equal(image.dataobj, expected)
        assert f"z spacing 1 -> {true_spacing(number):.4g} mm, Supplementary Table 2" in prepared.notes
    assert "mask value 255 is written as 1" in taken[f"patient_{BRIGHT_MASK:02d}"][1].notes


def test_without_the_table_it_says_what_to_do(source):
    table_of(source).unlink()
    with pytest.raises(InputError, match="Supplementary Table 2.*mendeley.*--trust_headers True"):
        find_cases(source)
    found = find_cases(source, trust_headers=True)
    assert len(found.cases) == 8 and all("table" not in case.files for case in found.cases)
    refused = []
    for case in found.cases:
        try:
            prepared = read_case(case)
            assert np.allclose(prepared.images[0].affine, HEADER)
            assert "z spacing 1 mm as in the header" in prepared.notes
        except InputError as error:
            refused.append(str(error))
    assert not refused


def test_a_patient_without_spacing_is_refused(source):
    book = openpyxl.load_workbook(table_of(source))
    book.active["I6"] = "not recorded"  # patient 4
    book.active["I7"] = "6,5"
    book.save(table_of(source))
    cases = {case.name: case for case in find_cases(source).cases}
    with pytest.raises(InputError, match="no spacing between slices for patient 4"):
        read_case(cases["patient_04"])
    assert np.isclose(read_case(cases["patient_05"]).label.header.get_zooms()[2], 6.5)


def test_another_table_is_refused(source, tmp_path):
    other = next(source.rglob("*Table 1*.xlsx"))
    assert read_spacings(other) == {}
    book = openpyxl.Workbook()
    book.active.append(["ID", "Age"])
    book.save(tmp_path / "Table 2.xlsx")
    with pytest.raises(InputError, match="no columns 'ID' and 'FLAIR: Spacing Between Slices'"):
        read_spacings(tmp_path / "Table 2.xlsx")
    (tmp_path / "Table 2.xlsx").write_text("no workbook")
    with pytest.raises(InputError, match="cannot be read"):
        read_spacings(tmp_path / "Table 2.xlsx")


def test_flipped_mask_is_refused(source):
    path = next(source.rglob("2-LesionSeg-Flair.nii"))
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj).copy(), image.affine @ np.diag([-1, 1, 1, 1])), path)
    (case,) = (case for case in find_cases(source).cases if case.name == "patient_02")
    with pytest.raises(InputError, match="axes of FLAIR and mask differ: LAS and RAS"):
        read_case(case)


def test_real_cases_of_lesjak(real_data):
    found = find_cases(real_data / "ms_flair")
    assert [case.name for case in found.cases] == ["lesjak_07", "lesjak_19"]
    prepared = read_case(found.cases[0])
    file = nib.load(real_data / "ms_flair" / "patient07" / "FLAIR.nii.gz")
    assert np.allclose(prepared.images[0].affine, file.affine) and np.asarray(prepared.label.dataobj).sum() > 100
