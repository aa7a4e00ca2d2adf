import pytest

from scripts.errors import InputError
from scripts.transforms import flipped_axes


@pytest.mark.parametrize(("flipped", "mirrored"), [([2, 0], []), ([0, 1, 2], [1, 0]), ((), [])])
def test_axes_come_in_order(flipped, mirrored):
    assert flipped_axes(flipped, mirrored) == sorted(flipped)


@pytest.mark.parametrize("axes", [[-1], [0, 0], [3], [1.0], ["0"], 0, "01", None])
def test_anything_but_different_axes_is_refused(axes):
    with pytest.raises(InputError, match=r"flip_axes is .*: give a list of different axes from 0 to 2"):
        flipped_axes(axes)


@pytest.mark.parametrize(
    ("flipped", "mirrored", "allowed"), [([0], [0, 1, 2], "[0]"), ([], [1], "[]"), ([1, 2], [2, 0], "[2]")]
)
def test_validation_sees_no_mirror_images_that_training_does_not_show(flipped, mirrored, allowed):
    with pytest.raises(InputError) as error:
        flipped_axes(flipped, mirrored)
    assert f"flip_axes is {flipped}, here mirror_axes is {mirrored}: validation" in str(error.value)
    assert str(error.value).endswith(f'give --mirror_axes "{allowed}"')
