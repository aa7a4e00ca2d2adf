import ast
import json

import pytest

from scripts.handlers.schedule import SHAPES
from tests.tools.fake_bundles import knobs_of
from tools.experiment.expand import expand
from tools.experiment.places import Places
from tools.experiment.study import read_study
from tools.experiment.units import FINETUNING, PRETRAINING, unit_stages
from tools.overrides import effective_config
from tools.project import ROOT

STUDIES = sorted((ROOT / "studies").glob("*.json"))
IDS = [path.stem for path in STUDIES]
RESULTS = {"flops_per_step": 2, "device": "CPU", "timing": {"training": {"cpu_seconds": 1, "seconds": 1}}}


class Anything(dict):
    def __missing__(self, key):
        return RESULTS


@pytest.mark.parametrize("path", STUDIES, ids=IDS)
def test_every_command_gives_knobs_that_its_config_has(path, tmp_path):
    plan = expand(read_study(path), lambda folder: folder)
    assert plan.runs
    checked = set()
    for unit in plan.units.values():
        for stage in unit_stages(unit, Places(tmp_path, tmp_path / "out"), Anything(), {"num_workers": 0}):
            knobs = knobs_of(stage.command)
            if "monai.bundle" not in stage.command:
                continue
            bundle, *_ = knobs.pop("bundle_root").split("/")[1:]
            files = ast.literal_eval(knobs.pop("config_file"))
            assert all((ROOT / file).exists() for file in files)
            shape = (tuple(files), tuple(knobs))
            if shape not in checked and "/inference.json" not in files[0]:
                checked.add(shape)
                overlays = [file.rsplit("/", 1)[1].removesuffix(".json") for file in files[1:]]
                effective_config(bundle, overlays, knobs)  # refuses knobs that do not exist


@pytest.mark.parametrize("path", STUDIES, ids=IDS)
def test_pictures_are_drawn_by_the_network_that_was_trained(path, tmp_path):
    for unit in expand(read_study(path), lambda folder: folder).units.values():
        if unit.kind == PRETRAINING and unit.pictures:
            *_, pictures = unit_stages(unit, Places(tmp_path, tmp_path / "out"), Anything(), {})
            given = {key: value for key, value in knobs_of(pictures.command).items() if key.startswith("network_def")}
            assert given.keys() == {key for key in unit.knobs if key.startswith("network_def")}


@pytest.mark.parametrize("path", STUDIES, ids=IDS)
def test_phases_fit_into_every_training_and_something_is_validated(path):
    plan = expand(read_study(path), lambda folder: folder)
    for unit in {unit.config: unit for unit in plan.units.values() if unit.kind != "cost"}.values():
        config = effective_config(unit.bundle, list(unit.configs), unit.knobs)
        phases = config["phases"] if isinstance(config["phases"], list) else config["pretrained_phases"]
        assert all(shape in SHAPES for _, shape, _ in phases) and phases[-1][2] is None
        assert sum(steps for *_, steps in phases[:-1]) < config["max_epochs"] * config["steps_per_epoch"]
        assert config["max_epochs"] % config["val_interval"] == 0


def test_every_study_but_the_smallest_exists_in_both_sizes():
    own = ("smallest", "hippocampus_unetr", "hippocampus_nnformer")
    names = {name for name in IDS if name not in own and not name.endswith("_short")}
    paper = {name.removesuffix("_paper") for name in names if name.endswith("_paper")} - {"btcv_unetr", "btcv_nnformer"}
    assert paper == {name for name in names if not name.endswith("_paper")}


def test_studies_are_three_seeds_at_least_and_titled_by_their_own_file():
    for path in STUDIES:
        study = read_study(path)
        assert study.name == path.stem and (len(study.seeds) >= 3 or path.stem == "smallest")
        assert "title" in json.loads(path.read_text())


@pytest.mark.parametrize("name", [name for name in IDS if name.startswith("mask_ratio")])
def test_what_is_pretrained_at_a_ratio_is_chosen_at_it(name):
    units = expand(read_study(ROOT / f"studies/{name}.json"), lambda folder: folder).units.values()
    configs = [
        effective_config(unit.bundle, list(unit.configs), unit.knobs) for unit in units if unit.kind == PRETRAINING
    ]
    ratios = {(str(config["mask_ratio"]), config["val_mask_ratio"]) for config in configs}
    assert len(ratios) > 4
    assert all(trained == str(validated) for trained, validated in ratios if not trained.startswith("["))


@pytest.mark.parametrize("name", ["sparsification", "pretraining_length"])
@pytest.mark.parametrize("size", ["", "_paper"])
def test_tables_of_the_spark3d_paper_hide_three_quarters(name, size):
    """Both tables have the row 71.66, which is that of 75 % in Table 2b."""
    plan = expand(read_study(ROOT / f"studies/{name}{size}.json"), lambda folder: folder)
    for unit in plan.units.values():
        if unit.kind == PRETRAINING:
            assert effective_config(unit.bundle, list(unit.configs), unit.knobs)["mask_ratio"] == 0.75


@pytest.mark.parametrize("name", [name for name in IDS if name.endswith("_paper")])
def test_no_schedule_is_trained_twice(name):
    seen = set()
    for unit in expand(read_study(ROOT / f"studies/{name}.json"), lambda folder: folder).units.values():
        config = effective_config(unit.bundle, list(unit.configs), unit.knobs)
        if unit.kind == FINETUNING and unit.pretrained:
            rate = 1e-3 if isinstance(config["max_lr"], str) else config["max_lr"]  # of "$1e-3 if @pretrained else ..."
            what = {
                key: config[key]
                for key in ("transfer", "pretrained_phases", "max_epochs", "seed", "fold", "num_labelled")
            }
            seen.add(json.dumps([unit.pretrained, rate, what]))
    units = expand(read_study(ROOT / f"studies/{name}.json"), lambda folder: folder).units.values()
    assert len(seen) == sum(unit.kind == FINETUNING and unit.pretrained is not None for unit in units)
