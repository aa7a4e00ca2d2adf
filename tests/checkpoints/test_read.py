import os
import pickle
import shutil
import zipfile

import numpy as np
import pytest
import torch

from scripts.checkpoints import read_checkpoint
from scripts.errors import InputError

STATE = {"encoder.stem.weight": torch.arange(6.0)}


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "bundle" / "models").mkdir(parents=True)
    torch.save({"model": STATE, "plan": {"spacing": [1.0, 1.0, 1.0]}}, tmp_path / "bundle" / "models" / "model.pt")
    return tmp_path / "bundle"


def test_file_folder_and_zip_give_the_same(bundle, tmp_path):
    release = shutil.make_archive(str(tmp_path / "bundle_v1"), "zip", tmp_path, "bundle")
    for source in (bundle / "models" / "model.pt", bundle, str(bundle), release):
        checkpoint = read_checkpoint(source)
        assert torch.equal(checkpoint["model"]["encoder.stem.weight"], STATE["encoder.stem.weight"])
        assert checkpoint["plan"] == {"spacing": [1.0, 1.0, 1.0]}


def test_a_plain_state_dict_will_do(tmp_path):
    torch.save(STATE, tmp_path / "plain.pt")
    assert list(read_checkpoint(tmp_path / "plain.pt")["model"]) == list(STATE)


def test_losses_kept_as_numpys_numbers_do_no_harm(tmp_path):
    """nnU-Net and the official nnFormer keep them, and numpy before 2 writes them under another name."""
    content = {"state_dict": STATE, "plot_stuff": ([np.float64(0.5), np.float32(0.25)], [], [], [np.float64(0.75)])}
    torch.save(content, tmp_path / "new.model", _use_new_zipfile_serialization=False)
    (tmp_path / "old.model").write_bytes((tmp_path / "new.model").read_bytes().replace(b"numpy._core", b"numpy.core"))
    for name in ("new.model", "old.model"):
        state = read_checkpoint(tmp_path / name)["model"]
        assert torch.equal(state["encoder.stem.weight"], STATE["encoder.stem.weight"])


def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path):
    harm = tmp_path / "harm"
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Malicious(harm)))
    torch.save({"model": STATE, "more": Malicious(harm)}, tmp_path / "saved.pt")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.write(tmp_path / "saved.pt", "bundle/models/model.pt")
    for name in ("pickle.pt", "saved.pt", "evil.zip"):
        with pytest.raises(InputError, match=f"{name} is not a readable checkpoint"):
            read_checkpoint(tmp_path / name)
    assert not harm.exists()


def test_what_holds_no_weights_is_named(bundle, tmp_path):
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(InputError, match=r"no checkpoint at .*bundle/models/model\.pt: train first"):
        read_checkpoint(bundle)
    release = shutil.make_archive(str(tmp_path / "bundle_v1"), "zip", tmp_path, "bundle")
    with pytest.raises(InputError, match=r"bundle_v1\.zip holds no models/model\.pt"):
        read_checkpoint(release)
    for content in ([1], {"model": {}}, {"model": {"epoch": 3}}, torch.zeros(2)):
        torch.save(content, tmp_path / "odd.pt")
        with pytest.raises(InputError, match=r"odd\.pt holds no network weights"):
            read_checkpoint(tmp_path / "odd.pt")
