import numpy as np
import pytest
from scipy import stats

from scripts.errors import InputError
from tools.report.comparison import Comparison, compare, holm
from tools.report.convergence import area, final_score, median_or_none, steps_to_reach, window_of
from tools.report.intervals import Interval, over_cases, over_seeds
from tools.report.ranks import rank_arms
from tools.report.records import Arm, mean_counted, own_scores, right_empty_cases, score_table, shared_records


def arms(rng, seeds=3, cases=40, difference=0.0, noise=0.02):
    """Two arms on the same cases, some of which are hard for both."""
    hardness = rng.normal(0.85, 0.05, cases)
    return [hardness + shift + rng.normal(0, noise, (seeds, cases)) for shift in (difference, 0.0)]


def record(dice=(), pretraining_steps=None, cases=None):
    curve = {"steps": [10 * (i + 1) for i in range(len(dice))], "values": list(dice)}
    pretraining = None if pretraining_steps is None else {"steps": pretraining_steps}
    rows = [{"case": case, "class": "a", "dsc": value} for case, value in (cases or {}).items()]
    return {"curve": curve, "steps": 10 * len(dice), "pretraining": pretraining, "cases": rows}


def arm(*records):
    return Arm(("data", "net", "scratch", "default", 10), {(seed, 0): one for seed, one in enumerate(records)})


def test_a_comparison_is_what_scipy_says():
    ours, theirs = arms(np.random.default_rng(0), difference=0.01)
    found = compare(ours, theirs)
    assert found.p == stats.wilcoxon(ours.mean(0), theirs.mean(0)).pvalue
    expected = stats.ttest_rel(ours.mean(1), theirs.mean(1)).confidence_interval()
    assert found.seeds is not None and (found.seeds.low, found.seeds.high) == pytest.approx(tuple(expected))
    assert found.difference == pytest.approx(ours.mean() - theirs.mean())
    assert (found.num_seeds, found.num_cases) == (3, 40)
    assert found.seeds_ahead == sum(a > b for a, b in zip(ours.mean(1), theirs.mean(1), strict=True))


def test_an_interval_over_cases_is_the_quantiles_of_resampled_means():
    values = np.random.default_rng(1).beta(8, 2, 40)
    rng = np.random.default_rng(2)
    means = [values[rng.integers(40, size=40)].mean() for _ in range(20000)]
    found = over_cases(values)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, (2.5, 97.5))), abs=0.003)
    assert over_cases(values) == found and over_cases(values[:1]) is None and over_seeds(values[:1]) is None
    assert over_cases(np.full(5, 0.5)) == Interval(0.5, 0.5)


def test_holm_is_its_definition():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.5]) == [1.0, 1.0] and holm([]) == []
    values = np.random.default_rng(3).random(12) ** 4
    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for rank, index in enumerate(np.argsort(values)):  # step down until the first that is kept
            if values[index] > level / (len(values) - rank):
                break
            rejected.add(int(index))
        assert {i for i, p in enumerate(holm(list(values))) if p <= level} == rejected


def test_equal_arms_are_found_equal_in_about_95_of_100_draws():
    rng = np.random.default_rng(4)
    draws = [compare(*arms(rng)) for _ in range(400)]
    share = np.mean([found.p < 0.05 for found in draws])
    assert 0.025 < share < 0.08  # binomial, 400 draws
    inside = np.mean([found.seeds.low <= 0 <= found.seeds.high for found in draws])
    assert 0.92 < inside < 0.98
    shown = np.mean([found.verdict(found.p) in ("higher", "lower") for found in draws])
    assert shown < 0.02


def test_many_equal_arms_rarely_give_any_significance():
    rng = np.random.default_rng(5)
    families = [holm([compare(*arms(rng)).p for _ in range(4)]) for _ in range(60)]
    assert sum(min(family) < 0.05 for family in families) <= 8


def test_trainings_that_differ_by_chance_are_no_difference_shown():
    rng = np.random.default_rng(6)
    shown = []
    for _ in range(200):
        ours, theirs = arms(rng, noise=0.005)
        ours += rng.normal(0, 0.02, (3, 1))  # every training is better or worse as a whole
        found = compare(ours, theirs)
        shown.append((found.p < 0.05, found.verdict(found.p) in ("higher", "lower")))
    over_cases_alone, both = np.mean(shown, axis=0)
    assert over_cases_alone > 0.5 and both < 0.1


def test_a_real_difference_is_found():
    rng = np.random.default_rng(7)
    verdicts = [(found := compare(*arms(rng, difference=0.02))).verdict(found.p) for _ in range(50)]
    assert verdicts.count("higher") >= 45


def test_equal_scores_are_no_error():
    found = compare(np.full((2, 5), 0.8), np.full((2, 5), 0.8))
    assert found.p == 1.0 and found.difference == 0 and found.verdict(1.0) == "no difference shown"
    one = Comparison(0.1, None, None, 1, 1, 1, 0.01)
    assert one.verdict(0.01) == "higher in this one training"


def test_steps_to_reach_a_target_follow_the_smoothed_curve():
    # averaged over three: 0.3, 0.45, 0.5, 0.7, 0.8
    one = arm(record([0.3, 0.6, 0.6, 0.9, 0.9], 100))
    assert final_score(one, 3) == pytest.approx(0.8) and final_score(one, 1) == 0.9
    assert steps_to_reach(one, 0.69, 3).median == 40 and steps_to_reach(one, 0.69, 3, True).median == 140
    assert str(steps_to_reach(one, 0.69, 3, True)) == "140" and steps_to_reach(one, 0.69, 1).median == 40
    assert area(one, 50) == pytest.approx((0.45 + 0.6 + 0.75 + 0.9) / 4)


def test_of_short_curves_fewer_validations_are_averaged():
    # the mean of a whole curve of three would be far below where it ends
    lengths = {1: 1, 3: 1, 7: 1, 8: 2, 11: 2, 12: 3, 100: 3}
    assert {length: window_of(arm(record([0.5] * length))) for length in lengths} == lengths
    assert window_of(arm(record([0.5] * 30), record([None] * 27 + [0.5] * 3))) == 1


def test_what_is_never_reached_is_censored():
    never, soon, later = record([0.1] * 5), record([0.9] * 5), record([0.1, 0.1, 0.9, 0.9, 0.9])
    assert str(steps_to_reach(arm(never, never), 0.8, 3)) == "> 50"
    assert str(steps_to_reach(arm(never, never), 0.8, 3, True)) == "> 50"
    assert str(steps_to_reach(arm(soon, later, never), 0.8, 3)) == "50 (2 of 3)"
    assert str(steps_to_reach(arm(soon, never), 0.8, 3)) == "> 50 (1 of 2)"
    assert str(steps_to_reach(arm(soon, soon), 0.8, 3)) == "10"
    assert median_or_none([1, 2, np.inf]) == 2 and median_or_none([1, np.inf, np.inf]) is None
    assert median_or_none([1, 3]) == 2


def test_failed_validations_leave_a_curve_usable():
    collapsed = arm(record([None, None]))
    assert final_score(collapsed, 1) is None and str(steps_to_reach(collapsed, 0.5, 1)) == "> 20"
    assert area(collapsed, 20) is None
    assert steps_to_reach(arm(record([None, 0.6])), 0.5, 1).median == 20


def test_ranks_and_their_stability():
    rng = np.random.default_rng(8)
    base = rng.normal(0.8, 0.05, 30)
    clear = np.stack([base + 0.1, base, base - 0.1])
    found = rank_arms({"one": clear, "two": clear[[1, 0, 2]]})
    assert found.per_dataset["one"].tolist() == [1, 2, 3] and found.mean.tolist() == [1.5, 1.5, 3]
    assert found.frequency[2].tolist() == [0, 0, 1]
    assert found.frequency[0] == pytest.approx([0.5, 0.5, 0])  # a tie shares both places
    assert found.frequency.sum(axis=0) == pytest.approx(1) and found.frequency.sum(axis=1) == pytest.approx(1)
    equal = rank_arms({"one": 0.8 + rng.normal(0, 0.05, (2, 200))}, resamples=400)
    assert 0 < equal.frequency[0, 0] < 1


def test_arms_are_compared_on_shared_seeds_and_cases_only():
    first = arm(record(cases={"a": 0.1, "b": 0.2}), record(cases={"a": 0.3, "b": 0.4}))
    second = arm(record(cases={"b": 0.5, "c": 0.6}))
    ours, theirs = score_table([first, second])
    assert ours.tolist() == [[0.2]] and theirs.tolist() == [[0.5]]
    with pytest.raises(InputError, match="share no test case"):
        score_table([first, arm(record(cases={"d": 1.0}))])


def healthy_and_ill(healthy):
    return {f"ill_{n}": 0.8 for n in range(20)} | {f"healthy_{n}": healthy for n in range(20)}


def test_a_lesion_invented_in_a_healthy_case_counts_against_the_right_empty_answer():
    right, wrong = record(cases=healthy_and_ill(None)), record(cases=healthy_and_ill(0.0))
    good, bad, sometimes = arm(right, right, right), arm(wrong, wrong, wrong), arm(wrong, right, right)
    found = compare(*score_table([bad, good]))
    assert (found.difference, found.num_cases) == (-0.5, 40) and found.p < 1e-4
    assert right_empty_cases(shared_records([bad, good])) == 20
    arms_by_name = {"good": good, "bad": bad, "sometimes": sometimes}
    # alone, a seed's mean is over its own cases as in its metrics.json
    means = {name: mean_counted(own_scores(one, "dsc"), axis=1) for name, one in arms_by_name.items()}
    assert means["good"] == pytest.approx([0.8] * 3) and means["bad"] == pytest.approx([0.4] * 3)
    assert means["sometimes"] == pytest.approx([0.4, 0.8, 0.8])
    interval = over_cases(own_scores(sometimes, "dsc"))
    assert interval is not None and interval.low < np.mean(means["sometimes"]) < interval.high
    assert compare(*score_table([sometimes, good])).difference == pytest.approx(-0.5 / 3)
    # nothing is compared where all are rightly empty
    assert compare(*score_table([good, good])).num_cases == 20 and not right_empty_cases(shared_records([good, good]))
    ranks = rank_arms({"data": np.array([scores.mean(axis=0) for scores in score_table([bad, good, sometimes])])}, 10)
    assert ranks.mean.tolist() == [3, 1, 2]


def test_a_class_invented_beside_another_counts_by_itself():
    one = record()
    one["cases"] = [{"case": "a", "class": name, "dsc": dice} for name, dice in (("x", 0.6), ("y", 0.0))]
    other = record()
    other["cases"] = [one["cases"][0], one["cases"][1] | {"dsc": None}]
    ours, theirs = score_table([arm(one), arm(other)])
    assert ours.tolist() == [[0.3]] and theirs.tolist() == [[0.8]]
    assert own_scores(arm(other), "dsc").tolist() == [[0.6]]


def test_folds_of_a_seed_are_one_training_in_the_statistics():
    values = {(seed, fold): 0.1 * seed + 0.01 * fold for seed in (0, 1) for fold in (0, 1, 2)}
    folded = Arm(
        ("data", "net", "scratch", "default", 10),
        {run: record(cases={"a": value, "b": value + 0.5}) for run, value in values.items()},
    )
    (table,) = score_table([folded])
    np.testing.assert_allclose(table, [[0.01, 0.51], [0.11, 0.61]])
