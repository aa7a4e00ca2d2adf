"""The tables of a report, as text to be laid out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scripts.errors import InputError

from .comparison import Comparison, compare, holm
from .convergence import SHARES, area, final_score, steps_to_reach, window_of
from .intervals import Interval, over_cases
from .ranks import Ranks
from .records import (
    COMPARED_RULE,
    Arm,
    Record,
    Results,
    Scores,
    codes_of,
    mean_counted,
    own_scores,
    right_empty_cases,
    score_table,
    shared_records,
    shared_runs,
)


@dataclass(frozen=True)
class Table:
    """A title, what it says and how to read it, columns, rows of text, and a pattern of each row's runs."""

    title: str
    note: str
    columns: list[str]
    rows: list[list[str]]
    runs: list[str]


def score_rows(results: Results) -> Table:
    """Return test scores of every arm: mean, spread over seeds, interval over cases."""
    rows = []
    metrics = _metrics(results)
    for arm in results.arms:
        cells = [arm.dataset, arm.label, _budget(arm), str(len({seed for seed, _ in arm.runs}))]
        for metric, (_, digits) in metrics.items():
            scores = own_scores(arm, metric)
            cells.append(_spread(scores, digits))
            if metric == "dsc":
                cells.append(_interval(over_cases(scores)))
        steps = sorted({record["steps"] for record in arm.runs.values()})
        rows.append([*cells, "–".join(f"{step:,}" for step in dict.fromkeys((steps[0], steps[-1]))), _hours(arm)])
    names = [name for name, _ in metrics.values()]
    columns = ["dataset", "arm", "cases", "seeds", names[0], "95 % over cases", *names[1:], "steps", "hours"]
    first = next(iter(results.arms[0].runs.values()))
    note = (
        f"Test part, never used for choosing; {len({row['case'] for row in first['cases']})} cases in the first row. "
        f"Mean ± standard deviation over seeds; the interval resamples test cases (bootstrap). NSD at "
        f"{first['nsd_tolerance_mm']:g} mm. {first['empty_rule']} Hours: training and pretraining, mean over seeds."
    )
    return Table("Test scores", note, columns, rows, [arm.pattern for arm in results.arms])


def paired(results: Results) -> list[tuple[Arm, Arm, Comparison]]:
    """Compare every arm with its reference, as far as both have been run with the same seeds."""
    pairs = [(arm, other) for arm in results.arms if (other := results.reference(arm)) and shared_runs([arm, other])]
    return [(arm, other, compare(*score_table([arm, other]))) for arm, other in pairs]


def difference_rows(results: Results) -> Table:
    """Return paired differences of Dice from the reference, with Holm's correction over the whole table."""
    pairs = paired(results)
    adjusted = holm([found.p for _, _, found in pairs])
    rows = [
        [
            arm.dataset,
            arm.label,
            _budget(arm),
            other.label,
            f"{found.difference:+.4f}",
            _interval(found.cases, 4),
            _interval(found.seeds, 4),
            f"{found.seeds_ahead} of {found.num_seeds}",
            f"{found.p:.2g}",
            f"{p:.2g}",
            found.verdict(p),
        ]
        for (arm, other, found), p in zip(pairs, adjusted, strict=True)
    ]
    note = (
        f"Mean difference of test Dice from the arm it is compared with: as many labelled cases, same seeds and "
        f"cases. p: Wilcoxon's signed-rank test on cases, scores averaged over seeds; Holm: "
        f"corrected for the {len(rows)} comparisons of this table. The test takes these trained networks as given: a "
        "difference also counts as shown only if Student's interval over seeds leaves out zero."
    )
    empty = max((right_empty_cases(shared_records([arm, other])) for arm, other, _ in pairs), default=0)
    if empty:
        note += f" {COMPARED_RULE} That is so in up to {empty} test cases of a row."
    found = [(arm, codes_of(shared_records([arm, other]))) for arm, other, _ in pairs]
    mixed = [f"{arm.label}, cases {_budget(arm)} ({', '.join(codes)})" for arm, codes in found if len(codes) > 1]
    if mixed:
        note += (
            " The code of these and of what they are compared with differs (hashes of bundles/scripts), which may make "
            f"a difference of its own: {'; '.join(mixed)}."
        )
    columns = ["dataset", "arm", "cases", "compared with", "difference", "95 % over cases", "95 % over seeds"]
    columns += ["seeds ahead", "p", "Holm", "shows"]
    return Table("Paired differences", note, columns, rows, [arm.pattern for arm, _, _ in pairs])


def convergence_rows(results: Results) -> Table:
    """Return steps until the validation Dice reaches shares of what the reference ends with."""
    rows, runs = [], []
    for arm in results.arms:
        reference = results.reference(arm) or arm
        window = window_of(reference)
        final = final_score(reference, window)
        if final is None or reference.initialisation != results.study["reference"]:
            continue
        cells = [arm.dataset, arm.label, _budget(arm), reference.label]
        for counted in (False, True):
            cells += [str(steps_to_reach(arm, share * final, window, counted)) for share in SHARES]
        height = area(arm, min(record["steps"] for record in reference.runs.values()))
        rows.append([*cells, "–" if height is None else f"{height:.3f}"])
        runs.append(arm.pattern)
    shares = [f"{share:.0%}" for share in SHARES]
    note = (
        "Steps until the validation Dice reaches a share of the reference's final one (its mean over seeds), both "
        "averaged over the last three validations, of curves of fewer than twelve over a quarter of them, one at "
        "least: the median over seeds, “>” where at least half never reach it, and how many do where not all or none. "
        "First from the start of fine-tuning, then with the pretraining's steps, which cost other amounts than a step "
        "of fine-tuning. Area: mean height of the curve over the reference's steps."
    )
    columns = ["dataset", "arm", "cases", "reference", *shares, *(f"{share} with pretraining" for share in shares)]
    return Table("Convergence", note, [*columns, "area"], rows, runs)


def rank_rows(ranks: Ranks, arms: list[Arm], title: str) -> Table:
    """Return ranks by dataset, on average, and how often an arm is first when test cases are resampled."""
    rows = [
        [
            arm.label,
            *(f"{values[row]:g}" for values in ranks.per_dataset.values()),
            f"{ranks.mean[row]:.2f}",
            f"{ranks.frequency[row, 0]:.0%}",
        ]
        for row, arm in enumerate(arms)
    ]
    note = "Rank by mean test Dice, 1 the best. First: share of bootstrap samples of the test cases with the best rank."
    return Table(title, note, ["arm", *ranks.per_dataset, "mean rank", "first"], rows, [])


def reconstruction_rows(records: list[Record]) -> Table:
    """Return what each pretraining reconstructs in held-out scans, beside the trivial predictors."""
    rows = [
        [
            record["network"],
            record["pretrain_on"],
            record["variant"],
            str(record["seed"]),
            f"{record['steps']:,}",
            *(f"{record['reconstruction']['mean'][key]:.3f}" for key in ("mse", "mse_mean", "mse_interpolation")),
            f"{record['timing']['training']['seconds'] / 3600:.2f}",
        ]
        for record in records
    ]
    note = (
        "Mean squared error on hidden voxels of held-out scans, at the share hidden in validation: network, mean of "
        "the visible voxels, interpolation."
    )
    columns = ["network", "scans", "variant", "seed", "steps", "network's error", "mean", "interpolation", "hours"]
    return Table("Pretraining", note, columns, rows, [])


def _metrics(results: Results) -> dict[str, tuple[str, int]]:
    """Return name and digits of the metrics; distances are in the one unit that all records have."""
    rows = [row for arm in results.arms for record in arm.runs.values() for row in record["cases"]]
    distances = sorted({key for row in rows for key in row if key.startswith("hd95_")})
    if len(distances) > 1:
        raise InputError(
            f"the records of {results.study['name']} have {' and '.join(distances)}: give one distance_unit to all"
        )
    unit = distances[0].removeprefix("hd95_")
    return {"dsc": ("DSC", 3), "nsd": ("NSD", 3), distances[0]: (f"HD95 ({unit})", 2)}


def _budget(arm: Arm) -> str:
    return "all" if arm.budget is None else str(arm.budget)


def _spread(scores: Scores, digits: int) -> str:
    means = mean_counted(scores, axis=1)
    means = means[~np.isnan(means)]  # without a seed of which no case counts
    if not len(means):
        return "–"
    spread = f" ± {means.std(ddof=1):.{digits}f}" if len(means) > 1 else ""
    return f"{means.mean():.{digits}f}{spread}"


def _interval(interval: Interval | None, digits: int = 3) -> str:
    return "–" if interval is None else f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def _hours(arm: Arm) -> str:
    def seconds(record: Record) -> float:
        spent = [record, *([record["pretraining"]] if record["pretraining"] else [])]
        return float(sum(part["timing"]["training"]["seconds"] for part in spent))

    return f"{np.mean([seconds(record) for record in arm.runs.values()]) / 3600:.2f}"
