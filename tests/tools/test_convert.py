"""Files with nnU-Net's and nnssl's names, made here of the library's own network, into ours and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet
from torch import nn

from scripts.checkpoints import load_weights, transfer_weights
from scripts.errors import InputError
from scripts.networks import ResEncUNet, Spark3D
from tools import convert

SMALL = {"features": (4, 8, 8), "num_blocks": (1, 2, 1), "strides": (1, 2, 2)}
LARGE = {"features": (32, 64, 128, 256, 320, 320), "num_blocks": (1, 3, 4, 6, 6, 6), "strides": (1, 2, 2, 2, 2, 2)}


def library_network(channels: int = 1, classes: int = 3, form: dict = SMALL) -> ResidualEncoderUNet:
    """nnU-Net's network for a plan, as it builds it."""
    return ResidualEncoderUNet(
        channels, len(form["features"]), form["features"], nn.Conv3d, 3, form["strides"], form["num_blocks"],
        num_classes=classes, n_conv_per_stage_decoder=1,
        conv_bias=True, norm_op=nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True}, deep_supervision=False,
    )  # fmt: skip


def nnunet_load(network: nn.Module, file: Path) -> None:
    """What nnU-Net does with `-pretrained_weights`, by its description."""
    given = torch.load(file, weights_only=True)["network_weights"]
    own = network.state_dict()
    for key, value in own.items():
        if ".seg_layers." not in key:
            assert key in given and given[key].shape == value.shape, key
    network.load_state_dict({**own, **{k: v for k, v in given.items() if k in own and ".seg_layers." not in k}})


def zyx(volume: torch.Tensor) -> torch.Tensor:
    return volume.transpose(2, 4)


@pytest.fixture
def image() -> torch.Tensor:
    return torch.randn(1, 1, 16, 12, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("wrapped", [False, True])
def test_nnunet_gets_our_features(tmp_path: Path, image: torch.Tensor, wrapped: bool) -> None:
    ours = ResEncUNet(1, 1, weight_init="default", **SMALL).eval()
    model = Spark3D(ours, cell_size=(4, 4, 4)) if wrapped else ours
    torch.save({"model": model.state_dict()}, tmp_path / "model.pt")
    convert.to_nnunet(str(tmp_path / "model.pt"), str(tmp_path / "weights.pth"))
    theirs = library_network().eval()
    nnunet_load(theirs, tmp_path / "weights.pth")
    with torch.no_grad():
        for own, other in zip(ours.encoder(image), theirs.encoder(zyx(image)), strict=True):
            torch.testing.assert_close(zyx(other), own)
        assert theirs.encoder(zyx(image))[-1].std() > 0.1
    assert any((a != b).any() for a, b in zip(theirs.encoder(image)[:1], ours.encoder(image), strict=False))


def test_several_channels_divide_the_stem(tmp_path: Path, image: torch.Tensor) -> None:
    ours = ResEncUNet(1, 1, weight_init="default", **SMALL).eval()
    torch.save(ours.state_dict(), tmp_path / "model.pt")
    convert.to_nnunet(str(tmp_path / "model.pt"), str(tmp_path / "weights.pth"), in_channels=4)
    theirs = library_network(channels=4).eval()
    nnunet_load(theirs, tmp_path / "weights.pth")
    with torch.no_grad():
        features = theirs.encoder(zyx(image).expand(1, 4, -1, -1, -1))[-1]
        torch.testing.assert_close(zyx(features), ours.encoder(image)[-1])


def test_resenc_l_has_the_946_names_that_nnunet_wants() -> None:
    with torch.device("meta"):
        ours, theirs = ResEncUNet(1, 1, weight_init="default"), library_network(form=LARGE)
    given = convert.nnunet_names(ours.state_dict())
    wanted = {key: value.shape for key, value in theirs.state_dict().items() if ".seg_layers." not in key}
    assert {key: value.shape for key, value in given.items()} == wanted and len(given) == 946


def nnssl_file(path: Path, stale: bool, spark: bool) -> tuple[nn.Module, nn.ModuleDict]:
    """Write what nnssl writes; `stale` as its sparse networks do, whose `conv` and `norm` are never trained."""
    network = library_network(classes=1).eval()
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    if stale:
        weights |= {k: torch.full_like(v, 7) for k, v in weights.items() if ".conv." in k or ".norm." in k}
    extra = nn.ModuleDict({"densify_projs": nn.ModuleList([nn.Identity(), *(nn.Conv3d(8, 8, 3) for _ in range(2))])})
    content = {"network_weights": weights, "trainer_name": "Trainer", "_best_ema": np.float64(0.5), "current_epoch": 9}
    plan = {"spacing": [3, 2, 1], "patch_size": [32, 16, 8], "normalization_schemes": ["ZScore"]}
    plan = {"pretrain_plan": {"configurations": {"a": plan}}, "pretrain_num_input_channels": 1}
    if spark:
        tokens = {f"mask_tokens.{s}": torch.full((1, c, 1, 1, 1), float(s)) for s, c in enumerate((4, 8, 8))}
        content["spark_weights"] = {f"architecture.{k}": v for k, v in weights.items()} | weights | tokens
        content["spark_weights"] |= extra.state_dict()
        (path.parent / "adaptation_plan.json").write_text(json.dumps(plan))
    else:
        content["nnssl_adaptation_plan"] = plan
    torch.save(content, path)
    return network, extra


@pytest.mark.parametrize(("stale", "spark"), [(False, False), (True, False), (True, True)])
def test_nnssl_weights_give_nnssl_features(tmp_path: Path, image: torch.Tensor, stale: bool, spark: bool) -> None:
    theirs, extra = nnssl_file(tmp_path / "checkpoint_final.pth", stale, spark)
    convert.from_nnssl(str(tmp_path / "checkpoint_final.pth"), str(tmp_path / "model.pt"))
    ours = transfer_weights(ResEncUNet(1, 5, **SMALL).eval(), tmp_path / "model.pt", "encoder+decoder")
    with torch.no_grad():
        for own, other in zip(ours.encoder(image), theirs.encoder(zyx(image)), strict=True):
            torch.testing.assert_close(own, zyx(other))
    autoencoder = Spark3D(
        ResEncUNet(1, 1, **SMALL), cell_size=(4, 4, 4), sparse=spark, tokens=spark, densify=spark, execution="dense"
    )
    load_weights(autoencoder, tmp_path / "model.pt")
    with torch.no_grad():
        torch.testing.assert_close(autoencoder.network.eval()(image), zyx(theirs(zyx(image))))
    if spark:
        assert [float(token.detach().mean()) for token in autoencoder.mask_tokens] == [0, 1, 2]
        given = extra["densify_projs"][1].weight
        assert torch.equal(autoencoder.densify[1].weight, zyx(given))
    plan = torch.load(tmp_path / "model.pt", weights_only=True)["plan"]
    assert plan["spacing"] == [1, 2, 3] and plan["patch_size"] == [8, 16, 32] and plan["normalization"] == "ZScore"


def test_losses_of_a_former_numpy_are_read(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint_final.pth"
    content = {"network_weights": library_network().state_dict(), "_best_ema": np.float64(0.5)}
    torch.save(content, file, _use_new_zipfile_serialization=False)
    file.write_bytes(file.read_bytes().replace(b"numpy._core", b"numpy.core"))
    assert convert.read_nnssl(file)["_best_ema"] == 0.5


def test_there_and_back(tmp_path: Path) -> None:
    ours = ResEncUNet(1, 1, weight_init="default", **SMALL)
    torch.save(ours.state_dict(), tmp_path / "a.pt")
    convert.to_nnunet(str(tmp_path / "a.pt"), str(tmp_path / "b.pth"))
    convert.from_nnssl(str(tmp_path / "b.pth"), str(tmp_path / "c.pt"))
    back = torch.load(tmp_path / "c.pt", weights_only=True)["model"]
    state = {f"network.{k}": v for k, v in ours.state_dict().items() if ".seg_layers." not in k}
    assert set(back) == set(state) and all(torch.equal(back[k], v) for k, v in state.items())


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple:
            return (exec, (f"open({str(tmp_path / 'harm')!r}, 'w')",))

    torch.save({"network_weights": Harmful()}, tmp_path / "evil.pth")
    torch.save({"network_weights": nn.Linear(2, 2).state_dict()}, tmp_path / "linear.pth")
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    for name, message in {
        "evil.pth": "without running code",
        "linear.pth": "not of a residual-encoder U-Net",
        "none.pth": "neither spark_weights nor network_weights",
        "nowhere.pth": "does not exist",
    }.items():
        with pytest.raises(InputError, match=message) as told:
            convert.from_nnssl(str(tmp_path / name), str(tmp_path / "out.pt"))
        assert "\n" not in str(told.value)
    assert not (tmp_path / "harm").exists() and not (tmp_path / "out.pt").exists()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"mine")
    for conversion in (convert.to_nnunet, convert.from_nnssl):
        with pytest.raises(InputError, match="model.pt exists: remove it or write to another file"):
            conversion(str(tmp_path / "model.pt"), str(tmp_path / "model.pt"))
    assert (tmp_path / "model.pt").read_bytes() == b"mine"
