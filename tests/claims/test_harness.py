import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.claims import (
    Claim,
    Expect,
    Interval,
    Result,
    Run,
    Tuning,
    interval,
    judge,
    overall,
    run_claim,
    trial_count,
)
from tests.claims.worlds import TUNED, broken, claim, slow

numbers = st.floats(-100, 100)


def test_a_paired_difference_decides_though_the_arms_overlap():
    result = run_claim(claim(), workers=1)
    outcome = result.outcomes[0]
    assert result.verdict == "holds"
    assert (outcome.difference.low, outcome.difference.high) == pytest.approx((1.0, 1.0))
    assert result.arms["method"].metrics["seed"] == [0.0, 1.0, 2.0, 3.0]


def test_results_do_not_depend_on_the_number_of_workers():
    one, two = (run_claim(claim(tuning=TUNED), workers=n) for n in (1, 2))
    assert (one.arms, one.outcomes) == (two.arms, two.outcomes)


def test_every_arm_is_tuned_on_seeds_that_are_not_reported():
    result = run_claim(claim(tuning=TUNED), workers=2)
    assert {arm.setting["step"] for arm in result.arms.values()} == {3}
    assert max(result.arms["method"].metrics["seed"]) < 100


def test_workers_use_one_thread_each_and_the_caller_keeps_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    import os

    result = run_claim(claim(), workers=1)
    assert set(result.arms["method"].metrics["threads"]) == {1.0}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_trials_are_counted_and_told():
    seen = []
    run_claim(claim(tuning=TUNED), workers=2, on_trial=lambda done, total: seen.append((done, total)))
    assert trial_count(claim(tuning=TUNED)) == 2 * (3 * 3 + 4)
    assert seen == [(i + 1, 26) for i in range(26)]


def test_a_budget_that_ends_early_gives_no_verdict_and_says_why():
    result = run_claim(claim(slow, seeds=20), budget=1.0, workers=1)
    assert result.verdict == "inconclusive"
    assert "budget of 1 s ended after" in result.reason
    assert result.outcomes == []


def test_a_budget_leaves_out_seeds_but_never_half_of_one():
    result = run_claim(claim(slow, seeds=20), budget=3.5, workers=2)
    assert 3 <= len(result.seeds) < 20
    assert {len(arm.metrics["score"]) for arm in result.arms.values()} == {len(result.seeds)}


def test_what_a_trial_raises_reaches_the_caller():
    with pytest.raises(ZeroDivisionError, match="nothing to divide by"):
        run_claim(claim(broken), workers=1)


@pytest.mark.parametrize(("arguments", "said"), [({"seeds": 2}, "at least 3"), ({"budget": 0}, "above 0")])
def test_arguments_are_checked_at_the_door(arguments, said):
    with pytest.raises(ValueError, match=said):
        run_claim(claim(), **arguments)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: claim(seeds=2), "at least 3"),
        (lambda: claim(first_seed=10_001), "are for tuning"),
        (lambda: claim(expect=()), "at least one comparison"),
        (lambda: claim(expect=[Expect("speed", "method", "higher", "baseline")]), "'speed' isn't described"),
        (lambda: claim(expect=[Expect("score", "method", "higher", "other")]), "'other' isn't one of"),
        (lambda: Expect("score", "a", "bigger", "b"), "expected one of"),
        (lambda: Expect("score", "a", "higher", "b", margin=-1), "at least 0"),
        (lambda: Expect("score", "a", "no_lower", "b"), "needs a margin"),
        (lambda: Tuning([], "score"), "at least one setting"),
        (lambda: Tuning([{}, {}], "score", own={"method": [{}, {}, {}]}), "expected 2 settings"),
        (lambda: Run({}), "at least one"),
        (lambda: Run({"score": math.nan}), "finite"),
        (lambda: interval([]), "at least one"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(
    ("low", "high", "relation", "margin", "verdict"),
    [
        (0.1, 0.3, "higher", 0.0, "holds"),
        (0.1, 0.3, "higher", 0.2, "inconclusive"),
        (-0.3, 0.0, "higher", 0.0, "does not hold"),
        (-0.3, -0.1, "lower", 0.0, "holds"),
        (-0.3, -0.1, "lower", 0.2, "inconclusive"),
        (0.1, 0.3, "lower", 0.0, "does not hold"),
        (-0.01, 0.01, "no_lower", 0.02, "holds"),
        (-0.03, 0.01, "no_lower", 0.02, "inconclusive"),
        (-0.05, -0.03, "no_lower", 0.02, "does not hold"),
        (-0.01, 0.01, "no_higher", 0.02, "holds"),
        (0.03, 0.05, "no_higher", 0.02, "does not hold"),
    ],
)
def test_verdicts(low, high, relation, margin, verdict):
    assert judge(Interval((low + high) / 2, low, high), relation, margin) == verdict


def test_the_interval_is_students():
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.half == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert interval([5.0]) == Interval(5.0, -math.inf, math.inf)


@given(st.lists(numbers, min_size=2, max_size=8), numbers)
def test_an_interval_moves_with_its_values(values, shift):
    plain, moved = interval(values), interval([value + shift for value in values])
    assert plain.low <= plain.mean <= plain.high
    assert moved.low == pytest.approx(plain.low + shift, abs=1e-9)


@given(numbers, st.floats(0, 50), st.floats(0, 10))
def test_higher_mirrors_lower(mean, half, margin):
    there, mirrored = Interval(mean, mean - half, mean + half), Interval(-mean, -mean - half, half - mean)
    assert judge(there, "higher", margin) == judge(mirrored, "lower", margin)


def test_one_failed_expectation_fails_the_claim():
    assert overall(["holds", "inconclusive", "does not hold"]) == "does not hold"
    assert overall(["holds", "inconclusive"]) == "inconclusive"
    assert overall(["holds", "holds"]) == "holds"


def test_reported_seeds_can_begin_elsewhere():
    result = run_claim(claim(first_seed=50_000), workers=1)
    assert result.seeds == [50_000, 50_001, 50_002, 50_003]
    assert result.arms["method"].metrics["seed"] == [50_000.0, 50_001.0, 50_002.0, 50_003.0]


def test_a_number_can_be_the_baseline():
    result = run_claim(claim(expect=[Expect("seed", "method", "higher", -5.0)]), workers=1)
    assert result.outcomes[0].difference.mean == pytest.approx(6.5)


def test_results_round_trip_as_json(tmp_path):
    result = run_claim(claim(), workers=1)
    path = result.write(tmp_path)
    back = Result.read(path)
    assert path.name == "otc-po.json"
    assert back.outcomes == list(result.outcomes)
    assert back.arms["method"].metrics == result.arms["method"].metrics
    assert back.verdict == "holds"


@pytest.mark.parametrize("damage", ["{}", "[]", '{"verdict": "holds", "slug": "x"}'])
def test_a_file_that_is_no_result_is_named(tmp_path, damage):
    path = tmp_path / "x.json"
    path.write_text(damage)
    with pytest.raises(ValueError, match="not the result of a claim"):
        Result.read(path)


def test_a_verdict_that_its_numbers_do_not_support_is_refused(tmp_path):
    path = run_claim(claim(), workers=1).write(tmp_path)
    path.write_text(
        path.read_text().replace('"verdict": "holds",\n "slug"', '"verdict": "inconclusive",\n "slug"')
    )
    with pytest.raises(ValueError, match="says 'inconclusive', but"):
        Result.read(path)


def test_expectations_read_as_sentences():
    assert Expect("calls", "a", "lower", "b", margin=0.5).text == "calls: a lower than b − 0.5"
    assert Expect("calls", "a", "no_higher", 2.0, margin=0.1).text == "calls: a no higher than 2.0 + 0.1"
    assert isinstance(claim(), Claim)
