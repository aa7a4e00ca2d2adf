"""The numbers of the demo's report, and in plain words what they say and do not say."""

from __future__ import annotations

from typing import Any

from ..report.records import paired_dice

METRICS = ("dsc", "nsd", "hd95_mm")

Metrics = dict[str, Any]


def reconstruction_words(pretrain: Metrics) -> str:
    """Compare the network's reconstruction error with that of the trivial predictors."""
    mean = pretrain["mean"]
    network, constant, interpolation = mean["mse"], mean["mse_mean"], mean["mse_interpolation"]
    return (
        f"On voxels hidden from it, in scans it was not trained on (n = {len(pretrain['cases'])}), the network's mean "
        f"squared error is {network:.3f}, in units of the scan's own variance. "
        f"Predicting one constant, the mean of the visible voxels, gives {constant:.3f}: "
        f"the network is {_relation(network, constant)}. "
        f"Interpolating between the visible voxels gives {interpolation:.3f}: "
        f"the network is {_relation(network, interpolation)}. {_verdict(network, constant, interpolation)}"
    )


def segmentation_summary(arms: dict[str, Metrics | None]) -> list[dict[str, Any]]:
    """Return one row per class, the mean over classes last, with the scores of both arms.

    Args:
        arms: content of metrics.json by arm, None where it is missing.

    Returns:
        Rows with `class` and, by arm and metric, {"mean", "sd", "n"}, or None where there is none.
    """
    names = _ordered(name for metrics in arms.values() if metrics for name in metrics["summary"])
    names.sort(key=lambda name: name == "mean")  # stable: only the mean moves
    return [
        {
            "class": "mean of the classes" if name == "mean" else name,
            **{
                arm: {metric: metrics["summary"].get(name, {}).get(metric) if metrics else None for metric in METRICS}
                for arm, metrics in arms.items()
            },
        }
        for name in names
    ]


def segmentation_rows(arms: dict[str, Metrics | None]) -> list[dict[str, Any]]:
    """Return one row per test case and class with the scores of both arms, None where there is none."""
    by_arm = {
        arm: {(row["case"], row["class"]): row for row in (metrics["cases"] if metrics else [])}
        for arm, metrics in arms.items()
    }
    keys = _ordered(key for rows in by_arm.values() for key in rows)
    return [
        {
            "case": case,
            "class": name,
            **{
                arm: {metric: rows.get((case, name), {}).get(metric) for metric in METRICS}
                for arm, rows in by_arm.items()
            },
        }
        for case, name in keys
    ]


def compare_arms(finetuned: Metrics, scratch: Metrics) -> str:
    """Say which arm has the higher mean Dice, by how much, in how many cases, and how little that proves."""
    ours, theirs = (metrics["summary"]["mean"]["dsc"]["mean"] for metrics in (finetuned, scratch))
    gain = ours - theirs
    first_scores, second_scores = paired_dice([finetuned, scratch])
    higher = sum(dice > second_scores[case] for case, dice in first_scores.items())
    n = len(first_scores)
    if abs(gain) < 0.0005:
        first = f"Both arms reach a mean Dice of {ours:.3f}"
    else:
        name = "fine-tuned from the pretrained weights" if gain > 0 else "trained from scratch"
        first = f"The network {name} has the higher mean Dice, {max(ours, theirs):.3f} against {min(ours, theirs):.3f}"
        first += f", by {abs(gain):.3f}"
    return (
        f"{first}; fine-tuning is ahead in {higher} of {n} test cases. Test cases: {n}, seeds: 1. So few, after a "
        "training this short, prove little: the difference may well be chance. That takes more cases, several seeds "
        "and full training."
    )


def _relation(error: float, other: float) -> str:
    change = error / other - 1
    return f"{abs(change):.0%} {'above' if change > 0 else 'below'} that"


def _verdict(network: float, constant: float, interpolation: float) -> str:
    if network >= constant:
        return "It has not learned anything useful yet: train longer, or look at the loss curve."
    if network >= interpolation:
        return "It has learned something of the anatomy, but plain interpolation still does better: train longer."
    return "It has learned more than the smoothness of images: it fills in anatomy that the visible voxels only imply."


def _ordered(items: Any) -> list[Any]:
    return list(dict.fromkeys(items))
