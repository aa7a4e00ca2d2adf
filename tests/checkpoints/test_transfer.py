import logging
import re

import pytest
import torch

from scripts.checkpoints import load_weights, transfer_weights
from scripts.errors import InputError
from scripts.networks import NNFormer, ResEncUNet, Spark3D

SMALL = {"features": (4, 6, 8), "num_blocks": (1, 1, 2), "strides": (1, 2, 2)}


def unet(seed, in_channels=1, out_channels=3, **options):
    torch.manual_seed(seed)
    return ResEncUNet(in_channels, out_channels, weight_init="default", **{**SMALL, **options})


@pytest.fixture
def pretrained(tmp_path):
    """Return the path of a masked autoencoder's checkpoint, and the network in it."""
    network = unet(1, out_channels=1)
    torch.save({"model": Spark3D(network).state_dict()}, tmp_path / "model.pt")
    return tmp_path / "model.pt", network


def copies(state):
    return {key: value.clone() for key, value in state.items()}


@pytest.mark.parametrize("parts", ["encoder", "encoder+decoder", "decoder"])
def test_exactly_the_wanted_parts_are_taken(pretrained, parts):
    path, source = pretrained
    network = unet(2)
    before, given = copies(network.state_dict()), source.state_dict()
    after = transfer_weights(network, path, parts).state_dict()
    assert any(not torch.equal(before[key], value) for key, value in after.items())
    for key, value in after.items():
        # the head predicts classes instead of the image; the decoder knows the encoder by a second name
        part = "encoder" if ".encoder." in f".{key}" else "decoder"
        wanted = part in parts.split("+") and ".seg_layers." not in key
        assert torch.equal(value, given[key] if wanted else before[key]), key


def test_all_keys_of_the_encoder_are_counted_in_the_report(pretrained, caplog):
    path, source = pretrained
    with caplog.at_level(logging.INFO):
        transfer_weights(unet(2), path)
    names = [name for name, _ in source.named_parameters()]  # each tensor once, whatever other names it has
    encoder, decoder = ([name for name in names if name.startswith(part)] for part in ("encoder.", "decoder."))
    assert len(encoder) + len(decoder) == len(names)
    assert f"{len(encoder)} tensors matched, 0 adapted (none), 0 skipped (none), {len(decoder)} left" in caplog.text


@pytest.mark.parametrize("prefix", ["", "module.", "network.", "module.network."])
def test_prefixes_of_wrappers_are_stripped(tmp_path, prefix):
    source, network = unet(1), unet(2)
    torch.save({f"{prefix}{key}": value for key, value in source.state_dict().items()}, tmp_path / "model.pt")
    transfer_weights(network, tmp_path / "model.pt", "encoder+decoder")
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("channels", [2, 4])
def test_a_repeated_stem_gives_the_features_of_one_channel(pretrained, channels, caplog):
    path, source = pretrained
    with caplog.at_level(logging.INFO):
        network = transfer_weights(unet(2, in_channels=channels), path)
    image = torch.randn(1, 1, 16, 16, 16)
    expected = source.encoder(image)
    for ours, theirs in zip(network.encoder(image.expand(1, channels, -1, -1, -1)), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert re.search(r"[1-9] adapted \(encoder\.stem", caplog.text)


def test_an_encoder_that_does_not_match_stops(pretrained, tmp_path):
    path, _ = pretrained
    before = copies((network := unet(2, features=(4, 6, 10))).state_dict())
    with pytest.raises(
        InputError, match=r"does not match this network: \d+ of \d+ tensors differ, first encoder\.stages\.2"
    ):
        transfer_weights(network, path)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    with pytest.raises(InputError, match="absent in the file"):
        transfer_weights(unet(2, num_blocks=(1, 1, 3)), path)
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="no encoder"):
        transfer_weights(unet(2), tmp_path / "other.pt")
    with pytest.raises(InputError, match="transfer is 'head'; allowed are encoder, encoder"):
        transfer_weights(unet(2), path, "head")


def test_two_stems_cannot_become_three(tmp_path):
    torch.save(unet(1, in_channels=2).state_dict(), tmp_path / "two.pt")
    with pytest.raises(InputError, match=r"encoder\.stem.*\(4, 2, 3, 3, 3\) in the file, \(4, 3, 3, 3, 3\) here"):
        transfer_weights(unet(2, in_channels=3), tmp_path / "two.pt")


def test_no_weights_leave_the_network_alone():
    before = copies((network := unet(1)).state_dict())
    assert load_weights(network, None) is network and transfer_weights(network, None) is network
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_weights_of_exactly_this_network_are_loaded(tmp_path):
    source = unet(1)
    torch.save({"model": source.state_dict()}, tmp_path / "model.pt")
    image = torch.randn(1, 1, 8, 8, 8)
    assert torch.equal(load_weights(unet(2).eval(), tmp_path / "model.pt")(image), source.eval()(image))
    with pytest.raises(InputError, match="does not fit this network: .* use the configuration"):
        load_weights(unet(2, out_channels=2), tmp_path / "model.pt")
    torch.save({"model": {**source.state_dict(), "extra": torch.zeros(1)}}, tmp_path / "more.pt")
    with pytest.raises(InputError, match="1 tensors are missing, extra or of another shape, first extra"):
        load_weights(unet(2), tmp_path / "more.pt")


def test_the_head_of_a_masked_autoencoder_stays_behind_even_if_it_fits(tmp_path):
    source = unet(1, in_channels=3, out_channels=3)
    torch.save({"model": Spark3D(source).state_dict(), "plan": {"method": "Spark3D"}}, tmp_path / "mae.pt")
    network = unet(2, in_channels=3)
    before = copies(network.state_dict())
    transfer_weights(network, tmp_path / "mae.pt", "encoder+decoder", {"background": 0, "a": 1, "b": 2})
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key] if ".seg_layers." in key else source.state_dict()[key]), key


def test_what_a_lean_decoder_did_not_train_stays_behind(tmp_path, caplog):
    source = unet(1, out_channels=1)
    torch.save({"model": Spark3D(source, decoder="lean").state_dict()}, tmp_path / "lean.pt")
    network = unet(2, out_channels=1)
    before = copies(network.state_dict())
    with caplog.at_level(logging.INFO):
        transfer_weights(network, tmp_path / "lean.pt", "encoder+decoder")
    finest = ("decoder.stages.1.", "decoder.transpconvs.1.", "decoder.seg_layers.")
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key] if key.startswith(finest) else source.state_dict()[key]), key
    assert "skipped (decoder.stages.1." in caplog.text


LABELS = {"background": 0, "anterior": 1, "posterior": 2}


def saved(tmp_path, classes, task="segmentation", **plan):
    torch.save({"model": unet(1).state_dict(), "plan": {"task": task, "classes": classes, **plan}}, tmp_path / "own.pt")
    return tmp_path / "own.pt"


@pytest.mark.parametrize(
    ("classes", "same"),
    [
        (LABELS, True),
        ({"Posterior": 2, "anterior": 1}, True),  # labels count by their value, and the background goes without saying
        ({"background": 0, "liver": 1, "tumour": 2}, False),
        ({"background": 0, "anterior": 2, "posterior": 1}, False),
        ({"whole": [1, 2], "core": 2}, False),
    ],
)
def test_a_head_is_kept_for_the_same_classes_only(tmp_path, caplog, classes, same):
    path, network = saved(tmp_path, LABELS), unet(2)
    with caplog.at_level(logging.INFO):
        transfer_weights(network, path, "encoder+decoder", classes)
    given = unet(1).state_dict()
    for key, value in network.state_dict().items():
        assert torch.equal(value, given[key]) == (same or ".seg_layers." not in key), key
    told = f"the head is new, for the classes {', '.join(classes)}: decoder.seg_layers.0.weight, decoder"
    assert (told in caplog.text) != same


def test_one_is_told_that_a_decoder_could_be_kept(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        transfer_weights(unet(2), saved(tmp_path, LABELS), "encoder", LABELS)
    assert "own.pt segments already: --transfer encoder+decoder would keep its decoder too" in caplog.text


def test_weights_for_other_voxels_are_refused(tmp_path):
    path = saved(tmp_path, LABELS, spacing=[2.0, 2.0, 2.0])
    load_weights(unet(2), path, spacing=(2, 2, 2.0))
    load_weights(unet(2), path)
    for other in ([1.0, 2.0, 2.0], [2.0, 2.0], [2.0]):
        with pytest.raises(InputError, match=r'trained on voxels of \[2.0, 2.0, 2.0\] mm, .* give --spacing "\[2.0'):
            load_weights(unet(2), path, spacing=other)


def test_weights_for_other_classes_are_refused_and_other_names_warned_of(tmp_path, caplog):
    path = saved(tmp_path, LABELS, labels=LABELS)
    load_weights(unet(2), path, classes={"background": 0, "Anterior": 1, "POSTERIOR": 2})
    assert caplog.text == ""
    load_weights(unet(2), path, classes={"background": 0, "liver": 1, "tumour": 2})
    assert "called ['background', 'anterior', 'posterior'], here ['background', 'liver', 'tumour']" in caplog.text
    with pytest.raises(
        InputError, match="trained for the labels .*'posterior': 2}, here they are {'one': 1}: give --l"
    ):
        load_weights(unet(2, out_channels=2), path, classes={"one": 1})
    regions = {"whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}
    path = saved(tmp_path, regions, labels={"background": 0, "a": 1, "b": 2, "c": 3})
    load_weights(unet(2), path, classes=regions)
    with pytest.raises(InputError, match='was trained for the regions .* give --regions "{.whole.: '):
        load_weights(unet(2), path, classes=regions | {"enhancing": 2})


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.1), (0.1, 0.0), (0.1, 0.1)])
def test_dropout_may_come_or_go(tmp_path, before, after):
    """The norm behind a dropout has another number, and is the same."""
    source, network = unet(1, dropout=before), unet(2, dropout=after)
    torch.save({"model": source.state_dict()}, tmp_path / "model.pt")
    transfer_weights(network, tmp_path / "model.pt", "encoder+decoder")
    given, taken = dict(source.named_parameters()), dict(network.named_parameters())
    assert given.keys() == taken.keys() and all(torch.equal(taken[key], value) for key, value in given.items())


def test_other_strides_of_a_unet_are_warned_of_and_not_run(tmp_path, caplog):
    path = saved(tmp_path, LABELS, network=unet(1).settings)
    same = unet(2, strides=((1, 1, 1), 2, [2, 2, 2]))
    assert load_weights(same, path) and transfer_weights(same, path) and caplog.text == ""
    transfer_weights(unet(2, strides=(1, [2, 2, 1], 2)), path)
    assert "pretrained with strides [1, 2, 2], here they are [1, [2, 2, 1], 2]: its features" in caplog.text
    with pytest.raises(InputError, match=r"trained with strides \[1, 2, 2\], here it is \[1, 2, 1\]"):
        load_weights(unet(2, strides=(1, 2, 1)), path)


@pytest.mark.parametrize(
    ("name", "value"), [("stem_strides", [[1, 2, 2], [1, 2, 2]]), ("down_paddings", [[0, 1, 1], [1, 1, 1]])]
)
def test_another_geometry_of_an_nnformer_is_refused(tmp_path, name, value):
    """No tensor's shape tells it."""
    small = {"embed_dim": 4, "num_heads": (1, 1, 1), "depths": (1, 1, 1), "windows": (2, 2, 2), "down_strides": (2, 2)}
    source, other = NNFormer(1, 2, **small), NNFormer(1, 2, **{**small, name: value})
    torch.save({"model": source.state_dict(), "plan": {"network": source.settings}}, tmp_path / "model.pt")
    for into in (load_weights, transfer_weights):
        assert into(NNFormer(1, 2, **small), tmp_path / "model.pt")
        with pytest.raises(InputError, match=f"was trained with {name} "):
            into(other, tmp_path / "model.pt")
