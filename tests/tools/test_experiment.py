import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.data import curate, pretraining_scans
from scripts.data.cases import labelled_cases
from scripts.data.splits import split_cases
from scripts.errors import InputError
from tests.tools.fake_bundles import knobs_of, save
from tests.tools.fake_runs import FakeRuns
from tools.commands import EVERY_SCAN
from tools.experiment import work
from tools.experiment.__main__ import run_study
from tools.experiment.child import claimed, run_child
from tools.experiment.data import data_digest
from tools.experiment.expand import expand
from tools.experiment.places import Places
from tools.experiment.shards import share
from tools.experiment.study import read_study
from tools.experiment.units import unit_stages
from tools.facts import source_digest
from tools.held_out import list_held_out
from tools.overrides import effective_config
from tools.project import ROOT
from tools.report.__main__ import make_section
from tools.report.records import read_results

SMALLEST = ROOT / "studies" / "smallest.json"


@pytest.fixture
def study(phantoms):
    """The smallest study on phantoms that are there already."""
    found = read_study(SMALLEST)
    datasets = {"phantoms": {**found.datasets["phantoms"], "folder": "data/labelled"}}
    unlabelled = {"heads": {"folder": "data/unlabelled"}}
    return dataclasses.replace(found, generated=None, datasets=datasets, unlabelled=unlabelled)


@pytest.fixture
def places(phantoms, tmp_path):
    return Places(phantoms.parent, tmp_path / "out")


def records(places, study="smallest"):
    """Records by name, without what says when and for how long."""
    found = {}
    for path in (places.out / "records" / study).glob("*.json"):
        record = json.loads(path.read_text())
        for part in (record, record.get("pretraining") or {}):
            part.pop("timing", None)
        found[path.name] = record
    return found


def make_study(tmp_path, **changes):
    content = json.loads(SMALLEST.read_text()) | changes
    path = tmp_path / "study.json"
    path.write_text(json.dumps(content))
    return read_study(path)


def test_every_run_has_a_record_with_all_that_is_needed(study, places):
    runs = FakeRuns()
    assert run_study(study, places, run=runs) == 0
    found = records(places)
    names = [name for name in found if name.startswith("phantoms-")]
    assert len(names) == 10 and len(found) == 10 + 4 + 1
    record = found["phantoms-resenc-mae_heads-default-n3-seed1-fold0.json"]
    assert (record["seed"], record["budget"], record["initialisation"]) == (1, 3, "mae_heads")
    assert len(record["cases"]) == 12 and record["part"] == "test"
    assert record["curve"]["steps"] == [4, 8, 12] and record["loss"]["steps"] == [4, 8, 12]
    assert {"torch", "monai", "revision"} <= set(record["versions"]) and record["device"]
    assert record["pretraining"]["steps"] == 6 and f"{record['pretraining']['id']}.json" in found
    assert str(places.out) not in json.dumps(found) and str(places.data) not in json.dumps(found)
    assert found["phantoms-resenc-scratch-default-n3-seed0-fold0.json"]["pretraining"] is None
    assert run_study(study, places, run=runs) == 0 and len(runs.commands) == 10 * 2 + 4 * 3 + 2


def test_pretrainings_are_shared_and_cost_is_matched(study, places):
    runs = FakeRuns()
    study = dataclasses.replace(study, budgets=[3, 4], seeds=[0])
    assert run_study(study, places, run=runs) == 0
    trained = [
        c for c in runs.commands if "bundles/spark3d_pretrain" in c and knobs_of(c)["output_dir"].endswith("training")
    ]
    assert len(trained) == 2  # one on the training images, one on heads, whatever the budget
    found = records(places)
    # 6 steps of pretraining are 6 steps, or at three times the operations 18, of training; an epoch has 4
    assert found["phantoms-resenc-scratch_added_steps-default-n3-seed0-fold0.json"]["steps"] == 20
    assert found["phantoms-resenc-scratch_matched_compute-default-n3-seed0-fold0.json"]["steps"] == 32


def test_operations_are_counted_alike_on_machines_with_and_without_a_gpu(study, tmp_path, monkeypatch):
    """A GPU keeps some convolutions apart that a CPU computes as one."""
    (unit, *_) = (unit for unit in expand(study, lambda folder: folder).units.values() if unit.kind == "cost")
    commands = []
    for has_gpu in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=has_gpu: there)
        (stage,) = unit_stages(unit, Places(tmp_path, tmp_path / "out"), {}, {})
        commands.append(stage.command)
    assert commands[0] == commands[1]


def test_matched_seconds_follow_from_the_records_of_both_trainings(study, places):
    matched = {"scratch": {}, "longer": {"pretrain_on": "heads", "match": "seconds"}}
    study = dataclasses.replace(study, initialisations=matched, seeds=[0])
    assert run_study(study, places, run=FakeRuns()) == 0
    # the fake's trainings take equal processor time: twice the steps; measured time, on a GPU, is but about equal
    record = records(places)["phantoms-resenc-longer-default-n3-seed0-fold0.json"]
    assert record["steps"] == 24 if record["device"].startswith("CPU") else record["steps"] >= 24


def test_all_arms_share_the_test_part_and_pretraining_never_sees_it(study, places):
    run_study(study, places, run=(runs := FakeRuns()))
    config = effective_config("hippocampus_segmentation", ["tiny"], {"num_folds": 3})
    cases = labelled_cases(places.data / "data" / "labelled", config["labels"], config["channels"])
    parts = split_cases(cases, num_folds=3, test_fraction=config["test_fraction"], seed=config["split_seed"])
    (listed,) = (json.loads(path.read_text()) for path in (places.out / "lists").glob("*.json"))
    assert [Path(entry["image"]).name for entry in listed] == [Path(case["image"]).name for case in parts["train"]]
    segmenting = [knobs_of(c) for c in runs.commands if "bundles/hippocampus_segmentation" in c]
    for knob in ("fold", "num_folds", "num_labelled", "dataset_dir"):
        assert len({knobs[knob] for knobs in segmenting}) == 1
    assert not any("split_seed" in knobs for knobs in segmenting)


def test_pretraining_on_several_datasets_takes_one_list_of_them(study, places):
    both = {"scratch": {}, "mae_both": {"pretrain_on": ["heads", "self"]}, "mae_self": {"pretrain_on": "self"}}
    study = dataclasses.replace(study, initialisations=both, seeds=[0], budgets=[3], pictures=0)
    assert run_study(study, places, run=(runs := FakeRuns())) == 0
    (target,) = (places.out / "lists").glob("heads+phantoms-fold0-*.json")
    (own,) = (places.out / "lists").glob("phantoms-fold0-*.json")
    listed = [Path(entry["image"]) for entry in json.loads(target.read_text())]
    heads = sorted((places.data / "data" / "unlabelled").glob("*.nii.gz"))
    self_only = json.loads(own.read_text())
    assert listed == [*heads, *(Path(entry["image"]) for entry in self_only)] and self_only
    assert {knobs_of(c)["dataset_dir"] for c in runs.commands if "bundles/spark3d_pretrain" in c} > {str(target)}
    pretrained_on = {r["pretrain_on"] for name, r in records(places).items() if name.startswith("pretraining-")}
    assert pretrained_on == {"heads + self", "self"}


def test_of_an_unlabelled_dataset_the_labelled_images_are_seen_too(study, phantoms, tmp_path):
    folder = tmp_path / "data" / "both"
    shutil.copytree(phantoms / "labelled", folder)
    (folder / "imagesTs").mkdir()
    shutil.copy(folder / "imagesTr" / "phantom_000.nii.gz", folder / "imagesTs" / "nobody_labelled.nii.gz")
    on = {"scratch": {}, "alone": {"pretrain_on": "heads"}, "with_self": {"pretrain_on": ["heads", "self"]}}
    datasets = {"phantoms": {**study.datasets["phantoms"], "folder": "both"}}
    unlabelled = {"heads": {"folder": "both"}}
    study = dataclasses.replace(study, datasets=datasets, unlabelled=unlabelled, initialisations=on, seeds=[0])
    places = Places(tmp_path / "data", tmp_path / "out")
    assert study.pictures == 1 and run_study(study, places, run=FakeRuns()) == 0
    scans = [scan["image"] for scan in pretraining_scans(folder)]
    (target,) = (places.out / "lists").glob("heads+phantoms-fold0-*.json")
    listed = [entry["image"] for entry in json.loads(target.read_text())]
    assert len(scans) == 8 + 1 and listed[:9] == scans and set(listed) == set(scans)
    shown = [json.loads(path.read_text()) for path in (places.out / "trainings").glob("pretraining-*/scans.json")]
    assert shown == [[{"image": str(folder / "imagesTr" / "phantom_001.nii.gz")}]] * 2


def test_no_training_image_is_left_out_of_a_pretraining_for_its_size_or_spacing(study, tmp_path):
    images = tmp_path / "images"
    for number in range(3):
        voxels = np.random.default_rng(number).random((8, 8, 3), dtype=np.float32)
        save(voxels, np.diag([1.0, 1.0, 8.0, 1.0]), images / f"thick_{number}.nii.gz")
    units = expand(study, lambda folder: folder).units.values()
    (knobs,) = {tuple(unit.knobs.get(key) for key in EVERY_SCAN) for unit in units if unit.dataset.startswith("OUTPUT")}
    thresholds = dict(zip(EVERY_SCAN, knobs, strict=True))
    assert len(curate(pretraining_scans(images), tmp_path / "account.csv", **thresholds)) == 3


def test_channel_files_side_by_side_are_one_held_out_scan(tmp_path):
    (tmp_path / "scans").mkdir()
    for name in ("a_0000", "a_0001", "b_0000", "b_0001"):
        (tmp_path / "scans" / f"{name}.nii.gz").touch()
    (tmp_path / "reconstruction.json").write_text(json.dumps({"cases": [{"case": "b"}]}))
    list_held_out(tmp_path / "reconstruction.json", tmp_path / "scans", 1, tmp_path / "list.json", num_channels=2)
    (listed,) = json.loads((tmp_path / "list.json").read_text())
    assert [Path(image).name for image in listed["image"]] == ["b_0000.nii.gz", "b_0001.nii.gz"]


def test_studies_that_divide_otherwise_keep_lists_of_their_own(study, places):
    small = dataclasses.replace(study, initialisations={"scratch": {}, "mae_self": {"pretrain_on": "self"}}, seeds=[0])
    entry = small.datasets["phantoms"]
    other = dataclasses.replace(small, datasets={"phantoms": {**entry, "knobs": {"num_folds": 3, "split_seed": 3}}})
    for one in (small, other):
        run_study(one, places, run=(runs := FakeRuns()))
        plan = expand(one, lambda folder: data_digest(places.data / folder))
        lists = {unit.dataset for unit in plan.units.values() if unit.kind == "pretraining"}
        assert {knobs_of(c)["dataset_dir"] for c in runs.commands} > {str(places.real(name)) for name in lists}
    assert len(list((places.out / "lists").glob("phantoms-fold0-*.json"))) == 2


@pytest.mark.parametrize("knobs", [{"test_fraction": 0.4}, {"split_seed": 3}])
def test_a_training_must_not_divide_otherwise_than_its_pretraining_is_told(study, places, knobs):
    networks = {"resenc": {**study.networks["resenc"], "knobs": knobs}}
    study = dataclasses.replace(
        study, networks=networks, initialisations={"scratch": {}, "own": {"pretrain_on": "self"}}
    )
    with pytest.raises(InputError, match=f"{next(iter(knobs))} is .* would see what validates or tests"):
        run_study(study, places, run=(runs := FakeRuns()))
    assert not runs.commands


def test_records_of_former_settings_are_set_aside(study, places):
    run_study(study, places, run=FakeRuns())
    before = records(places)
    edited = dataclasses.replace(study, networks={"resenc": {**study.networks["resenc"], "knobs": {"max_epochs": 4}}})
    (runs := FakeRuns()).stops_after = 2
    run_study(edited, places, run=runs)
    left = records(places)
    folder = places.out / "records" / "smallest"
    former = {path.name.removesuffix("-1.json"): json.loads(path.read_text()) for path in folder.glob("former/*.json")}
    assert set(former) == {name[:-5] for name in before if name.startswith("phantoms-")}
    assert {name: one["id"] for name, one in former.items()} == {name: before[f"{name}.json"]["id"] for name in former}
    assert len([name for name in left if name.startswith("phantoms-")]) <= 1


def test_what_other_code_has_finished_is_said_and_marked_in_the_report(study, places, monkeypatch, capsys, tmp_path):
    study = dataclasses.replace(
        study, initialisations={"scratch": {}, "mae_heads": {"pretrain_on": "heads"}}, seeds=[0]
    )
    note = partial(paired_note, places, tmp_path)
    monkeypatch.setattr(work, "source_digest", lambda: "former")
    assert run_study(study, places, only="*-scratch-*", run=FakeRuns()) == 0
    monkeypatch.undo()
    assert "is not the code" not in capsys.readouterr().out
    assert run_study(study, places, run=FakeRuns()) == 0
    said = capsys.readouterr().out
    assert "bundles/scripts is not the code by which these were finished: finetuning-" in said
    assert "give another --output_dir than" in said
    assert f"resenc · mae heads, cases 3 ({', '.join(sorted([source_digest(), 'former']))})" in note()
    scratch = places.out / "records" / "smallest" / "phantoms-resenc-scratch-default-n3-seed0-fold0.json"
    record = json.loads(scratch.read_text())
    assert record["code"] == ["former"]
    del record["code"]  # as an earlier release writes it
    scratch.write_text(json.dumps(record))
    assert f"({source_digest()}, unknown)" in note()
    scratch.write_text(json.dumps(record | {"code": [source_digest()]}))
    assert "hashes of bundles/scripts" not in note()


def test_a_training_continued_by_other_code_is_of_both(study, places, monkeypatch):
    study = dataclasses.replace(study, initialisations={"scratch": {}}, seeds=[0])
    (runs := FakeRuns()).stops_after = 0
    monkeypatch.setattr(work, "source_digest", lambda: "former")
    assert run_study(study, places, run=runs) == 75
    monkeypatch.setattr(work, "source_digest", lambda: "later")
    assert run_study(study, places, run=FakeRuns()) == 0
    assert records(places)["phantoms-resenc-scratch-default-n3-seed0-fold0.json"]["code"] == ["former", "later"]


def paired_note(places, folder):
    section = make_section(read_results(places.out / "records")[0], folder / "figures")
    return next(table.note for table in section.tables if table.title == "Paired differences")


def test_records_of_runs_that_a_study_no_longer_has_are_set_aside(study, places):
    variants = {"default": {}, "slow": {"finetuning": {"max_lr": 1e-4}}}
    run_study(dataclasses.replace(study, variants=variants), places, run=FakeRuns())
    variants["slow"]["only_for"] = ["mae_heads"]
    run_study(dataclasses.replace(study, variants=variants), places, run=FakeRuns())
    folder = places.out / "records" / "smallest"
    left = {record["initialisation"] for record in records(places).values() if record.get("variant") == "slow"}
    assert "mae_heads" in left and "scratch" not in left
    assert any("-scratch-slow-" in path.name for path in folder.glob("former/*.json"))
    assert not any("-default-" in path.name for path in folder.glob("former/*.json"))


def test_a_pretraining_is_labelled_alike_whichever_run_is_made_first(study, places, tmp_path):
    variants = {"default": {}, "slow": {"finetuning": {"max_lr": 1e-4}}}
    study = dataclasses.replace(study, variants=variants)
    run_study(study, places, only="*-slow-*", run=FakeRuns())
    labels = {one["variant"] for one in records(places).values() if one.get("kind") == "pretraining"}
    assert labels == {"default"}


def test_seconds_of_a_training_that_was_killed_are_not_matched(study, places):
    matched = {"scratch": {}, "longer": {"pretrain_on": "heads", "match": "seconds"}}
    study = dataclasses.replace(study, initialisations=matched, seeds=[0])
    run_study(study, places, only="*-scratch-*", run=FakeRuns())
    for path in (places.out / "trainings").glob("finetuning-*/result.json"):
        result = json.loads(path.read_text())
        result["timing"]["training"]["attempts"] += 1  # as one that ended together with the tool leaves it
        path.write_text(json.dumps(result))
    with pytest.raises(InputError, match="seconds are unknown: match by flops"):
        run_study(study, places, run=FakeRuns())


@pytest.mark.parametrize("after", [1, 11, 33])
@pytest.mark.parametrize("how", ["interrupted_after", "stops_after"])
def test_broken_off_and_continued_gives_the_records_of_an_unbroken_study(study, places, tmp_path, after, how):
    whole = Places(places.data, tmp_path / "whole")
    assert run_study(study, whole, run=FakeRuns()) == 0
    runs = FakeRuns()
    setattr(runs, how, after)
    if how == "interrupted_after":
        with pytest.raises(KeyboardInterrupt):
            run_study(study, places, run=runs)
    else:
        assert run_study(study, places, run=runs) == 75
    setattr(runs, how, None)
    assert run_study(study, places, run=runs) == 0
    assert records(places) == records(whole)
    assert len(runs.commands) == 10 * 2 + 4 * 3 + 2 + 1  # only the command broken off runs twice


def test_several_at_once_give_the_same_records(study, places, tmp_path):
    whole = Places(places.data, tmp_path / "whole")
    assert run_study(study, whole, run=FakeRuns()) == 0
    assert run_study(study, places, jobs=3, run=FakeRuns()) == 0
    assert records(places) == records(whole)


def test_a_failed_run_is_reported_and_the_rest_goes_on(study, places, capsys):
    runs = FakeRuns()
    runs.fails_at = "--pretrained"
    assert run_study(study, places, run=runs) == 1
    assert len([name for name in records(places) if "scratch" in name]) == 6
    assert not any("mae" in name for name in records(places))
    said = capsys.readouterr().out
    assert "6 of 10 runs are recorded" in said and said.count("error: it diverged") == 4
    runs.fails_at = ""
    assert run_study(study, places, run=runs) == 0
    assert sum("mae" in name for name in records(places)) == 4


def test_what_needs_a_failed_pretraining_waits(study, places, capsys):
    runs = FakeRuns()
    runs.fails_at = "bundles/spark3d_pretrain --dataset_dir"
    assert run_study(study, places, run=runs) == 1
    assert "4 units of work: wait for one that is not finished" in capsys.readouterr().out


def test_shares_of_several_machines_are_the_study(study, places, tmp_path):
    whole = Places(places.data, tmp_path / "whole")
    assert run_study(study, whole, run=FakeRuns()) == 0
    merged = {}
    for number in (1, 2, 3):
        machine = Places(places.data, tmp_path / f"machine{number}")
        assert run_study(study, machine, shard=f"{number}/3", run=FakeRuns()) == 0
        part = records(machine)
        assert not set(part) & set(merged) - {"study.json"}
        merged |= part
    assert merged == records(whole)
    plan = expand(study, lambda folder: folder)
    with pytest.raises(InputError, match="2/4 for the second"):
        share(plan, "4/3")


def test_a_share_without_runs_has_nothing_to_do(study, places, capsys):
    few = dataclasses.replace(study, initialisations={"scratch": {}}, budgets=[3], seeds=[0])
    assert run_study(few, places, shard="2/2", run=FakeRuns()) == 0
    assert "share 2/2 has no runs: there are fewer groups" in capsys.readouterr().out and not records(places)
    with pytest.raises(InputError, match="no run is named 'nothing'"):
        run_study(few, places, shard="1/2", only="nothing", run=FakeRuns())


def test_one_row_is_repeated_by_its_pattern(study, places):
    assert run_study(study, places, only="phantoms-resenc-mae_heads-default-n3-*", run=FakeRuns()) == 0
    assert sum(name.startswith("phantoms-") for name in records(places)) == 2
    with pytest.raises(InputError, match="no run is named"):
        run_study(study, places, only="nothing", run=FakeRuns())


def test_it_says_first_what_it_will_do(study, places, capsys):
    runs = FakeRuns()
    assert run_study(study, places, dry_run=True, run=runs) == 0
    said = capsys.readouterr().out
    assert runs.commands == [] and not (places.out / "records").exists()
    assert "4 pretrainings, 10 trainings" in said and said.count("monai.bundle run") == 8 * 2 + 4 * 3


def test_every_seed_has_labelled_cases_of_its_own_where_asked(study):
    study = dataclasses.replace(study, budgets=[3, None], seeds=[0, 1])

    def subsets(asked):
        plan = expand(dataclasses.replace(study, subset_per_seed=asked), lambda folder: folder)
        labelled = [(run.labels, plan.units[run.unit].knobs.get("subset_seed")) for run in plan.runs]
        return {(labels["budget"], labels["seed"], subset) for labels, subset in labelled}, set(plan.units)

    (own, units), (shared, _) = subsets(True), subsets(False)
    assert own == {(3, 0, 0), (3, 1, 1), (None, 0, None), (None, 1, None)}
    assert shared == {(3, 0, None), (3, 1, None), (None, 0, None), (None, 1, None)}
    assert sum(name.startswith("cost") for name in units) == 2  # other cases cost the same


def test_a_variant_that_changes_nothing_adds_no_run(study):
    variants = {"default": {}, "half": {"pretraining": {"mask_ratio": 0.5}}}
    plan = expand(dataclasses.replace(study, variants=variants, seeds=[0]), lambda folder: folder)
    halved = [run.labels["initialisation"] for run in plan.runs if run.labels["variant"] == "half"]
    assert halved == ["scratch_matched_compute", "mae_self", "mae_heads"]  # another mask may cost another amount


def test_another_configuration_or_other_data_is_another_training(study):
    def units(changed, data="a"):
        return {run.name: run.unit for run in expand(changed, lambda folder: data).runs}

    assert units(study) == units(study)
    assert not set(units(study).values()) & set(units(study, "b").values())
    network = {**study.networks["resenc"], "knobs": {"max_epochs": 3, "max_lr": 0.01}}
    other = units(dataclasses.replace(study, networks={"resenc": network}))
    assert not set(units(study).values()) & set(other.values())


def test_the_data_hash_follows_names_and_content_not_the_place(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder / "sub").mkdir(parents=True)
        (tmp_path / folder / "sub" / "x.nii").write_bytes(b"1")
    assert data_digest(tmp_path / "a") == data_digest(tmp_path / "b")
    (tmp_path / "b" / "sub" / "x.nii").write_bytes(b"2")
    assert data_digest(tmp_path / "a") != data_digest(tmp_path / "b")
    assert data_digest(tmp_path / "a") == sha256(b"sub/x.nii 1 1").hexdigest()[:12]
    (tmp_path / "a" / os.fsdecode(b"M\xfcller.nii")).write_bytes(b"3")  # a name of another encoding
    assert data_digest(tmp_path / "a") == sha256(b"M\xfcller.nii 1 3" + b"sub/x.nii 1 1").hexdigest()[:12]
    with pytest.raises(InputError, match="--data_dir"):
        data_digest(tmp_path / "c")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "unknown colour; allowed are"),
        ({"reference": "none"}, "reference 'none' is none of"),
        ({"initialisations": {"scratch": {}, "a": {"pretrain_on": "x"}}}, "pretrains on 'x'; allowed are"),
        ({"initialisations": {"scratch": {}, "a": {"match": "steps"}}}, "with pretrain_on"),
        ({"variants": {"a": {"only_for": ["b"]}}}, "which are no initialisations"),
        ({"seeds": []}, "one value at least"),
        ({"networks": {"resenc": {}}}, "needs a pretraining bundle"),
        ({"networks": {"resenc": {"pretraining": {}}}}, "networks 'resenc', pretraining: bundle missing"),
        ({"networks": {"resenc": {"pretraining": {"config": []}}}}, "pretraining: unknown config; allowed are bundle"),
        ({"datasets": {"mine": {}}}, "datasets 'mine': bundle and folder missing; see docs/experiments.md"),
        ({"unlabelled": {"heads": {"knobs": {}}}}, "unlabelled 'heads': folder missing"),
    ],
)
def test_a_wrong_study_is_refused_in_one_line(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        make_study(tmp_path, **change)


def test_a_knob_that_no_bundle_has_is_refused_before_anything_runs(tmp_path):
    study = make_study(tmp_path, variants={"default": {"finetuning": {"max_eposh": 3}}})
    with pytest.raises(InputError, match="hippocampus_segmentation has no knob max_eposh"):
        expand(study, lambda folder: folder)


def test_a_command_stops_when_told_and_its_processor_time_is_counted(tmp_path):
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    ended = run_child([sys.executable, "-c", burn], tmp_path / "log", threading.Event(), {})
    assert ended.code == 0 and ended.cpu_seconds >= 0.3
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    start = time.monotonic()
    ended = run_child([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", stop, {})
    assert ended.code == -signal.SIGTERM and time.monotonic() - start < 10
    assert (tmp_path / "log").read_text().count("$ ") == 2


def test_processes_that_start_together_prepare_the_data_one_after_the_other(tmp_path):
    entered = threading.Event()

    def second():
        with claimed(tmp_path / "lock", wait=True):
            entered.set()

    thread = threading.Thread(target=second)
    with claimed(tmp_path / "lock", wait=True):
        thread.start()
        assert not entered.wait(0.3)
    assert entered.wait(10)
    thread.join()


def test_an_orphaned_command_keeps_others_from_its_folder(tmp_path):
    lock, script = tmp_path / "lock", tmp_path / "parent.py"
    script.write_text(
        "import sys, threading\nfrom pathlib import Path\nfrom tools.experiment.child import claimed, run_child\n"
        f"with claimed(Path({str(lock)!r})) as held:\n"
        f"    run_child([sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'], "
        f"Path({str(tmp_path / 'log')!r}), threading.Event(), {{}}, held)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/bundles"})
    log, orphan = tmp_path / "log", 0
    for _ in range(300):
        lines = log.read_text().split("\n") if log.exists() else []
        if len(lines) > 2:
            orphan = int(lines[-2])
            break
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    assert orphan, "the command did not start"
    with claimed(lock) as held:
        assert held is None
    os.kill(orphan, signal.SIGKILL)
    for _ in range(100):
        with claimed(lock) as held:
            if held is not None:
                break
        time.sleep(0.05)
    assert held is not None
