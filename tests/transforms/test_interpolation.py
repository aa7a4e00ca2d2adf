import numpy as np
import torch
from scipy.ndimage import map_coordinates

from scripts.transforms import interpolation
from scripts.transforms.interpolation import neighbours, places, weights


def test_values_in_between_are_those_of_scipy_also_beyond_the_border():
    rng = np.random.default_rng(0)
    values, place = rng.normal(size=(7, 5, 9)), rng.uniform(-2, 10, size=(3, 4, 30, 20))
    index, part = neighbours(torch.from_numpy(place), values.shape)
    found = (weights(part) * torch.from_numpy(values).flatten()[index]).sum(dim=0)
    expected = map_coordinates(values, place.reshape(3, -1), order=1, mode="nearest")
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_slabs_together_are_where_the_affines_say(monkeypatch):
    monkeypatch.setattr(interpolation, "SLAB", 60)
    source = torch.tensor([[0, -1.3, 0, 4], [0.8, 0, 0, 5], [0, 0, 2.1, 6], [0, 0, 0, 1.0]])
    target = torch.tensor([[1.0, 0, 0, -3], [0, 0.9, 0.1, 2], [0, -0.1, 0.9, 1], [0, 0, 0, 1]])
    size = (8, 4, 5)
    parts, found = zip(*places(source, target, size), strict=True)
    assert [(part.start, part.stop) for part in parts] == [(0, 3), (3, 6), (6, 8)]
    voxels = np.stack([*np.indices(size).reshape(3, -1), np.ones(np.prod(size))])
    expected = np.linalg.solve(source.double(), target.double().numpy() @ voxels)[:3]
    np.testing.assert_allclose(torch.cat(found, dim=1).flatten(1), expected, atol=1e-6)
