"""Deciding class by class against MONAI's transforms on all classes at once."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    CropForegroundd,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
)

from scripts.errors import InputError
from scripts.transforms import InvertedLabelsd, Resampled, is_nonzero
from scripts.transforms.inverted_labels import likeliest

CLASSES = 5


@pytest.fixture
def preprocessing():
    return Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            Orientationd("image", axcodes="RAS", labels=None),
            Resampled("image", (1.0, 1.0, 1.0)),
            CropForegroundd("image", source_key="image", select_fn=is_nonzero),
            NormalizeIntensityd("image"),
        ]
    )


@pytest.fixture(params=[(slice(2, 11), slice(1, 9), slice(3, 9)), (slice(5), slice(None), slice(4, None))])
def data(request, preprocessing, tmp_path):
    """Return a preprocessed scan of other spacing and axes, with air around or in places, and smooth logits."""
    values = np.zeros((14, 12, 10), np.float32)
    values[request.param] = np.random.default_rng(0).normal(size=values[request.param].shape)
    affine = np.array([[0, -1.3, 0, 4], [0.8, 0, 0, 5], [0, 0, 2.1, 6], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "scan.nii.gz")
    item = preprocessing({"image": str(tmp_path / "scan.nii.gz")})
    torch.manual_seed(0)
    coarse = torch.randn(1, CLASSES, 4, 4, 4)
    logits = torch.nn.functional.interpolate(coarse, item["image"].shape[1:], mode="trilinear")[0] * 4
    return {**item, "pred": MetaTensor(logits, meta=item["image"].meta)}


def inverse(preprocessing):
    return Invertd("pred", preprocessing, orig_keys="image", nearest_interp=False)


def test_classes_are_those_of_softmax_inversion_and_argmax(data, preprocessing):
    plain = Compose([Activationsd("pred", softmax=True), inverse(preprocessing), AsDiscreted("pred", argmax=True)])
    expected = plain(dict(data))["pred"]
    logits = data["pred"].clone()
    labels = InvertedLabelsd("pred", preprocessing)(dict(data))["pred"]
    assert torch.equal(data["pred"], logits)
    assert labels.shape == (1, 14, 12, 10) and labels.dtype == expected.dtype and len(labels.unique()) == CLASSES
    assert torch.equal(labels.as_tensor(), expected.as_tensor()) and torch.equal(labels.affine, expected.affine)


def test_half_precision_changes_labels_only_where_two_classes_are_equally_likely(data, preprocessing):
    labels = InvertedLabelsd("pred", preprocessing)(dict(data))["pred"]
    half = InvertedLabelsd("pred", preprocessing)({**data, "pred": data["pred"].half()})["pred"]
    plain = Compose([Activationsd("pred", softmax=True), inverse(preprocessing)])(dict(data))["pred"].as_tensor()
    best, second = plain.topk(2, dim=0).values
    assert (best - second)[(labels != half)[0]].lt(0.01).all() and half.dtype == torch.float32


@pytest.mark.parametrize("order", [[1, 2, 3, 4, 5], [3, 1, 5, 2, 4]])
def test_regions_are_those_of_sigmoid_inversion_and_threshold(data, preprocessing, order):
    found = Compose([Activationsd("pred", sigmoid=True), inverse(preprocessing)])(dict(data))["pred"].as_tensor()
    expected = torch.zeros(14, 12, 10)
    for value, inside in zip(order, found > 0.5, strict=True):
        expected = torch.where(inside, float(value), expected)
    labels = InvertedLabelsd("pred", preprocessing, regions_class_order=order)(dict(data))["pred"]
    assert torch.equal(labels[0].as_tensor(), expected) and len(expected.unique()) > 3
    np.testing.assert_allclose(labels.affine, nib.load(data["image"].meta["filename_or_obj"]).affine, atol=1e-6)


def test_the_likeliest_class_and_the_denominator_are_those_of_softmax():
    logits = torch.randn(4, 200) * 30
    top, denominator = likeliest(logits)
    assert torch.equal(top.long(), logits.argmax(0))
    torch.testing.assert_close(denominator, logits.double().logsumexp(0).float(), atol=1e-6, rtol=1e-6)


def test_another_number_of_regions_is_refused(data, preprocessing):
    with pytest.raises(InputError, match=r"\[1, 2\] has 2 values for the network's 5 regions"):
        InvertedLabelsd("pred", preprocessing, regions_class_order=[1, 2])(data)
    for value in (256, -1, 1.5):
        with pytest.raises(InputError, match=r"regions_class_order is .*: .* give values from 0 to 255"):
            InvertedLabelsd("pred", preprocessing, regions_class_order=[1, value])


@pytest.mark.parametrize("order", [None, [1, 2, 3, 4, 5]])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_output_that_is_not_finite_is_no_empty_segmentation(data, preprocessing, order, value):
    logits = data["pred"].clone()
    logits[2, 1, 1, 1] = value
    with pytest.raises(InputError, match="output is NaN or infinite"):
        InvertedLabelsd("pred", preprocessing, regions_class_order=order)({**data, "pred": logits})
