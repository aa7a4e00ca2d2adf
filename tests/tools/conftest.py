import pytest

from tests.tools.fake_bundles import FakeRunner
from tools.demo import report, settings, steps
from tools.phantoms import make_phantoms


@pytest.fixture(autouse=True)
def interface(monkeypatch):
    """What the segmentation bundle is for, without its config."""
    config = {
        "labels": {"Anterior": 1, "Posterior": 2},
        "channels": ["MRI"],
        "spacing": [1, 1, 1],
        "test_fraction": 0.2,
        "split_seed": 0,
    }
    for module in (settings, steps, report):
        monkeypatch.setattr(module, "segmentation_config", lambda: config)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """A small generated data set."""
    folder = tmp_path_factory.mktemp("phantoms") / "data"
    make_phantoms(str(folder), num_unlabelled=3, num_labelled=8, size=56)
    return folder


@pytest.fixture
def runner(phantoms):
    return FakeRunner(phantoms)
