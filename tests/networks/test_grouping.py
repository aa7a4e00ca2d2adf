import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from scripts.errors import InputError
from scripts.networks import UNETR, NNFormer, NNFormerMAE, ResEncUNet, Spark3D, ViTClassifier, ViTMAE, parameter_groups

WINDOWS = {"embed_dim": 12, "num_heads": (1, 2, 3, 6), "windows": (2, 2, 4, 2), "stem_strides": (2, 1)}
CONV = {"features": (4, 6, 8), "num_blocks": (1, 2, 1), "strides": (1, 2, 2)}
TOKENS = {"patch_size": 4, "hidden_size": 12, "depth": 12, "num_heads": 2}

NETWORKS = {
    "resenc": lambda: ResEncUNet(1, 3, **CONV),
    "spark3d": lambda: Spark3D(ResEncUNet(1, 1, **CONV)),
    "mae": lambda: ViTMAE(1, (8, 8, 8), 12, 1, 2, **TOKENS),
    "nnformer_mae": lambda: NNFormerMAE(NNFormer(1, 3, **WINDOWS), decoder_dim=24, decoder_depth=1, decoder_heads=2),
    "unetr": lambda: UNETR(1, 3, (8, 8, 8), feature_size=2, **TOKENS),
    "classifier": lambda: ViTClassifier(3, 5, (8, 8), **TOKENS),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]()


def groups_by_parameter(network, **options):
    """Return name -> (group, number of groups that have it)."""
    names = {id(p): name for name, p in network.named_parameters()}
    found = {}
    for group in parameter_groups(network, **options):
        for parameter in group["params"]:
            assert names[id(parameter)] not in found
            found[names[id(parameter)]] = group
    return found


@pytest.mark.parametrize("options", [{}, {"layer_decay": 0.75}, {"layer_decay": 0.5, "weight_decay_1d": False}])
def test_every_trained_parameter_is_in_one_group(network, options):
    found = groups_by_parameter(network, **options)
    assert found.keys() == {name for name, p in network.named_parameters() if p.requires_grad}
    stem = {name for name, group in found.items() if group["name"] == "stem"}
    encoder = {name for name, group in found.items() if group["name"] == "encoder"}
    assert stem == {name for name in found if name.startswith(network.stem)} and stem
    assert stem | encoder == {name for name in found if name.removeprefix("network.").startswith("encoder.")}
    torch.optim.AdamW(parameter_groups(network, **options), lr=1e-3)


def test_without_switches_there_are_three_groups_that_are_treated_alike(network):
    groups = parameter_groups(network)
    assert [group["name"] for group in groups] == ["stem", "encoder", "decoder"]
    assert all(group["lr_scale"] == 1 and "weight_decay" not in group for group in groups)


def test_rates_of_the_paper():
    """SelfMedMAE: 0.75 ** (13 - id); id 0 = patches, token, positions (.0238); i + 1 = block i; 13 = all else."""
    for name, group in groups_by_parameter(NETWORKS["unetr"](), layer_decay=0.75).items():
        layer = 13
        if name in ("encoder.class_token", "encoder.position_embedding") or "patch_embedding" in name:
            layer = 0
            assert group["lr_scale"] == pytest.approx(0.0238, abs=5e-5)
        for block in range(12):
            if name.startswith(f"encoder.blocks.{block}."):
                layer = block + 1
        assert group["lr_scale"] == 0.75 ** (13 - layer)
        assert (group["lr_scale"] == 1) == (name.startswith(("decoder.", "encoder.norm.")))


def test_stages_of_a_unet_are_its_layers():
    found = groups_by_parameter(NETWORKS["spark3d"](), layer_decay=0.5)
    scales = {name: group["lr_scale"] for name, group in found.items()}
    assert {scale for name, scale in scales.items() if ".stem." in name} == {0.5**4}
    for stage in range(3):
        assert {s for n, s in scales.items() if n.startswith(f"network.encoder.stages.{stage}.")} == {
            0.5 ** (3 - stage)
        }
    assert {s for n, s in scales.items() if n.startswith(("network.decoder.", "mask_tokens.", "densify."))} == {1.0}


def test_what_is_spared_weight_decay(network):
    for name, group in groups_by_parameter(network, weight_decay_1d=False).items():
        spared = dict(network.named_parameters())[name].dim() == 1 or any(
            word in name for word in ("class_token", "mask_token", "position_embedding", "bias_table")
        )
        assert group.get("weight_decay") == (0.0 if spared else None), name


def test_ddps_wrapper_changes_nothing(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        network = NETWORKS["unetr"]()
        wrapped = parameter_groups(DistributedDataParallel(network), layer_decay=0.75, weight_decay_1d=False)
        plain = parameter_groups(network, layer_decay=0.75, weight_decay_1d=False)
        for one, other in zip(wrapped, plain, strict=True):
            assert [id(p) for p in one.pop("params")] == [id(p) for p in other.pop("params")] and one == other
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("layer_decay", [0, 1.5, "0.75", -1])
def test_a_decay_that_is_none_is_refused(layer_decay):
    with pytest.raises(InputError, match="layer_decay"):
        parameter_groups(NETWORKS["resenc"](), layer_decay)
