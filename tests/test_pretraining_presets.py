"""The presets of pretraining fit the segmentation bundles that they are meant for."""

import pytest
import torch
from monai.bundle import ConfigParser

from scripts.losses import MaskedMSELoss
from tools.project import ROOT
from tools.render.card import read_card


def read(bundle, *names):
    folder = ROOT / "bundles" / bundle
    parser = ConfigParser(ConfigParser.load_config_files([folder / "configs" / f"{name}.json" for name in names]))
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def")
    return network, {key: parser[key] for key in ("channels", "spacing", "patch_size", "normalization", "intensity")}


@pytest.mark.parametrize("bundle", ["nnformer_mae_pretrain", "spark3d_pretrain", "vit_mae_pretrain"])
@pytest.mark.parametrize(("config", "scans"), [("train", "scans"), ("inference", "dataset#data#scans")])
def test_channel_files_side_by_side_are_one_case(tmp_path, bundle, config, scans):
    for name in ("a_0000", "a_0001", "b_0000", "b_0001"):
        (tmp_path / f"{name}.nii.gz").touch()
    parser = ConfigParser(ConfigParser.load_config_file(ROOT / "bundles" / bundle / "configs" / f"{config}.json"))
    parser.update({"dataset_dir": str(tmp_path), "output_dir": str(tmp_path / "out"), "channels": ["T1", "T2"]})
    assert [(scan["case"], len(scan["image"])) for scan in parser.get_parsed_content(scans)] == [("a", 2), ("b", 2)]


@pytest.mark.parametrize(
    ("preset", "name"),
    [
        ("synapse", "btcv_segmentation"),
        ("tumour", "msd_braintumour_segmentation"),
        ("acdc", "acdc_segmentation"),
        ("compact", "hippocampus_segmentation"),
    ],
)
def test_nnformer(preset, name):
    mae, plan = read("nnformer_mae_pretrain", "train", preset)
    default = read_card(name, ROOT).get("network") == "nnformer"
    network, wanted = read(name, "train", *([] if default else ["nnformer"]))
    assert plan == wanted
    assert mae.geometry == network.geometry and mae.settings["num_heads"] == network.settings["num_heads"]
    mae.check_patch(plan["patch_size"])
    ours, theirs = mae.encoder.state_dict(), network.encoder.state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
    assert all(block.drop_path.drop_prob == 0 for stage in mae.encoder.stages for block in stage)


@pytest.mark.parametrize(
    ("preset", "name"), [("btcv", "btcv_segmentation"), ("braintumour", "msd_braintumour_segmentation")]
)
def test_spark3d(preset, name):
    mae, plan = read("spark3d_pretrain", "train", preset)
    network, wanted = read(name, "train", "resenc")
    assert plan == wanted
    mae.check_patch(plan["patch_size"])
    ours, theirs = mae.network.encoder.state_dict(), network.encoder.state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


@pytest.mark.parametrize(
    ("configs", "parent", "pad_id"),
    [
        (("train", "evaluate", "tiny"), "validate#", "validate#item_transform"),
        (("inference", "tiny"), "", "dataset#item_transform"),
    ],
)
def test_dense_nnformer_restores_whole_volumes_whose_cells_are_smaller_than_its_targets(configs, parent, pad_id):
    folder = ROOT / "bundles/nnformer_mae_pretrain/configs"
    parser = ConfigParser(ConfigParser.load_config_files([folder / f"{name}.json" for name in configs]))
    parser.update({"network_def#mode": "dense", "network_def#cell_size": [2, 2, 2], "device": "cpu"})
    ids = ("network_def", "targets", pad_id, f"{parent}prepare_batch", f"{parent}inferer")
    network, targets, pad, masks, inferer = (parser.get_parsed_content(id_) for id_ in ids)
    assert network.target_size == (4, 4, 4)
    item = pad({"image": torch.randn(1, 18, 16, 21)})
    image, label, mask, _ = masks({"image": item["image"][None], "case": ["a"]}, "cpu")
    with torch.no_grad():
        found = inferer(image, network, *mask)
    assert MaskedMSELoss(targets)(found, label).isfinite()
