import json

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import label as components

from scripts.errors import InputError
from tools.phantom_anatomy import CONTRASTS, make_phantom, smooth_field
from tools.phantoms import make_phantoms


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cases(folder):
    for path in sorted((folder / "labelled" / "imagesTr").iterdir()):
        label = nib.load(folder / "labelled" / "labelsTr" / path.name)
        yield nib.load(path), np.asarray(label.dataobj), label.affine


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms") / "data"
    make_phantoms(str(folder), num_unlabelled=3, num_labelled=6)
    return folder


def test_same_seed_same_bytes_and_more_cases_leave_the_first_alone(phantoms, tmp_path):
    make_phantoms(str(tmp_path / "more"), num_unlabelled=4, num_labelled=9, size=56)
    first, more = files(phantoms), files(tmp_path / "more")
    images = [name for name in first if name.name.endswith(".nii.gz")]
    assert len(images) == 3 + 2 * 8
    assert all(first[name] == more[name] for name in images)


def test_cases_and_seeds_differ(phantoms, tmp_path):
    make_phantoms(str(tmp_path / "other"), num_unlabelled=3, num_labelled=4, size=56, seed=1)
    images = [
        content
        for folder in (phantoms, tmp_path / "other")
        for name, content in files(folder).items()
        if name.suffix == ".gz"
    ]
    assert len(set(images)) == len(images)


def test_unlabelled_scans_pass_the_papers_curation(full_size):
    for path in (full_size / "unlabelled").iterdir():
        scan = nib.load(path)
        assert path.stat().st_size > 200_000
        assert min(scan.shape) >= 50 and scan.header.get_zooms() == (1, 1, 1)
        assert scan.get_data_dtype() == np.int16
        assert nib.aff2axcodes(scan.affine) == ("R", "A", "S")


def test_target_is_one_piece_of_two_classes_inside_the_crop(full_size):
    for image, label, affine in cases(full_size):
        assert image.shape == label.shape and np.array_equal(image.affine, affine)
        assert 36 <= label.shape[0] <= 44 and 44 <= label.shape[1] <= 56 and 36 <= label.shape[2] <= 44
        assert np.unique(label).tolist() == [0, 1, 2]
        for part in (label > 0, label == 1, label == 2):
            assert components(part)[1] == 1
            assert part.sum() > 150
        inner = label[1:-1, 1:-1, 1:-1]
        assert (inner > 0).sum() == (label > 0).sum()
        front, back = ((np.argwhere(label == value) @ affine[:3, :3].T)[:, 1].mean() for value in (1, 2))
        assert front > back


def test_crops_bear_the_position_they_were_cut_from(full_size):
    origins = {tuple(image.affine[:3, 3]) for image, _, _ in cases(full_size)}
    assert len(origins) > 1
    centres = [
        image.affine[:3, :3] @ np.argwhere(label).mean(0) + image.affine[:3, 3] for image, label, _ in cases(full_size)
    ]
    assert all(8 < abs(x) < 22 and abs(y) < 12 and -20 < z < 0 for x, y, z in centres)


def test_no_threshold_segments_the_target(full_size):
    for image, label, _ in cases(full_size):
        voxels, target = np.asarray(image.dataobj), label > 0
        levels = np.percentile(voxels, np.arange(0, 101, 4))
        best = 0.0
        for i, low in enumerate(levels):
            for high in levels[i + 1 :]:
                chosen = (voxels >= low) & (voxels <= high)
                best = max(best, 2 * (chosen & target).sum() / (chosen.sum() + target.sum()))
        assert best < 0.5


def test_anatomy_varies(full_size):
    volumes = [(label > 0).sum() for _, label, _ in cases(full_size)]
    assert max(volumes) > 1.2 * min(volumes)


def test_contrasts_look_different():
    fluid = {}
    for contrast in CONTRASTS:
        image = make_phantom(np.random.default_rng(3), 56, contrast).image.astype(float)
        fluid[contrast] = image[27:29, 30:34, 34:36].mean() / image[10:46, 10:46, 10:46].mean()
    assert len(set(np.round(list(fluid.values()), 1))) > 1


def test_smooth_field_is_standardised_and_smooth():
    for width in (2.0, 9.0, 20.0):
        field = smooth_field(np.random.default_rng(0), 48, width)
        assert field.shape == (48, 48, 48)
        assert abs(field.mean()) < 1e-3 and abs(field.std() - 1) < 1e-3
        step = np.diff(field, axis=0).std()
        assert step < 2 / width


def test_dataset_json_is_in_msd_form(phantoms):
    content = json.loads((phantoms / "labelled" / "dataset.json").read_text())
    assert content["modality"] == {"0": "MRI"}
    assert content["labels"] == {"0": "background", "1": "Anterior", "2": "Posterior"}
    assert content["numTraining"] == len(content["training"]) == 8
    for pair in content["training"]:
        assert (phantoms / "labelled" / pair["image"]).exists() and (phantoms / "labelled" / pair["label"]).exists()


def test_complete_set_is_kept_and_a_damaged_one_made_again(tmp_path, capsys):
    target = tmp_path / "data"
    make_phantoms(str(target), num_unlabelled=1, num_labelled=1, size=56)
    before = files(target)
    stamp = (target / "phantoms.json").stat().st_mtime_ns
    make_phantoms(str(target), num_unlabelled=1, num_labelled=1, size=56)
    assert (target / "phantoms.json").stat().st_mtime_ns == stamp
    next((target / "unlabelled").iterdir()).unlink()
    make_phantoms(str(target), num_unlabelled=1, num_labelled=1, size=56)
    assert files(target) == before


def test_interrupted_set_leaves_no_half(tmp_path, monkeypatch):
    target = tmp_path / "data"
    with monkeypatch.context() as patch:
        patch.setattr("tools.phantoms._write_labelled", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make_phantoms(str(target), num_unlabelled=1, num_labelled=1, size=56)
    assert not target.exists()
    make_phantoms(str(target), num_unlabelled=1, num_labelled=1, size=56)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_other_content_and_settings_are_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="holds no phantoms"):
        make_phantoms(str(tmp_path), num_unlabelled=1, num_labelled=1)
    make_phantoms(str(tmp_path / "data"), num_unlabelled=1, num_labelled=1, size=56)
    with pytest.raises(InputError, match="other settings"):
        make_phantoms(str(tmp_path / "data"), num_unlabelled=2, num_labelled=1, size=56)
    with pytest.raises(InputError, match="at least 56"):
        make_phantoms(str(tmp_path / "small"), size=32)
