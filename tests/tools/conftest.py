import pytest

from tests.tools.fake_bundles import FakeRunner
from tools import demo_report, demo_settings
from tools.phantoms import make_phantoms


@pytest.fixture(autouse=True)
def interface(monkeypatch):
    """What the segmentation bundle is for, without its config."""
    config = {"labels": {"Anterior": 1, "Posterior": 2}, "channels": ["MRI"]}
    for module in (demo_settings, demo_report):
        monkeypatch.setattr(module, "segmentation_config", lambda: config)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """A small generated data set."""
    folder = tmp_path_factory.mktemp("phantoms") / "data"
    make_phantoms(str(folder), num_unlabelled=3, num_labelled=4, size=56)
    return folder


@pytest.fixture
def runner(phantoms):
    return FakeRunner(phantoms)
