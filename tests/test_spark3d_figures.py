"""Figures in docs/results/spark3d.md are those of the measurements that lie beside it."""

import json

import pytest

from tools.project import ROOT

RESULTS = ROOT / "docs" / "results"
PAGE = " ".join((RESULTS / "spark3d.md").read_text().split())
AS_CONVOLUTION = ("aten::mm", "aten::addmm_")  # of small cells
COPIES = ("aten::copy_", "aten::cat", "aten::index_fill_")


def record(name):
    return json.loads((RESULTS / "spark3d" / f"{name}.json").read_text())


def times(found, digits=2):
    low, high = found["range"]
    return f"{low:.{digits}f}-{high:.{digits}f}"


def test_against_dense_masking():
    cost = record("cost")
    for part in ("encoder", "step"):
        for ratio in ("0.75", "0.9"):
            assert f"| **{cost[part][ratio]['times_faster']}** ({times(cost[part][ratio])}) |" in PAGE
    encoder, step = cost["encoder"], cost["step"]["0.6"]
    low, middle, high = (encoder[ratio]["times_faster"] for ratio in ("0.6", "0.75", "0.9"))
    assert f"At 60 % hidden the encoder is {low} ({times(encoder['0.6'])}) times faster, " in PAGE
    assert f"the step {step['times_faster']} ({times(step)})." in PAGE
    assert f"**Encoder, {middle} instead of 5 at 75 % hidden and {high} instead of 12 at 90 %.**" in PAGE
    sparse, dense = (cost["peak_memory_mib"][name] for name in ("0.75", "dense"))
    assert f"| **{100 * sparse / dense:.0f} %** ({sparse} of {dense} MiB) |" in PAGE


def test_peers():
    alone, beside = (record(name)["step"] for name in ("cost", "peers"))
    dense, sparse = ([step["0.75"][key] for step in (alone, beside)] for key in ("reference_seconds", "seconds"))
    assert f"its step takes {dense[0]:.1f} s here, and {dense[1]:.1f} s in a process" in PAGE
    assert f"the block-sparse one {sparse[0]:.1f} and {sparse[1]:.1f} s." in PAGE
    plain, vit = (beside[name]["seconds"] for name in ("plain ResEnc U-Net", "MONAI MaskedAutoEncoderViT"))
    assert f"with nothing masked takes {plain:.1f} s, and one" in PAGE and f"voxels {vit:.2f} s (`peers.json`)" in PAGE


def test_operators():
    records = record("operators"), record("operators_gpu")
    (encoder, step), (_, gpu) = ([kinds(found[f"{part}, auto"]) for part in ("encoder", "step")] for found in records)
    said = f"{encoder[0]} % of the time is convolution itself; copying takes {encoder[1]} %, norms {encoder[2]} %"
    assert said in PAGE and f"of a step {step[0]}, {step[1]} and {step[2]} %)" in PAGE
    assert f"ms convolutions are {gpu[0]} %, norms {gpu[2]} %, copies {gpu[1]} %." in PAGE


def kinds(found):
    """Return how many per cent of the time convolutions, copies and norms take."""
    shares = {"convolution": 0.0, "copy": 0.0, "norm": 0.0}
    for name, share in found["shares"].items():
        if "convolution" in name or name in AS_CONVOLUTION:
            shares["convolution"] += share
        elif name in COPIES:
            shares["copy"] += share
        elif "norm" in name.lower():
            shares["norm"] += share
    return [f"{100 * share:.0f}" for share in shares.values()]


@pytest.mark.parametrize("name", ["crops_ct", "crops_brains"])
def test_crops(name):
    found = record(name)["crops"]["160"]["cache_against_nibabel"]
    assert f"| 10 | 30 | **{found['times_faster']:.0f}** ({times(found, 0)}) |" in PAGE


def test_crops_of_brains():
    brains, small = (record(name)["crops"] for name in ("crops_brains", "pipeline"))
    whole, part = (brains[size]["cache_against_nibabel"] for size in ("160", "96"))
    nearly_all = small["160"]["cache_against_nibabel"]
    assert f"**Crops of brains, {whole['times_faster']:.0f} instead of 30.**" in PAGE
    assert f"the file is read in {whole['reference_seconds']:.2f} s;" in PAGE
    assert f"crops of 96³ are {part['times_faster']:.0f} ({times(part, 0)}) times faster" in PAGE
    assert f"scan: {nearly_all['times_faster']:.1f} times ({times(nearly_all, 1)}) faster for 160 x 192 x 192" in PAGE
    every = [record(name)["crops"]["160"] for name in ("crops_ct", "crops_brains", "pipeline")]
    milliseconds = [1000 * crops["cache_against_nibabel"]["seconds"] for crops in every]
    assert f"A crop takes {min(milliseconds):.0f} to {max(milliseconds):.0f} ms whatever the scan" in PAGE


def test_patches_a_second():
    found = record("pipeline")
    own, one, two = (found["patches_per_second"][workers] for workers in "012")
    assert f"{own} patches of 160³ a second in the training's own process, {one} in one loading" in PAGE
    needed = found["patches_per_second_a_step_needs"]
    assert f"process and {two} in two" in PAGE and f"step below needs {needed}:" in PAGE
    assert needed == round(2 / record("cost_gpu")["step"]["0.75"]["seconds"], 2)


def test_inference():
    peak = record("inference")["peak_gib"]
    assert f"| **{peak:.1f} GiB** |" in PAGE


def test_compiled():
    found = record("compiled")
    slower = [1 / found[f"compact, {part}"]["times_faster"] for part in ("step, float32", "step, mixed precision")]
    assert f"a step takes {slower[0]:.2f} times as long in float32 and {slower[1]:.2f} times in mixed precision" in PAGE
    plain, mixed = (found[f"compact, inference, {precision}"] for precision in ("float32", "mixed precision"))
    assert f"inference is {plain['times_faster']} ({times(plain)}) times faster in float32" in PAGE
    assert f"and takes {1 / mixed['times_faster']:.2f} times as long in mixed precision;" in PAGE
    seconds = [part["first_seconds"] for name, part in found.items() if name.startswith("compact")]
    assert f"compiling takes {min(seconds):.0f} to {max(seconds):.0f} s each" in PAGE


def test_the_network_on_whole_volumes():
    cost = record("resenc_unet")
    for row in ("ResEnc-L, step", "ResEnc-L, inference", "compact, step", "compact, inference"):
        found = [cost[f"{row}, {precision}"] for precision in ("float32", "mixed precision")]
        cells = [f"{f['times_faster']:.2f} ({times(f)})" for f in found]
        assert f"| {row} | {' | '.join(cells)} |" in PAGE


def test_how_a_step_grows():
    rows = record("scaling")["rows"]
    assert len(rows) > 10
    for row in rows:
        each = " each" if row["processes"] > 1 else ""
        cells = [f"{row['ratio']:.0%}".replace("%", " %"), f"{row['size']}³", f"{row['batch_size']}{each}"]
        cells += [str(row["processes"]), f"{row['processor_seconds']:.2f}{each}", f"{row['peak_memory_mib']}{each}"]
        assert f"| {' | '.join(cells)} |" in PAGE
    whole, lean = rows[0], next(row for row in rows if row["decoder"] == "lean")
    assert f"{lean['processor_seconds']:.2f} instead of {whole['processor_seconds']:.2f} processor seconds" in PAGE
    assert f"{lean['peak_memory_mib']} instead of {whole['peak_memory_mib']} MiB" in PAGE


def test_what_grows_with_a_step():
    rows = record("scaling")["rows"]
    whole, four, shared = rows[0], *(row for row in rows if row["batch_size"] == 4 or row["processes"] == 2)
    (small, large), dense = (
        [row for row in rows if row["execution"] == execution and row["size"] in (64, 128)]
        for execution in ("auto", "dense")
    )
    pairs = (whole, four), (small, large), dense
    longer = [f"{more['processor_seconds'] / less['processor_seconds']:.1f}" for less, more in pairs]
    said = f"Four times the batch takes {longer[0]} times as long, eight times the voxels {longer[1]} times"
    assert f"{said}, dense {longer[2]} times." in PAGE
    by_batch = whole["peak_memory_mib"] - (four["peak_memory_mib"] - whole["peak_memory_mib"]) / 3
    by_voxels = small["peak_memory_mib"] - (large["peak_memory_mib"] - small["peak_memory_mib"]) / 7
    assert f"above {by_voxels:.0f} to {by_batch:.0f} MiB that do not grow" in PAGE
    assert f"processes costs {100 * (shared['processor_seconds'] / whole['processor_seconds'] - 1):.0f} %." in PAGE


def test_spark3d_on_a_gpu():
    cost = record("cost_gpu")
    plain = cost["step"].pop("plain ResEnc U-Net")
    assert f"takes {plain['seconds']} s for forward and backward" in PAGE
    for found in (*cost["encoder"].values(), *cost["step"].values()):
        row = f"{found['reference_seconds']:.3f} | {found['seconds']:.3f} | {found['times_faster']} ({times(found)})"
        assert row in PAGE
    assert f"| **{cost['step']['0.75']['times_faster']}** ({times(cost['step']['0.75'])}) |" in PAGE
    kernels = record("operators_gpu")
    step, encoder = (1000 * kernels[f"{part}, auto"]["seconds"] for part in ("step", "encoder"))
    assert f"{step:.0f} ms of the step's {1000 * cost['step']['0.75']['seconds']:.0f}" in PAGE
    assert f"{encoder:.0f} ms of the encoder's {1000 * cost['encoder']['0.75']['seconds']:.0f}" in PAGE


def test_transformers_in_the_page():
    names = ("transformer_cost", "transformer_cost_gpu")
    cpu, gpu = (json.loads((RESULTS / f"{name}.json").read_text()) for name in names)
    volume, image, nnformer = (found for name, found in gpu.items() if "^" in name)
    first = f"ViT-B on 96³ {volume['times_faster']} times faster ({times(volume)})"
    assert f"{first}, on 224² {image['times_faster']}, nnFormer on 128³ {nnformer['times_faster']};" in PAGE
    kept = [f"{100 * found['memory_for_backward']:.0f}" for name, found in cpu.items() if "^" in name]
    assert f"{kept[0]}, {kept[1]} and {kept[2]} % (" in PAGE
