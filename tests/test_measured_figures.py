"""Figures of time and memory in the model cards are those of the measurements that lie in docs/results."""

import json
import re
from functools import cache
from pathlib import Path
from statistics import mean, stdev

import pytest

from scripts.data.dataset_json import paired_images
from scripts.data.splits import split_cases
from scripts.files import save_json
from scripts.flags import flags
from tools.measure import main as measure
from tools.project import ROOT
from tools.report.__main__ import report
from tools.report.records import case_scores, read_results, score_table
from tools.report.tables import paired, score_rows

RESULTS = ROOT / "docs" / "results"
METRICS = {"dsc": 3, "nsd": 3, "hd95_mm": 2}
TRANSFORMERS = {
    "vit_mae_pretrain": "ViT of 768 channels, 96^3",
    "vit_mae_chestxray_pretrain": "ViT of 768 channels, 224^2",
    "nnformer_mae_pretrain": "nnFormer",
}
DIVIDED = {"divided_plain": "first", "divided": "first_mirrored"}
STARTS = {
    "from scratch": "scratch",
    "pretrained on T1 brains": "mae brain t1",
    "pretrained on the training crops": "mae self",
    "from scratch, same compute": "scratch matched compute",
}
NETWORKS = (
    ("resenc", "10"),
    ("resenc", "all"),
    ("unetr", "10"),
    ("unetr", "all"),
    ("nnformer", "10"),
    ("nnformer", "all"),
)


def card_text(name):
    return (ROOT / "bundles" / name / "docs" / "README.md").read_text()


def test_every_record_is_opened_by_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*_figures.py"))
    opened = set(re.findall(r'"(\w+?)(?:_\{\w+\})?(?:\.json)?"', tests))
    records = {path.stem for path in RESULTS.rglob("*.json") if "records" not in path.parts}  # the report opens those
    assert len(records) > 50
    assert {re.sub(r"(_\d)?(_mirrored)?(_metrics)?$", "", name) for name in records} <= opened


def test_spark3d():
    cost = json.loads((RESULTS / "spark3d" / "cost.json").read_text())
    memory = cost["peak_memory_mib"]["0.75"] / cost["peak_memory_mib"]["dense"]
    step = {ratio: found["times_faster"] for ratio, found in cost["step"].items()}
    text = card_text("spark3d_pretrain")
    assert f"75 % hidden {step['0.75']} times as fast in {100 * memory:.0f} % of the memory" in text
    assert f"(90 %: {step['0.9']} times" in text


def test_transformers():
    names = ("transformer_cost", "transformer_cost_gpu")
    cpu, gpu = (json.loads((RESULTS / f"{name}.json").read_text()) for name in names)
    for bundle, encoder in TRANSFORMERS.items():
        found, on_gpu = (next(value for name, value in costs.items() if encoder in name) for costs in (cpu, gpu))
        low, high = (f"{1 / times:.2f}" for times in reversed(found["range"]))
        share = f"{1 / found['times_faster']:.2f} (1 CPU thread, median of 5 pairs, {low} to {high})"
        assert f"| {share} | {found['memory_for_backward']:.2f} |" in card_text(bundle)
        low, high = (f"{times:.2f}" for times in on_gpu["range"])
        assert f"{on_gpu['times_faster']} times as fast ({low} to {high})" in card_text(bundle)


def test_steps():
    for command, cost in json.loads((RESULTS / "step_cost.json").read_text()).items():
        if "seconds_per_step" in cost:
            seconds = f"{cost['seconds_per_step']:.2f} ({cost['threads']} CPU threads, median of {cost['steps']})"
            memory = f"{cost['peak_memory_gib']} GiB peak above start"
        else:
            seconds = "not measured"
            memory = f"estimated {cost['peak_memory_gib']:.0f} GiB in float32, {cost['activations_gib']:.0f} of them "
            memory += "activations, which mixed precision shrinks"
        assert f"| {cost['batch_size']} | {seconds} | {memory} | `{command}` |" in card_text(cost["bundle"])


def test_results_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    found = differences()
    self_10, self_all, t1_10, t1_all = (
        f"{found[f'resenc · mae {source}', amount].difference:.3f}"
        for source in ("self", "brain t1")
        for amount in ("10", "all")
    )
    assert (
        self_all == t1_all
        and f"U-Net {self_all} Dice ahead with all cases; with 10 cases {self_10} and {t1_10} in" in readme
    )
    assert f"ahead of everything, {gains_of_longer_training(found)} above 300 steps from scratch" in readme
    assert f"test Dice {hippocampus('shipped')['mean']['dsc']} on 40 cases" in readme
    cpu, gpu = (json.loads((RESULTS / "spark3d" / f"{name}.json").read_text()) for name in ("cost", "cost_gpu"))
    memory = cpu["peak_memory_mib"]["0.75"] / cpu["peak_memory_mib"]["dense"]
    faster, on_gpu = (cost["step"]["0.75"]["times_faster"] for cost in (cpu, gpu))
    assert f"{faster} times faster than dense masking on a CPU, in {memory:.0%}".replace("%", " %") in readme
    assert f"{on_gpu} times on an H200" in readme
    paper = json.loads((RESULTS / "step_cost.json").read_text())["python -m tools.measure spark3d_pretrain --estimate"]
    assert f"about {paper['peak_memory_gib']:.0f} GiB by estimate" in readme


def test_memory_in_the_readme(capsys):
    rows = re.findall(
        r"\| `(\w+_(?:pretrain|segmentation))( --.*)?` \| (\d+) \| ([\d.]+) \|", (ROOT / "README.md").read_text()
    )
    assert len(rows) == 6
    for bundle, options, batch, memory in rows:
        measure(bundle, **flags([*options.split(), "--estimate"]))
        found = json.loads(capsys.readouterr().out)
        assert [batch, memory] == [str(found["batch_size"]), f"{found['peak_memory_gib']:.1f}"]


def test_chest_xrays():
    page = (RESULTS / "chestxray14.md").read_text()
    arms = {"finetuned": "fine-tuned", "scratch": "scratch", "scratch_layer_decay": "scratch, rates as fine-tuned"}
    for arm, words in arms.items():
        scores = [json.loads((RESULTS / "chestxray14" / f"{arm}_{seed}_metrics.json").read_text()) for seed in range(3)]
        means = [score["mean"] for score in scores]
        common = [
            mean(finding["auc"] for finding in score["findings"].values() if finding["positives"] >= 10)
            for score in scores
        ]
        cells = [f"{mean(values):.3f} ± {stdev(values):.3f}" for values in ([m["auc"] for m in means], common)]
        cells += [f"{m['auc']:.3f} [{m['low']:.3f}, {m['high']:.3f}]" for m in means]
        assert f"| {' | '.join([words, *cells])} |" in page
        assert all(m["low"] < 0.5 < m["high"] for m in means)
    errors = [json.loads((RESULTS / "chestxray14" / f"reconstruction_{n}.json").read_text())["mean"] for n in range(3)]
    first, second, third = (f"{error['mse']:.3f}" for error in errors)
    assert f"{first}, {second} and {third} with the three seeds" in page
    trivial, interpolated = (f"{errors[0][name]:.3f}" for name in ("mse_mean", "mse_interpolation"))
    assert f"mean of the visible pixels {trivial}, harmonic interpolation {interpolated}." in page


def test_chest_xrays_by_seed():
    page = text_of("chestxray14")
    arms = ("finetuned", "scratch", "scratch_layer_decay")
    scores = [
        [json.loads((RESULTS / "chestxray14" / f"{arm}_{seed}_metrics.json").read_text()) for seed in range(3)]
        for arm in arms
    ]
    first = scores[0][0]
    common = [name for name, finding in first["findings"].items() if finding["positives"] >= 10]
    assert f"## Test images ({first['images']}, of" in page
    assert f"{first['images']} of {first['patients']} to test" in page
    assert f"({', '.join(first['left_out'])} is left out), and over the four with ten or more" in page
    assert f"positive images ({', '.join(common)})" in page and len(common) == 4
    fine, plain, decayed = ([mean(s["findings"][name]["auc"] for name in common) for s in arm] for arm in scores)
    gains = [one - other for one, other in zip(fine, plain, strict=True)]
    assert f"with every seed, by {min(gains):.2f} to {max(gains):.2f}, and" in page and min(gains) > 0
    assert sum(one > other for one, other in zip(fine, decayed, strict=True)) == 2
    assert f"with two seeds of three, but behind chance itself with one ({min(fine):.3f})." in page


def test_hippocampus():
    rows = json.loads((ROOT / "bundles/hippocampus_segmentation/card.json").read_text())["docs"]["performance"]["rows"]
    runs = ("scratch", "finetuned", "default", "default_mirrored", "shipped_plain", "shipped")
    for row, run in zip(rows, runs, strict=True):
        mean = hippocampus(run)["mean"]
        assert [row["DSC"], row["NSD (1 mm)"], row["HD95 (mm)"]] == [mean[metric] for metric in METRICS]


def test_hippocampus_metadata():
    metadata = json.loads((ROOT / "bundles/hippocampus_segmentation/configs/metadata.json").read_text())
    assert metadata["eval_metrics"] == {"mean_dice": round(hippocampus_mean("shipped_plain"), 3)}


@pytest.mark.parametrize(
    ("first", "second"), [("shipped_plain", "shipped"), ("default", "default_mirrored"), ("finetuned", "scratch")]
)
def test_hippocampus_by_class(first, second):
    page = (RESULTS / "hippocampus_model.md").read_text().splitlines()
    one, other = hippocampus(first), hippocampus(second)
    for name in ("anterior", "posterior", "mean"):
        cells = [scores[name][metric] for metric in METRICS for scores in (one, other)]
        assert f"| {' | '.join([name, *cells])} |" in page


def test_dividing_the_hippocampus_at_a_slice():
    page = (RESULTS / "hippocampus_model.md").read_text()
    found = json.loads((RESULTS / "hippocampus_model" / "validation.json").read_text())["divided_at_a_slice"]
    del found["today_in_plane"]  # its rotation keeps slices already
    gains = [scores["divided"] - scores["as_predicted"] for modes in found.values() for scores in modes.values()]
    assert f"{min(gains):.4f} to {max(gains):.4f}, {sum(gains) / len(gains):.4f} on average" in page
    plain, mirrored = (hippocampus_mean(run) - hippocampus_mean(whole) for run, whole in DIVIDED.items())
    assert f"{plain:.4f} (plain) and\n  {mirrored:.4f} (mirrored)" in page


def test_two_networks_together():
    page = (RESULTS / "hippocampus_model.md").read_text()
    pairs = json.loads((RESULTS / "hippocampus_model" / "validation.json").read_text())["pairs"]
    gains = [scores["together"] - max(scores["each"]) for modes in pairs.values() for scores in modes.values()]
    assert len(gains) == 6
    assert f"{mean(gains):.4f} ahead of the better one on average ({min(gains):.4f} to {max(gains):.4f}" in page
    first, second, both = (
        " and ".join(f"{hippocampus_mean(run):.4f}" for run in runs)
        for runs in (("first", "first_mirrored"), ("second", "second_mirrored"), ("shipped_plain", "shipped"))
    )
    assert f"{first} (plain and mirrored) for the first, {second} for the second\nand {both} for both" in page
    assert hippocampus_mean("shipped") >= 0.89
    again, with_first = (
        f"{hippocampus_mean(name):.4f} and {hippocampus_mean(f'{name}_mirrored'):.4f}" for name in ("again", "both")
    )
    assert f"{again} for that network, {with_first} for it and the first" in page


def test_what_another_network_adds_to_the_first():
    page = text_of("hippocampus_model")
    plain = [hippocampus_mean(run) - hippocampus_mean("first") for run in ("shipped_plain", "both", "together")]
    mirrored = [hippocampus_mean(run) for run in ("shipped", "both_mirrored", "together_mirrored")]
    gains = plain + [score - hippocampus_mean("first_mirrored") for score in mirrored]
    assert f"Another adds {min(gains):.4f} to {max(gains):.4f} to the first." in page
    alone = [hippocampus_mean(run) for run in ("first", "second", "again", "seed1")]
    assert f"one alone reaches {min(alone):.3f} to {max(alone):.3f} (plain)" in page
    assert f"by up to {max(alone) - min(alone):.3f} and stays, plain, between" in page
    good = sum(dice > 0.89 for dice in dice_by_case("shipped").values())
    hardest = sorted(dice_by_case("first_mirrored").values())[:5]
    said = f"hardest scores {hardest[0]:.2f}, four others {hardest[1]:.2f} to {hardest[-1]:.2f}."
    assert f"Of the 40 test cases {good} are above 0.89;" in page and said in page


def test_labels_beside_their_images():
    page = text_of("hippocampus_model")
    (seed1, ahead1), (seed1_mirrored, ahead1_mirrored), (seed0, ahead0), (seed0_mirrored, ahead0_mirrored) = (
        gain_by_case(f"{run}{mirrored}", f"{former}{mirrored}")
        for run, former in (("seed1", "nearest_seed1"), ("first", "nearest"))
        for mirrored in ("", "_mirrored")
    )
    assert f"8000 steps of seed 1 score {seed1:.4f} (plain) and {seed1_mirrored:.4f} (mirrored) more than" in page
    assert f"(of 40 cases {ahead1} and {ahead1_mirrored} are ahead)" in page
    assert f"first is {seed0:.3f} (plain, {ahead0} of 40 cases) and {seed0_mirrored:.3f} (mirrored, " in page
    assert f"(mirrored, {ahead0_mirrored} of 40) above the one that was here before" in page


def test_validation_curves_of_the_hippocampus():
    page = text_of("hippocampus_model")
    found = json.loads((RESULTS / "hippocampus_model" / "validation.json").read_text())
    curves = {name: run["validation_dice"] for name, run in found.items() if "validation_dice" in run}
    written = {name: [f"{dice:.3f}" for dice in curve.values()] for name, curve in curves.items()}
    columns = [written[name] for name in ("default", "stronger", "stronger_shifted", "linear")]
    for step, *cells in zip(curves["linear"], *columns, strict=True):
        assert f"| {step} | {' | '.join(cells)} |" in page
    in_plane, all_axes, wide = (listed(written[name]) for name in ("today_in_plane", "today", "wider"))
    assert f"validation Dice {in_plane} after 500 to 3000 steps" in page
    assert f"rotation about all axes gives {all_axes} with the same revision" in page
    assert f"validation Dice {wide} after 500, 1000 and 1500 steps, where" in page
    assert f"where the compact one has {listed(written['linear'][:3])};" in page
    linear, stronger, shifted = (curves[name]["3000"] for name in ("linear", "stronger", "stronger_shifted"))
    assert f"the curve on validation cases ends {linear - stronger:.3f} higher." in page
    assert f"half voxel cost is shown above: {stronger - shifted:.3f} in validation" in page
    linear, stronger = (found[name]["training_loss"]["3000"] for name in ("linear", "stronger"))
    assert f"training loss ends at {linear:.3f}, by nearest neighbours at {stronger:.3f}." in page


def test_one_run_of_the_demo():
    page = text_of("hippocampus_model")
    gain, ahead = gain_by_case("finetuned", "scratch")
    one, other = (dice_by_case(run) for run in ("finetuned", "scratch"))
    spread_of_gains = stdev(one[case] - other[case] for case in one)
    assert f"ahead on {ahead} of 40 test cases, by {gain:+.4f} Dice on average" in page
    assert f"(standard deviation of the paired differences {spread_of_gains:.4f})" in page
    error = json.loads((RESULTS / "hippocampus_model" / "reconstruction.json").read_text())["mean"]
    said = f"network {error['mse']:.3f}, mean of the visible voxels {error['mse_mean']:.3f}, harmonic interpolation"
    assert f"{said} {error['mse_interpolation']:.3f}." in page


def test_size_of_the_model():
    size = (ROOT / "bundles" / "hippocampus_segmentation" / "models" / "model.pt").stat().st_size / 1e6
    assert f"in half precision, {size:.1f} MB:" in text_of("hippocampus_model")
    assert f"a trained hippocampus model ({size:.0f} MB," in (ROOT / "README.md").read_text()


def listed(values):
    return f"{', '.join(values[:-1])} and {values[-1]}"


def gain_by_case(run, former):
    """Return by how much a run's Dice is ahead of another's on average, and in how many cases."""
    one, other = dice_by_case(run), dice_by_case(former)
    gains = [one[case] - other[case] for case in one]
    return mean(gains), sum(gain > 0 for gain in gains)


def dice_by_case(run):
    scores = case_scores(json.loads((RESULTS / "hippocampus_model" / f"{run}_metrics.json").read_text()), "dsc")
    assert len(scores) == 40
    return scores


def hippocampus_mean(run):
    content = json.loads((RESULTS / "hippocampus_model" / f"{run}_metrics.json").read_text())
    return content["summary"]["mean"]["dsc"]["mean"]


@pytest.mark.parametrize(
    ("plain", "mirrored", "row"),
    [
        ("first", "first_mirrored", "the first |"),
        ("second", "second_mirrored", "the second |"),
        ("shipped_plain", "shipped", "the first and the second: the model |"),
        ("again", "again_mirrored", "the second's commands on another machine"),
        ("both", "both_mirrored", "that one and the first"),
        ("seed1", "seed1_mirrored", "seed 1, 8000 steps"),
        ("together", "together_mirrored", "it and the first"),
        ("continued", "continued_mirrored", "6000 steps more from the first's weights"),
        ("continued_mean", "continued_mean_mirrored", "the mean of those weights and the first's"),
        ("divided_plain", "divided", "the first, divided at a slice"),
        ("nearest", "nearest_mirrored", "seed 0, 8000 steps on all 160 cases"),
        ("nearest_seed1", "nearest_seed1_mirrored", "seed 1, 8000 steps on all 160 cases"),
        ("longer", "longer_mirrored", "3000 steps on fold 0, from the same pretraining"),
        ("all_cases", "all_cases_mirrored", "12000 steps on all 160 cases"),
        (
            "stronger",
            "stronger_mirrored",
            "from there twice 6000 steps with wider scaling",
        ),
    ],
)
def test_hippocampus_means(plain, mirrored, row):
    page = (RESULTS / "hippocampus_model.md").read_text().splitlines()
    one, other = hippocampus(plain)["mean"], hippocampus(mirrored)["mean"]
    cells = f" | {one['dsc']} | {other['dsc']} | {other['nsd']} | {other['hd95_mm']} |"
    assert [line for line in page if line.startswith(f"| {row}") and line.endswith(cells)]


def hippocampus(run):
    """Return the scores of a run by class and metric, as they are written."""
    summary = json.loads((RESULTS / "hippocampus_model" / f"{run}_metrics.json").read_text())["summary"]
    return {name: {m: spread(scores[m], digits) for m, digits in METRICS.items()} for name, scores in summary.items()}


def test_the_snippet_picks_the_cases_of_the_page(tmp_path, monkeypatch):
    listed = json.loads((RESULTS / "hippocampus_model" / "cases.json").read_text())
    release = tmp_path / "Task04_Hippocampus"
    released = {"labels": {}, "modality": {}, "training": [{"image": f"./imagesTr/{n}.nii.gz"} for n in range(260)]}
    save_json(released, release / "dataset.json")
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.chdir(tmp_path)
    snippet = re.search(r"```python\n(.*?)```", (RESULTS / "hippocampus_model.md").read_text(), re.DOTALL)
    exec(snippet[1], {})
    cases = paired_images("data/Task04_Hippocampus")
    assert all(Path(path).parent.parent == release for case in cases for path in (case["image"], case["label"]))
    parts = split_cases(cases)
    assert len(cases) == 200 and [case["case"] for case in parts["test"]] == sorted(listed["test"])


def test_the_report_is_rendered_from_the_records_beside_it(tmp_path):
    report(str(RESULTS / "hippocampus"), str(tmp_path / "page"), str(tmp_path / "hippocampus.md"))
    assert (tmp_path / "hippocampus.md").read_text() == (RESULTS / "hippocampus.md").read_text()


def test_the_summary_of_the_networks_quotes_the_records():
    written = {}
    for results in read_results(RESULTS / "hippocampus"):
        table = score_rows(results)
        written |= {(row[1], row[2]): row[table.columns.index("DSC")] for row in table.rows}
    page = (RESULTS / "hippocampus_networks.md").read_text()
    for name, start in STARTS.items():
        cells = [written.pop((f"{network} · {start}", amount)) for network, amount in NETWORKS]
        assert f"| {' | '.join([name, *cells])} |" in page.splitlines()
    assert all(" · equal rates" in label or " · leaner decoder" in label for label, _ in written)
    rest = page.split("| from scratch, same compute |")[1]
    quoted = re.findall(r"[\d.]+ ±\s[\d.]+", rest.split("\n", 1)[1])
    known = {score for (label, _), score in written.items() if " · equal rates" in label}
    assert quoted and {" ".join(score.split()) for score in quoted} == known


def test_the_summary_of_the_networks_calls_shown_what_the_interval_over_seeds_shows():
    found = differences()
    page = text_of("hippocampus_networks")
    assert f"by {gains_of_longer_training(found)} of training from scratch for 300 steps" in page
    self_10, self_all, t1_10, t1_all = (
        found[f"resenc · mae {source}", amount] for source in ("self", "brain t1") for amount in ("10", "all")
    )
    shown = [key for key, difference in found.items() if leaves_out_zero(difference) and "matched" not in key[0]]
    lean = ("resenc · mae brain t1 · leaner decoder", "10")
    assert shown == [lean, ("resenc · mae self", "all"), ("resenc · mae brain t1", "all")]
    assert f"With all cases that is {t1_all.difference:.3f} after either pretraining" in page
    assert f"leaves out zero ({bounds(t1_all)} after T1 brains, {bounds(self_all)} after the training crops)" in page
    assert f"it is {t1_10.difference:.3f} after T1 brains and {self_10.difference:.3f} after the training crops" in page
    assert f"which the interval does not show ({bounds(t1_10)}, {bounds(self_10)})" in page
    for network, source, words in (
        ("unetr", "", "UNETR is {} to {} behind"),
        ("nnformer", "brain t1", "nnFormer {} to {} behind after T1 brains"),
        ("nnformer", "self", "{} to {} ahead after the training crops"),
    ):
        arms = [key for key in found if key[0].startswith(f"{network} · mae {source}") and "rates" not in key[0]]
        sizes = sorted(abs(found[key].difference) for key in arms)
        assert words.format(f"{sizes[0]:.3f}", f"{sizes[-1]:.3f}") in page
    assert all(found[key].seeds_ahead == 3 for key in found if key[0].startswith("resenc"))
    assert f"10000 steps take the residual-encoder U-Net to {hippocampus_mean('first'):.3f} (" in page


def test_what_equal_rates_change():
    equal = {key: difference for key, difference in differences().items() if key[0].endswith("equal rates")}
    assert len(equal) == 4 and not any(leaves_out_zero(difference) for difference in equal.values())
    arms = [(f"{network} · mae brain t1 · equal rates", n) for network in ("nnformer", "unetr") for n in ("10", "all")]
    assert [equal[arm].seeds_ahead for arm in arms] == [1, 0, 3, 1]
    behind = f"which then is {-equal[arms[0]].difference:.3f} behind (ahead with one seed of three)"
    assert behind in text_of("hippocampus_networks")


def test_the_leaner_decoder_is_said_to_be_shown_where_it_is():
    few, every = (differences()["resenc · mae brain t1 · leaner decoder", amount] for amount in ("10", "all"))
    assert leaves_out_zero(few) and not leaves_out_zero(every)
    assert f"shows with 10 cases ({bounds(few)}) but not with all ({bounds(every)})" in text_of("spark3d")


def test_the_leaner_decoder_seed_by_seed():
    results = next(found for found in read_results(RESULTS / "hippocampus") if "resenc" in found.study["name"])
    gains = []
    for budget in (10, None):
        arms = {arm.label: arm for arm in results.arms if arm.budget == budget}
        pair = [arms[f"resenc · mae brain t1{variant}"] for variant in (" · leaner decoder", "")]
        lean, full = (scores.mean(axis=1) for scores in score_table(pair)[:2])
        gains.append(sorted(lean - full))
    assert all(behind < 0 < ahead for behind, ahead, _ in gains)
    said = f"by up to {max(gain[-1] for gain in gains):.3f}, behind with the third, by"
    assert all(f"{said} {-gain[0]:.3f}." in text_of("spark3d") for gain in gains)


@cache
def differences():
    """Return the paired differences from training from scratch, by arm and labelled cases."""
    return {
        (arm.label, str(arm.budget or "all")): comparison
        for results in read_results(RESULTS / "hippocampus")
        for arm, _, comparison in paired(results)
    }


def gains_of_longer_training(found):
    gains = [difference.difference for (label, _), difference in found.items() if "matched compute" in label]
    assert len(gains) == 6 and all(
        difference.seeds_ahead == 3 for (label, _), difference in found.items() if "matched" in label
    )
    return f"{min(gains):.3f} to {max(gains):.3f}"


def leaves_out_zero(difference):
    return not difference.seeds.low <= 0 <= difference.seeds.high


def bounds(difference):
    return f"{difference.seeds.low:.4f} to {difference.seeds.high:.4f}"


def text_of(page):
    """Return the words of a page of results in one line."""
    return " ".join((RESULTS / f"{page}.md").read_text().split())


def test_the_leaner_decoder_quotes_the_report():
    page, text = ((RESULTS / f"{name}.md").read_text() for name in ("hippocampus", "spark3d"))
    quoted = re.findall(r"[\d.]+ ±\s[\d.]+", text.split("## A leaner decoder")[1].split("\n## ")[0])
    assert len(quoted) == 4 and all(f"| {' '.join(score.split())} |" in page for score in quoted)


def spread(score, digits):
    return f"{score['mean']:.{digits}f} ± {score['sd']:.{digits}f}"
