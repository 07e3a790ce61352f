"""Several rewards on one scale."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.function import reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Score, Status
from guerdon.shape import BatchNormalize, normalized_sum, zscore_average


def test_golden_case_of_the_combined_reward(shared_golden):
    cases = json.loads((shared_golden / "bleuberi.json").read_text())
    cases = cases if isinstance(cases, list) else cases["cases"]
    chosen = [case for case in cases if case.get("call") == "bleu_rm_combined_reward_per_group_z_score"]
    assert chosen
    for case in chosen:
        inputs = case["inputs"]
        parts = [np.array(inputs["bleu"]), np.array(inputs["rm"])]
        found = zscore_average(parts, inputs["group_size"])
        np.testing.assert_allclose(found, case["expected"], atol=case["tolerance"])


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_scale_and_shift_of_a_part_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, 12))
    groups = rng.integers(0, 3, 12)
    plain = zscore_average([first, second], groups, epsilon=0.0)
    np.testing.assert_allclose(
        zscore_average([100 * first + 7, second], groups, epsilon=0.0), plain, atol=1e-9
    )
    in_torch = zscore_average([torch.from_numpy(first), torch.from_numpy(second)], groups, epsilon=0.0)
    np.testing.assert_allclose(in_torch.numpy(), plain, atol=1e-12)


def test_constant_groups_groups_of_one_and_missing_values():
    first = np.array([0.1, 0.1, 0.1, 9.0, np.nan])
    second = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    found = zscore_average([first, second], np.array([0, 0, 0, 1, 1]), epsilon=0.0)
    np.testing.assert_allclose(found[:4], [-0.5, 0.0, 0.5, 0.0])
    assert np.isnan(found[4])
    one_missing = zscore_average([np.array([np.nan, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])], 3, epsilon=0.0)
    np.testing.assert_allclose(one_missing, [-1.0, (-(0.5**0.5)) / 2, (1 + 0.5**0.5) / 2])


def test_arrays_that_do_not_fit():
    with pytest.raises(ValueError, match="at least one"):
        zscore_average([], 1)
    with pytest.raises(ValueError, match=r"parts\[1\]"):
        zscore_average([np.zeros(2), np.zeros(3)], 1)


@reward
def correct(sample):
    return float("c" in sample.text)


@reward
def neat(sample):
    return 0.01 * sample.text.count("n")


@reward
def picky(sample):
    if "x" in sample.text:
        raise ValueError("can't read x")
    return None if "?" in sample.text else float(len(sample.text))


def chats(*texts: str) -> list[Chat]:
    return [Chat("q", text) for text in texts]


def test_a_small_spread_survives_where_a_plain_sum_loses_it():
    samples = chats("c", "cn", "c", "", "n", "")
    plain = (correct + neat)(samples).outcome
    kept = normalized_sum(correct, neat)(samples).outcome
    assert plain[1] - plain[0] == pytest.approx(0.01)
    assert kept[1] - kept[0] > 1.0
    z = [(x - x.mean()) / (x.std(ddof=1) + 1e-6) for x in (correct(samples).outcome, neat(samples).outcome)]
    np.testing.assert_allclose(kept, z[0] + z[1], atol=1e-9)
    weighted = normalized_sum(correct, neat, weights=[2.0, -0.5])(samples).outcome
    np.testing.assert_allclose(weighted, 2 * z[0] - 0.5 * z[1], atol=1e-9)


def test_it_is_a_reward_like_any_other():
    node = normalized_sum(correct, neat)
    assert node.scope == "group"
    assert normalized_sum(correct, neat, over="batch").scope == "batch"
    assert node.fingerprint() == normalized_sum(correct, neat).fingerprint()
    assert node.fingerprint() != normalized_sum(correct, neat, weights=[1, 2]).fingerprint()
    samples = chats("c", "cn", "", "n")
    signal = (node | BatchNormalize())(samples)
    assert signal.outcome.std(ddof=1) == pytest.approx(1, abs=1e-5)
    parts = node(samples).parts
    np.testing.assert_array_equal(parts["correct"].outcome, [1, 1, 0, 0])


def test_groups_are_those_of_the_prompt():
    samples = [Chat(prompt, text) for prompt in ("easy", "hard") for text in ("c", "")]
    samples += [Chat("alone", "c")]
    half = 0.5**0.5
    np.testing.assert_allclose(normalized_sum(correct)(samples).outcome, [half, -half] * 2 + [0], atol=1e-5)
    batch = normalized_sum(correct, over="batch")(samples).outcome
    assert batch[4] == batch[0] > 0


def test_abstaining_parts_are_left_out_and_failures_spread():
    signal = normalized_sum(correct, picky)(chats("c", "aaa", "c?", "x", "?", "c"))
    assert signal.status.tolist() == [0, 0, 0, Status.FAILED, 0, 0]
    assert "can't read x" in signal.reasons[3]
    without = normalized_sum(correct, picky)(chats("c", "aaa", "c?", "?", "c"))
    np.testing.assert_array_equal(signal.outcome[signal.ok], without.outcome)
    assert normalized_sum(picky)(chats("?", "a")).status.tolist() == [Status.ABSTAINED, Status.OK]


def test_wrong_use_is_named():
    @reward
    def steps(sample):
        return Score(0.0, dense=[1.0, 2.0])

    with pytest.raises(ValueError, match="dense channel"):
        normalized_sum(steps)(chats("a"))
    with pytest.raises(ValueError, match="2 weights"):
        normalized_sum(correct, neat, weights=[1.0])
    with pytest.raises(ValueError, match="at least one"):
        normalized_sum()
    with pytest.raises(ValueError, match="over"):
        normalized_sum(correct, over="all")
    with pytest.raises(ValueError, match="epsilon"):
        normalized_sum(correct, epsilon=-1.0)
    with pytest.raises(TypeError, match="expected rewards"):
        normalized_sum(correct, 2.0)
