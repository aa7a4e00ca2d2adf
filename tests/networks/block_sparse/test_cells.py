import torch

from scripts.networks.block_sparse import Cells

MASK = torch.tensor([[[True, False, False]], [[False, True, True]]]).view(2, 1, 1, 1, 3)


def test_cells_are_ordered_by_sample_and_counted():
    where = Cells(MASK)
    assert where.positions == [[0, 0, 0, 1], [0, 0, 0, 2], [1, 0, 0, 0]]
    assert where.counts == [2, 1]


def test_gather_and_scatter_are_inverse_on_visible_voxels():
    where, volume = Cells(MASK), torch.randn(2, 5, 2, 4, 6)
    cells = where.gather(volume)
    assert torch.equal(cells[0], volume[0, :, :, :, 2:4])
    shown = (~MASK).repeat_interleave(2, 4).expand(2, 1, 2, 4, 6)
    assert torch.equal(where.scatter(cells), volume * shown)
    assert torch.equal(
        where.scatter(cells, torch.arange(5.0)), torch.where(shown, volume, torch.arange(5.0).view(5, 1, 1, 1))
    )


def test_a_halo_holds_visible_neighbours_of_the_same_sample_only():
    where = Cells(MASK)
    target, source, blank = where.halo((1, 1, 2), (0, 0, 1), (0, 0, 1))
    # padded cells are 4 wide: the last voxel of cell 0 is the first of cell 1, the first of cell 1 the last of cell 0
    assert dict(zip(target.tolist(), source.tolist(), strict=True)) == {3: 2, 4: 1}
    assert blank.tolist() == [0, 7, 8, 11]


def test_zeros_are_made_in_one_piece_and_used_once():
    where, values = (
        Cells(MASK),
        [torch.ones(n, dtype=dtype) for dtype in (torch.float, torch.double) for n in (7, 90000, 5)],
    )
    for value in values:
        zeros = where.zeros_like(value)
        assert zeros.shape == value.shape and zeros.dtype == value.dtype and not zeros.any()
        zeros += 1
    first, second = where.zeros_like(values[-1]), where.zeros_like(values[-1])
    assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()


def test_which_voxels_beyond_a_cell_are_inside():
    inside = Cells(MASK).inside((1, 1, 2), 1)
    assert inside.shape == (3, 1, 3, 3, 4)
    assert inside[:, 0, 1, 1].tolist() == [[True] * 4, [True, True, True, False], [False, True, True, True]]
    assert not inside[:, :, [0, 2]].any() and not inside[:, :, :, [0, 2]].any()
