import dataclasses
import json
import re
import shutil
from fnmatch import fnmatch

import numpy as np
import pytest

from scripts.errors import InputError
from tests.tools.fake_runs import FakeRuns
from tools.experiment.__main__ import run_study
from tools.experiment.places import Places
from tools.experiment.study import read_study
from tools.project import ROOT
from tools.report.__main__ import make_section, report, sources_of_data
from tools.report.figures import label_efficiency, learning_curves
from tools.report.records import read_results


@pytest.fixture(scope="module")
def results(phantoms, tmp_path_factory):
    """Records of a study with two budgets and three seeds, made by a stand-in."""
    out = tmp_path_factory.mktemp("experiment")
    study = read_study(ROOT / "studies" / "smallest.json")
    datasets = {"phantoms": {**study.datasets["phantoms"], "folder": "data/labelled"}}
    unlabelled = {"heads": {"folder": "data/unlabelled"}}
    study = dataclasses.replace(
        study, generated=None, datasets=datasets, unlabelled=unlabelled, budgets=[3, None], seeds=[0, 1, 2], pictures=0
    )
    assert run_study(study, Places(phantoms.parent, out), run=FakeRuns()) == 0
    return out


def table(section, title):
    return next(found for found in section.tables if found.title == title)


def test_the_source_and_licence_of_the_data_are_those_of_the_bundle():
    study = dataclasses.asdict(read_study(ROOT / "studies" / "hippocampus_resenc_short.json"))
    told = "MSD Task04 Hippocampus, Vanderbilt University Medical Center; Antonelli et al. 2022, CC BY-SA 4.0"
    assert sources_of_data(study) == [f"hippocampus, as its bundle has it: {told}"]
    assert sources_of_data(study | {"generated": {"num_labelled": 3}}) == []
    assert sources_of_data(study | {"datasets": {"mine": {"bundle": "no_longer_here"}}}) == []


def test_scores_are_those_of_the_records(results, tmp_path):
    found = table(make_section(read_results(results)[0], tmp_path), "Test scores")
    assert len(found.rows) == 10 and found.rows[0][:4] == ["phantoms", "resenc · scratch", "3", "3"]
    values = []
    for seed in (0, 1, 2):
        path = results / "records" / "smallest" / f"phantoms-resenc-scratch-default-n3-seed{seed}-fold0.json"
        values.append([row["dsc"] for row in json.loads(path.read_text())["cases"]])
    means = np.mean(values, axis=1)
    assert found.rows[0][4] == f"{means.mean():.3f} ± {means.std(ddof=1):.3f}"


def test_every_row_is_repeated_by_the_command_and_the_runs_beside_it(results, tmp_path):
    section = make_section(read_results(results)[0], tmp_path)
    assert section.command == "python -m tools.experiment studies/smallest.json --output_dir experiments/smallest"
    names = [path.stem for path in (results / "records" / "smallest").glob("phantoms-*.json")]
    for title in ("Test scores", "Paired differences", "Convergence"):
        found = table(section, title)
        for row, pattern in zip(found.rows, found.runs, strict=True):
            matching = [name for name in names if fnmatch(name, pattern)]
            arm = row[1].split(" · ")[1].replace(" ", "_")
            assert len(matching) == 3 and all(f"-{arm}-default-n{row[2]}-" in name for name in matching)


def test_every_arm_is_compared_with_scratch_of_its_budget(results, tmp_path):
    found = table(make_section(read_results(results)[0], tmp_path), "Paired differences")
    assert len(found.rows) == 8 and "corrected for the 8 comparisons" in found.note
    assert not any(row[1][-9:] == "· scratch" for row in found.rows)


def test_the_page_needs_nothing_else_and_markdown_its_figures_only(results, tmp_path):
    page, text = tmp_path / "page", tmp_path / "docs" / "smallest.md"
    report(str(results), str(page), str(text))
    html = (page / "report.html").read_text()
    assert "<html" in html and not re.findall(r'(?:src|href)="(?!data:)', html)
    assert list((page / "figures").glob("*.png"))
    markdown = text.read_text()
    pictures = re.findall(r"!\[.*\]\((.*)\)", markdown)
    assert pictures and all((text.parent / picture).exists() for picture in pictures)
    assert "30 trainings, 6 pretrainings" in markdown and str(results) not in markdown
    widths = [line.count("|") for line in markdown.split("## Test scores")[1].split("\n\n")[2].splitlines()]
    assert len(widths) == 12 and len(set(widths)) == 1


def test_pretrainings_stand_in_order(results, tmp_path):
    rows = table(make_section(read_results(results)[0], tmp_path), "Pretraining").rows
    assert [(row[1], row[3]) for row in rows] == [(on, seed) for on in ("heads", "self") for seed in ("0", "1", "2")]


def test_a_reconstruction_is_shown_once_however_many_seeds(results, tmp_path):
    shutil.copytree(results / "records", tmp_path / "records")
    records = sorted((tmp_path / "records" / "smallest").glob("pretraining-*.json"))
    for path in records:
        path.with_suffix(".png").write_bytes(b"a picture")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"pictures": [f"{path.stem}.png"]}))
    section = make_section(read_results(tmp_path)[0], tmp_path / "figures")
    shown = [picture for picture in section.pictures if "Held-out scan" in picture.caption]
    assert len(records) == 6 and len({picture.caption for picture in shown}) == len(shown) == 2
    assert sorted((tmp_path / "figures").glob("*pretraining*")) == sorted(picture.path for picture in shown)
    for path in records:
        path.with_suffix(".png").unlink()
    with pytest.raises(InputError, match=r"pretraining-.*\.png is missing: copy"):
        make_section(read_results(tmp_path)[0], tmp_path / "figures")


def test_half_a_study_is_reported_as_far_as_it_is(results, tmp_path):
    part = tmp_path / "records"
    part.mkdir()
    for path in (results / "records" / "smallest").glob("*.json"):
        if (
            path.name == "study.json"
            or "scratch-default-n3-seed0" in path.name
            or "heads-default-n3-seed1" in path.name
        ):
            (part / path.name).write_text(path.read_text())
    section = make_section(read_results(tmp_path)[0], tmp_path / "figures")
    assert len(table(section, "Test scores").rows) == 2 and table(section, "Paired differences").rows == []


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no records"):
        report(str(tmp_path))


def copied(results, tmp_path, change=lambda record: record, **study):
    """Copy the records with changes of the trainings' and of the study."""
    folder = tmp_path / "records"
    folder.mkdir()
    for path in (results / "records" / "smallest").glob("*.json"):
        content = json.loads(path.read_text())
        content = content | study if path.name == "study.json" else content
        content = change(content) if path.name.startswith("phantoms-") else content
        if content is not None:
            (folder / path.name).write_text(json.dumps(content))
    return make_section(read_results(tmp_path)[0], tmp_path / "figures")


def test_arms_are_compared_with_their_own_variant_or_left_out(results, tmp_path):
    """A difference between two settings must not pass for one that pretraining makes."""
    slow, lean = {"finetuning": {"max_lr": 1e-4}}, {"pretraining": {"network_def#decoder": "lean"}}

    def compared(name, variants, with_scratch=True):
        def change(record):
            scratch = record["initialisation"] == "scratch"
            if scratch and (not with_scratch or name == "lean"):
                return record if with_scratch else None
            return record | {"variant": name}

        folder = tmp_path / f"{name}_{with_scratch}_{len(variants[name])}"
        folder.mkdir()
        tables = copied(results, folder, change, variants=variants).tables
        rows = [row for found in tables if found.title == "Paired differences" for row in found.rows]
        return {row[3] for row in rows if row[1].startswith("resenc · mae heads")}

    assert compared("slow", {"default": {}, "slow": slow}) == {"resenc · scratch · slow"}
    assert compared("slow", {"default": {}, "slow": slow}, with_scratch=False) == set()
    assert compared("lean", {"default": {}, "lean": lean}) == {"resenc · scratch"}
    only = {**slow, "only_for": ["mae_heads"]}
    assert compared("slow", {"default": {}, "slow": only}) == set()  # scratch was not run as the default


def test_what_a_killed_write_left_is_no_record(results, tmp_path):
    folder = tmp_path / "records"
    shutil.copytree(results / "records" / "smallest", folder)
    (folder / ".writing-abcphantoms.json").write_text("{")
    assert len(read_results(tmp_path)) == 1


def test_parts_of_a_study_are_to_be_merged_first(results, tmp_path):
    for part in ("part_1", "part_2"):
        shutil.copytree(results / "records" / "smallest", tmp_path / part)
    with pytest.raises(InputError, match="2 parts of smallest: copy their records into one folder"):
        report(str(tmp_path))


def test_many_lines_have_room_beside_their_legend(results, tmp_path, recwarn):
    arms = read_results(results)[0].arms
    many = [
        dataclasses.replace(arm, key=(*arm.key[:3], f"{number}", arm.key[4])) for number in range(8) for arm in arms
    ]
    for draw in (learning_curves(many, "many"), label_efficiency(many, "many", 20)):
        draw.savefig(tmp_path / "figure.png")
        assert draw.axes[0].get_position().height > 0.3
    assert not [warning for warning in recwarn if "collapsed" in str(warning.message)]


def test_a_study_that_was_cut_down_shows_what_it_asks_for(results, tmp_path):
    section = copied(results, tmp_path, seeds=[1], initialisations={"scratch": {}, "mae_heads": {}})
    assert section.facts["seeds"] == "1" and section.facts["runs"] == "4 trainings, 1 pretrainings"


def test_distances_in_voxels_are_called_so_and_units_are_not_mixed(results, tmp_path):
    def in_voxels(record, only=""):
        if only in record["initialisation"]:
            record["cases"] = [{**row, "hd95_voxel": row["hd95_mm"]} for row in record["cases"]]
            for row in record["cases"]:
                del row["hd95_mm"]
        return record

    assert "HD95 (voxel)" in table(copied(results, tmp_path, in_voxels), "Test scores").columns
    (tmp_path / "mixed").mkdir()
    with pytest.raises(InputError, match="hd95_mm and hd95_voxel: give one distance_unit"):
        copied(results, tmp_path / "mixed", lambda record: in_voxels(record, only="mae"))


def test_right_empty_answers_are_counted_and_their_rule_is_said(results, tmp_path):
    assert "rightly leaves it empty" not in table(copied(results, tmp_path), "Paired differences").note
    (tmp_path / "healthy").mkdir()

    def healthy(record):
        for row in record["cases"]:
            if row["case"] in ("phantom_000", "phantom_001"):
                value = None if record["initialisation"] == "scratch" else 0.0
                row |= {"dsc": value, "nsd": value, "hd95_mm": value}
        return record

    section = copied(results, tmp_path / "healthy", healthy)
    note = table(section, "Paired differences").note
    assert "the empty answer scores DSC 1" in note and "That is so in up to 2 test cases of a row." in note
    values = []
    for seed in (0, 1, 2):
        path = tmp_path / "healthy" / "records" / f"phantoms-resenc-scratch-default-n3-seed{seed}-fold0.json"
        rows = json.loads(path.read_text())["cases"]
        values.append(np.mean([row["dsc"] for row in rows if row["dsc"] is not None]))
    first = table(section, "Test scores").rows[0]
    assert first[4] == f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    assert first[7] == "–"  # the only case with a distance is one of them


def test_the_mean_is_over_the_reported_classes(results, tmp_path):
    one = json.loads(next((results / "records" / "smallest").glob("phantoms-*.json")).read_text())
    name = one["cases"][0]["class"]
    found = table(copied(results, tmp_path, lambda record: record | {"reported_classes": [name]}), "Test scores")
    values = []
    for seed in (0, 1, 2):
        path = tmp_path / "records" / f"phantoms-resenc-scratch-default-n3-seed{seed}-fold0.json"
        rows = json.loads(path.read_text())["cases"]
        assert len({row["class"] for row in rows}) > 1
        values.append(np.mean([row["dsc"] for row in rows if row["class"] == name]))
    assert found.rows[0][4] == f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


def test_a_dataset_whose_arms_share_no_seed_leaves_the_rest_of_the_report(results, tmp_path):
    folder = tmp_path / "records"
    shutil.copytree(results / "records" / "smallest", folder)
    study = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(study | {"datasets": {**study["datasets"], "other": {}}}))
    for number, start in enumerate(study["initialisations"]):
        name = f"phantoms-resenc-{start}-default-n3-seed{number % 3}-fold0.json"
        other = json.loads((folder / name).read_text()) | {"dataset": "other"}
        (folder / name.replace("phantoms", "other")).write_text(json.dumps(other))
    section = make_section(read_results(tmp_path)[0], tmp_path / "figures")
    assert {row[0] for row in table(section, "Test scores").rows} == {"phantoms", "other"}
    assert not any(found.title.startswith("Ranks") for found in section.tables)
