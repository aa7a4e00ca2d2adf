"""Releases whose images are taken as they are: every voxel and affine equals the file's."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

CONTRASTS = ("t1n", "t1c", "t2w", "t2f")
PLAIN = {
    "hippocampus": ("hippocampus_{:03d}", ["**/imagesTr/{0}.nii.gz"], "**/labelsTr/{0}.nii.gz", (1, 4, 8)),
    "btcv": ("img{:04d}", ["**/img/{0}.nii.gz"], "**/label{1:04d}.nii.gz", (1, 2, 8)),
    "acdc": ("patient{:03d}_frame12", ["**/{0}.nii.gz"], "**/{0}_gt.nii.gz", (1, 8)),
    "hntsmrg": ("hntsmrg_{:03d}", ["**/{1}/preRT/{1}_preRT_T2.nii.gz"], "**/{1}_preRT_mask.nii.gz", (2, 5, 9)),
    "brats_africa": ("BraTS-SSA-{:05d}-000", [f"**/{{0}}-{c}.nii.gz" for c in CONTRASTS], "**/{0}-seg.nii.gz", (1, 8)),
    "brats_mets": ("BraTS-MET-{:05d}-001", [f"**/{{0}}-{c}.nii.gz" for c in CONTRASTS], "**/{0}-seg.nii.gz", (1, 7)),
}


def same(image, path):
    truth = nib.load(path)
    assert np.allclose(image.affine, truth.affine)
    assert np.array_equal(np.asarray(image.dataobj), np.asarray(truth.dataobj))


@pytest.mark.parametrize(
    ("dataset", "number"), [(dataset, number) for dataset, entry in PLAIN.items() for number in entry[3]]
)
def test_images_in_order_and_label_are_those_of_the_files(dataset, number, release, converted):
    form, images, label, _ = PLAIN[dataset]
    name = form.format(number)
    _, prepared = converted(dataset)[0][name]
    assert len(prepared.images) == len(images)
    for image, pattern in zip(prepared.images, images, strict=True):
        same(image, next(release(dataset).glob(pattern.format(name, number))))
    same(prepared.label, next(release(dataset).glob(label.format(name, number))))


@pytest.mark.parametrize(
    ("dataset", "cases", "groups"),
    [("hippocampus", 8, 8), ("btcv", 8, 8), ("acdc", 16, 8), ("hntsmrg", 8, 8), ("brats_africa", 8, 8)],
)
def test_patients_stay_together(dataset, cases, groups, converted):
    taken, _ = converted(dataset)
    assert len(taken) == cases and len({case.group for case, _ in taken.values()}) == groups


def test_hippocampus_has_no_scan_without_label_and_no_shadow_of_macos(converted):
    taken, refused = converted("hippocampus")
    assert sorted(taken) == [f"hippocampus_{n:03d}" for n in range(1, 9)]
    assert not refused


def test_btcv_is_named_as_in_the_published_splits(release, converted, card, tmp_path_factory):
    from tests.releases.btcv import write_release
    from tools.prepare.datasets.btcv import find_cases

    names = {case.name for case in find_cases(write_release(tmp_path_factory.mktemp("btcv30"), 30)).cases}
    for split in card("btcv_segmentation")["splits"].values():
        assert names == {*split["train"], *split["test"]}
    assert converted("btcv")[1] == {"img0061": "it has no label"}


def test_acdc_keeps_the_test_patients_out(converted, card):
    taken, refused = converted("acdc")
    assert list(refused) == ["patient101_frame01", "patient101_frame12"]
    assert {case.group for case, _ in taken.values()} == {f"patient{n:03d}" for n in range(1, 9)}


def test_brain_tumours_are_divided_into_contrasts(release, converted):
    taken, refused = converted("msd_braintumour")
    assert len(taken) == 8 and not refused
    for name, (_, prepared) in taken.items():
        stack = nib.load(next(release("msd_braintumour").rglob(f"imagesTr/{name}.nii.gz")))
        same(prepared.label, next(release("msd_braintumour").rglob(f"labelsTr/{name}.nii.gz")))
        assert len(prepared.images) == 4
        for contrast, image in enumerate(prepared.images):
            assert np.allclose(image.affine, stack.affine)
            assert np.array_equal(image.dataobj, stack.slicer[..., contrast].dataobj)


def test_older_brats_numbering_is_renumbered_and_other_tumours_left_out(release, converted):
    taken, refused = converted("brats_africa")
    _, prepared = taken["BraTS-SSA-00003-000"]
    file = np.asarray(nib.load(next(release("brats_africa").rglob("*00003-000-seg.nii.gz"))).dataobj)
    assert set(np.unique(file)) == {0, 1, 2, 4}
    assert np.array_equal(prepared.label.dataobj, np.choose(file, [0, 1, 2, 9, 3]))
    assert prepared.notes == ["older numbering: 4, enhancing tumour, is written as 3"]
    assert refused == {
        "BraTS-SSA-00200-000": "it is no glioma but one of TCIA's other neoplasms",
        "BraTS-SSA-00300-000": "it has no seg",
    }


def test_visits_of_a_patient_stay_together_and_cavities_are_refused(converted):
    taken, refused = converted("brats_mets")
    visits = [case.name for case, _ in taken.values() if case.group == "BraTS-MET-00001"]
    assert visits == ["BraTS-MET-00001-000", "BraTS-MET-00001-001"] and len(taken) == 8
    assert list(refused) == ["BraTS-MET-00900-000"] and "resection cavity" in refused["BraTS-MET-00900-000"]
