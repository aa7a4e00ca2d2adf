import math

import pytest
import torch
from monai.networks.blocks.pos_embed_utils import build_sincos_position_embedding

from scripts.errors import InputError
from scripts.networks.positions import sincos_positions


def test_3d_table_equals_a_plain_loop_in_the_order_h_w_d():
    table = sincos_positions((2, 3, 4), 24)[0]
    for number, place in enumerate((h, w, d) for h in range(2) for w in range(3) for d in range(4)):
        row = []
        for coordinate in place:
            angles = [coordinate / 10000 ** (i / 4) for i in range(4)]
            row += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        assert table[number].tolist() == pytest.approx(row, abs=1e-6)


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_monai_has_the_same_in_2d_and_swaps_two_axes_in_3d():
    torch.testing.assert_close(sincos_positions((3, 5), 16), build_sincos_position_embedding([3, 5], 16, 2).data)
    h, w, d = sincos_positions((2, 3, 4), 24).split(8, dim=2)
    theirs = build_sincos_position_embedding([2, 3, 4], 24, 3).data
    torch.testing.assert_close(torch.cat([w, h, d], dim=2), theirs)
    assert not torch.equal(torch.cat([h, w, d], dim=2), theirs)


def test_channels_that_the_axes_cannot_share_are_refused():
    with pytest.raises(InputError, match="multiple of 6"):
        sincos_positions((2, 2, 2), 16)
