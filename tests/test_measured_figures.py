"""Figures of time and memory in the model cards are those of the measurements that lie in docs/results."""

import json
import re

from tools.project import ROOT
from tools.report.__main__ import report

RESULTS = ROOT / "docs" / "results"


def card_text(name):
    return (ROOT / "bundles" / name / "docs" / "README.md").read_text()


def test_spark3d():
    cost = json.loads((RESULTS / "spark3d" / "cost.json").read_text())
    memory = cost["peak_memory_mib"]["0.75"] / cost["peak_memory_mib"]["dense"]
    step = {ratio: found["times_faster"] for ratio, found in cost["step"].items()}
    text = card_text("spark3d_pretrain")
    assert f"75 % hidden {step['0.75']} times as fast in {100 * memory:.0f} % of the memory" in text
    assert f"(90 %: {step['0.9']} times" in text
    page = (RESULTS / "spark3d.md").read_text()
    for part in ("encoder", "step"):
        for ratio in ("0.75", "0.9"):
            low, high = (f"{value:.2f}" for value in cost[part][ratio]["range"])
            assert f"**{cost[part][ratio]['times_faster']}** ({low}-{high})" in page


def test_transformers():
    costs = json.loads((RESULTS / "transformer_cost.json").read_text())
    for bundle, key in (("vit_mae_pretrain", "ViT of 768"), ("nnformer_mae_pretrain", "nnFormer of embedding 48")):
        found = next(value for name, value in costs.items() if name.startswith(key))
        share = 1 / found["times_faster"]
        row = f"{share:.2f} (1 CPU thread, median of 5 pairs, "
        assert row in card_text(bundle) and f"| {found['memory_for_backward']:.2f} |" in card_text(bundle)


def test_hippocampus():
    rows = json.loads((ROOT / "bundles/hippocampus_segmentation/card.json").read_text())["docs"]["performance"]["rows"]
    runs = ("scratch", "finetuned", "default", "default_mirrored", "shipped_plain", "shipped")
    page = (RESULTS / "hippocampus_model.md").read_text()
    for row, run in zip(rows, runs, strict=True):
        summary = json.loads((RESULTS / "hippocampus_model" / f"{run}_metrics.json").read_text())["summary"]
        for name, scores in summary.items():
            words = [spread(scores["dsc"], 3), spread(scores["nsd"], 3), spread(scores["hd95_mm"], 2)]
            assert all(f" {word} |" in page for word in words)
            assert name != "mean" or [row["DSC"], row["NSD (1 mm)"], row["HD95 (mm)"]] == words


def test_the_report_is_rendered_from_the_records_beside_it(tmp_path):
    report(str(RESULTS / "hippocampus"), str(tmp_path / "page"), str(tmp_path / "hippocampus.md"))
    assert (tmp_path / "hippocampus.md").read_text() == (RESULTS / "hippocampus.md").read_text()


def test_the_summary_of_the_networks_quotes_the_report():
    page, summary = ((RESULTS / f"{name}.md").read_text() for name in ("hippocampus", "hippocampus_networks"))
    quoted = re.findall(r"[\d.]+ ± [\d.]+", summary)
    assert len(quoted) == 22 and all(f"| {score} |" in page for score in quoted)


def test_the_leaner_decoder_quotes_the_report():
    page, text = ((RESULTS / f"{name}.md").read_text() for name in ("hippocampus", "spark3d"))
    quoted = re.findall(r"[\d.]+ ±\s[\d.]+", text.split("## A leaner decoder")[1].split("\n## ")[0])
    assert len(quoted) == 4 and all(f"| {' '.join(score.split())} |" in page for score in quoted)


def spread(score, digits):
    return f"{score['mean']:.{digits}f} ± {score['sd']:.{digits}f}"
