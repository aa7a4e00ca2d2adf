"""The presets of Spark3D's pretraining fit the segmentation bundles that they are meant for."""

import pytest
import torch
from monai.bundle import ConfigParser

from tools.project import ROOT


def read(bundle, *names):
    folder = ROOT / "bundles" / bundle
    parser = ConfigParser(ConfigParser.load_config_files([folder / "configs" / f"{name}.json" for name in names]))
    with torch.device("meta"):
        network = parser.get_parsed_content("network_def")
    return network, {key: parser[key] for key in ("channels", "spacing", "patch_size", "normalization", "intensity")}


@pytest.mark.parametrize(
    ("preset", "name"), [("btcv", "btcv_segmentation"), ("braintumour", "msd_braintumour_segmentation")]
)
def test_pretraining_is_of_the_scans_and_the_network_of_finetuning(preset, name):
    mae, plan = read("spark3d_pretrain", "train", preset)
    network, wanted = read(name, "train", "resenc")
    assert plan == wanted
    mae.check_patch(plan["patch_size"])
    ours, theirs = mae.network.encoder.state_dict(), network.encoder.state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
