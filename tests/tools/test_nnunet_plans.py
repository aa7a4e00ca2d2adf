"""Plans for nnU-Net, compared with networks that the library builds by them; nnU-Net itself is in tests/e2e."""

from __future__ import annotations

import json
import pydoc
from pathlib import Path

import pytest
import torch
from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet

from scripts.errors import InputError
from scripts.networks import ResEncUNet, Spark3D
from tools import convert
from tools.new_bundle.pretrained import read_plan
from tools.nnunet_architecture import architecture
from tools.nnunet_plans import fitting_patch

FORM = {"features": (4, 8, 12, 12), "num_blocks": (1, 3, 2, 1), "strides": (1, 2, (2, 2, 1), 2)}
PRETRAINING = {"spacing": [1.0, 1.5, 2.0], "patch_size": [96, 64, 32], "normalization": "z-score over the crop"}


def planned(**configuration: object) -> dict:
    """What nnU-Net writes, as far as it is read here."""
    whole = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [64, 128, 128],
        "median_image_size_in_voxels": [100.0, 200.0, 300.0],
        "spacing": [4.0, 0.75, 0.5],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "architecture": {"network_class_name": "another"},
    }
    return {
        "dataset_name": "Dataset004_Hippocampus",
        "plans_name": "nnUNetResEncUNetLPlans",
        "original_median_spacing_after_transp": [4.0, 0.75, 0.5],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"2d": {}, "3d_fullres": whole | configuration},
    }


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A pretrained autoencoder with its plan."""
    model = Spark3D(ResEncUNet(1, 1, **FORM))
    torch.save({"model": model.state_dict(), "plan": PRETRAINING}, tmp_path / "model.pt")
    return str(tmp_path / "model.pt")


def converted(checkpoint: str, plans: dict, ending: str = ".nii.gz", **knobs: object) -> dict:
    """Convert with plans and read what was written beside them."""
    folder = Path(checkpoint).parent
    (folder / "dataset.json").write_text(json.dumps({"file_ending": ending}))
    (folder / "plans.json").write_text(json.dumps(plans))
    written = folder / f"{knobs.get('plans_name', 'nnUNetMAEPlans')}.json"
    for path in (folder / "weights.pth", written):
        path.unlink(missing_ok=True)
    convert.to_nnunet(checkpoint, str(folder / "weights.pth"), plans=str(folder / "plans.json"), **knobs)
    return json.loads(written.read_text())


def build(described: dict, channels: int = 1) -> ResidualEncoderUNet:
    """Build a network of a plan's architecture, as nnU-Net does."""
    named = {key: pydoc.locate(described[key]) for key in ("conv_op", "norm_op", "nonlin")}
    return ResidualEncoderUNet(channels, num_classes=3, **described | named)


@pytest.mark.parametrize("channels", [1, 3])
def test_network_of_the_plans_has_the_names_and_shapes_of_the_weights(checkpoint: str, channels: int) -> None:
    plans = converted(checkpoint, planned(normalization_schemes=["NoNormalization"] * channels))
    network = build(plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"], channels)
    weights = torch.load(Path(checkpoint).parent / "weights.pth", weights_only=True)["network_weights"]
    wanted = {key: value.shape for key, value in network.state_dict().items() if ".seg_layers." not in key}
    assert {key: value.shape for key, value in weights.items()} == wanted
    assert network.encoder.strides == [[1, 1, 1], [2, 2, 2], [1, 2, 2], [2, 2, 2]]


def test_plans_are_those_of_the_pretraining(checkpoint: str) -> None:
    plans = converted(checkpoint, planned())
    assert list(plans["configurations"]) == ["3d_fullres"] and plans["plans_name"] == "nnUNetMAEPlans"
    found = plans["configurations"]["3d_fullres"]
    assert found["spacing"] == [2.0, 1.5, 1.0] and found["data_identifier"] == "nnUNetMAEPlans_3d_fullres"
    assert found["median_image_size_in_voxels"] == [200, 100, 150]
    assert found["patch_size"] == [32, 64, 96]
    assert found["batch_size"] == 2 * 64 * 128 * 128 // (32 * 64 * 96)
    assert found["normalization_schemes"] == ["ZScoreNormalization"] and found["use_mask_for_norm"] == [False]
    assert plans["image_reader_writer"] == "NibabelIOWithReorient" and found["preprocessor_name"]
    assert converted(checkpoint, planned(), ".nrrd")["image_reader_writer"] == "SimpleITKIO"


def test_turned_axes_are_turned_back(checkpoint: str) -> None:
    turned = planned(spacing=[0.5, 4.0, 0.75], patch_size=[128, 64, 128], median_image_size_in_voxels=[300, 100, 200])
    turned |= {"transpose_forward": [2, 0, 1], "transpose_backward": [1, 2, 0]}
    turned["original_median_spacing_after_transp"] = [0.5, 4.0, 0.75]
    assert converted(checkpoint, turned) == converted(checkpoint, planned())


def test_without_a_plan_of_the_pretraining_nnunet_decides(checkpoint: str) -> None:
    torch.save(ResEncUNet(1, 1, **FORM).state_dict(), checkpoint)
    found = converted(checkpoint, planned(), plans_name="Mine")["configurations"]["3d_fullres"]
    assert found["spacing"] == [4.0, 0.75, 0.5] and found["patch_size"] == [64, 128, 128] and found["batch_size"] == 2
    assert found["normalization_schemes"] == ["CTNormalization"] and found["data_identifier"] == "Mine_3d_fullres"


def test_patches_cover_small_images_and_leave_two_voxels_of_the_bottleneck() -> None:
    strides = [[1, 1, 1]] + [[2, 2, 2]] * 5
    assert fitting_patch([160, 160, 160], [40, 130, 400], strides) == [64, 160, 160]
    assert fitting_patch([160, 100, 160], [5, 400, 400], strides) == [64, 96, 160]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plans: plans.pop("configurations"), "no plans of nnU-Net"),
        (lambda plans: plans["configurations"].pop("3d_fullres"), "has 2d, but no 3d_fullres"),
        (lambda plans: plans["configurations"]["3d_fullres"].pop("spacing"), "lacks spacing"),
        (lambda plans: plans.update(plans_name="nnUNetMAEPlans"), "choose another one"),
    ],
)
def test_wrong_plans_are_refused_before_anything_is_written(checkpoint: str, change, message: str) -> None:
    plans = planned()
    change(plans)
    with pytest.raises(InputError, match=message) as told:
        converted(checkpoint, plans)
    assert "\n" not in str(told.value) and not (Path(checkpoint).parent / "weights.pth").exists()


def test_plans_are_not_overwritten(checkpoint: str, tmp_path: Path) -> None:
    former = converted(checkpoint, planned())
    output, given = str(tmp_path / "other.pth"), str(tmp_path / "plans.json")
    torch.save(torch.load(checkpoint) | {"plan": PRETRAINING | {"spacing": [3, 3, 3]}}, checkpoint)
    with pytest.raises(InputError, match="nnUNetMAEPlans.json exists, .*: remove it or give another --plans_name"):
        convert.to_nnunet(checkpoint, output, plans=given)
    assert json.loads((tmp_path / "nnUNetMAEPlans.json").read_text()) == former and not Path(output).exists()
    convert.to_nnunet(checkpoint, output, plans=given, plans_name="Other")
    assert json.loads((tmp_path / "Other.json").read_text()) != former


def test_what_does_not_belong_together_is_refused(checkpoint: str, tmp_path: Path) -> None:
    output = str(tmp_path / "weights.pth")
    with pytest.raises(InputError, match="no readable plans file beside a dataset.json"):
        convert.to_nnunet(checkpoint, output, plans=str(tmp_path / "nowhere.json"))
    with pytest.raises(InputError, match="in_channels is 4, but .* is for 1"):
        converted(checkpoint, planned(), in_channels=4)
    encoder = {k: v for k, v in ResEncUNet(1, 1, **FORM).state_dict().items() if k.startswith("encoder.")}
    torch.save(encoder, checkpoint)
    with pytest.raises(InputError, match="encoder alone"):
        convert.to_nnunet(checkpoint, output)
    assert not Path(output).exists()


def trained(path: Path, **plans: object) -> ResidualEncoderUNet:
    """Write a checkpoint with the arguments of nnU-Net's trainer in it."""
    described = architecture(ResEncUNet(1, 1, **FORM).state_dict())
    network = build(described | plans.pop("arch_kwargs", {}))
    configuration = {"spacing": [3, 2, 1], "patch_size": [32, 16, 8], "normalization_schemes": ["ZScoreNormalization"]}
    whole = {"configurations": {"3d_fullres": configuration | {"use_mask_for_norm": [True]}}} | plans
    arguments = {"plans": whole, "configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")}
    torch.save({"network_weights": network.state_dict(), "init_args": arguments, "trainer_name": "nnUNetTrainer"}, path)
    return network


def test_bundles_can_be_planned_from_what_nnunet_trained(tmp_path: Path) -> None:
    trained(tmp_path / "checkpoint_final.pth")
    convert.from_nnssl(str(tmp_path / "checkpoint_final.pth"), str(tmp_path / "model.pt"))
    plan = read_plan(tmp_path / "model.pt")
    assert plan.network == "resenc" and plan.spacing == [1, 2, 3] and plan.patch_size == [8, 16, 32]
    assert plan.normalization == "z-score of the non-zero voxels, each channel"
    ours = ResEncUNet(1, 3, **{key.removeprefix("network_def#"): value for key, value in plan.ids.items()})
    assert {k: v.shape for k, v in ours.encoder.state_dict().items()} == {
        k.removeprefix("network.encoder."): v.shape
        for k, v in torch.load(tmp_path / "model.pt", weights_only=True)["model"].items()
        if k.startswith("network.encoder.")
    }


@pytest.mark.parametrize(
    ("plans", "message"),
    [
        ({"transpose_forward": [2, 0, 1]}, r"turn the axes \(transpose_forward \[2, 0, 1\]\)"),
        ({"arch_kwargs": {"kernel_sizes": [[1, 3, 3]] + [[3, 3, 3]] * 3}}, r"has a kernel of \[3, 3, 1\]"),
    ],
)
def test_networks_that_are_not_ours_are_refused(tmp_path: Path, plans: dict, message: str) -> None:
    trained(tmp_path / "checkpoint_final.pth", **plans)
    with pytest.raises(InputError, match=message):
        convert.from_nnssl(str(tmp_path / "checkpoint_final.pth"), str(tmp_path / "model.pt"))
    assert not (tmp_path / "model.pt").exists()
