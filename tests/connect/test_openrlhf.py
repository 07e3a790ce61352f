"""The function that OpenRLHF loads."""

from __future__ import annotations

import asyncio

import pytest

import guerdon
from guerdon.connect.openrlhf import as_reward_func
from guerdon.shape import GroupNormalize

torch = pytest.importorskip("torch")


@guerdon.reward
def right(sample):
    if sample.completion == "raise":
        raise ValueError("no such thing")
    return float(sample.completion == sample.reference)


@guerdon.reward
def short(sample):
    return None if sample.completion == "abstain" else float(len(sample.completion) < 3)


def call(function, completions, prompts=None, labels=None):
    prompts = prompts or ["2+2?"] * len(completions)
    queries = [p + c for p, c in zip(prompts, completions, strict=True)]
    return function(queries, prompts, labels or ["4"] * len(completions))


def test_the_completion_is_what_stands_behind_the_prompt():
    result = call(as_reward_func(right + 0.5 * short, missing=-1.0), ["4", "5", "long"])
    assert result["rewards"].tolist() == [1.5, 0.5, 0.0]
    assert result["rewards"].dtype == torch.float32
    assert torch.equal(result["scores"], result["rewards"])
    assert result["extra_logs"]["right"].tolist() == [1.0, 0.0, 0.0]
    assert result["extra_logs"]["short"].tolist() == [1.0, 1.0, 0.0]


def test_special_tokens_are_cut_off_and_text_before_the_prompt_is_no_completion():
    function = as_reward_func(right, missing=-1.0, special=["<|im_end|>", "\n"])
    result = function(["<s>2+2?4<|im_end|>\n<|im_end|>"], ["2+2?"], ["4"])
    assert result["rewards"].tolist() == [1.0]


def test_a_row_without_a_value_gets_the_mean_of_its_own_prompt():
    function = as_reward_func(right, missing=-1.0)
    result = call(function, ["4", "raise", "5", "4", "5", "raise"], ["a", "a", "a", "b", "b", "c"])
    assert result["rewards"].tolist() == [1.0, 0.5, 0.0, 1.0, 0.0, -1.0]
    assert result["extra_logs"]["status/failed"].tolist() == [0, 1, 0, 0, 0, 1]


def test_one_at_a_time_a_row_without_a_value_gets_the_stated_number():
    function = as_reward_func(right + short, missing=-1.0)
    result = call(function, ["raise"])
    assert result["rewards"].tolist() == [-1.0]
    assert result["extra_logs"].keys() == call(function, ["4"])["extra_logs"].keys()


def test_a_part_that_abstains_is_nan_and_not_zero():
    result = call(as_reward_func(right + short, missing=-1.0), ["abstain"])
    assert result["rewards"].tolist() == [0.0]
    assert result["extra_logs"]["short"].isnan().all()


def test_a_query_without_its_prompt_fails():
    result = as_reward_func(right, missing=-1.0)(["2+2?4", "cut off 4"], ["2+2?", "3+1?"], ["4", "4"])
    assert result["rewards"].tolist() == [1.0, -1.0]
    assert result["extra_logs"]["status/failed"].tolist() == [0, 1]


def test_calls_from_the_threads_of_a_running_loop():
    function = as_reward_func(right, missing=-1.0, workers=2, timeout=30.0)

    async def rollouts():
        calls = [asyncio.to_thread(call, function, [str(i)]) for i in range(12)]
        return [result["rewards"].item() for result in await asyncio.gather(*calls)]

    assert asyncio.run(rollouts()) == [float(i == 4) for i in range(12)]


def test_wrong_arguments_say_which():
    with pytest.raises(TypeError, match="missing"):
        as_reward_func(right)
    with pytest.raises(ValueError, match="missing"):
        as_reward_func(right, missing=float("inf"))
    with pytest.raises(ValueError, match="special"):
        as_reward_func(right, missing=0.0, special=[""])
    with pytest.raises(TypeError, match="one by one"):
        as_reward_func(right | GroupNormalize(), missing=0.0)
    with pytest.raises(ValueError, match="2 queries, 1 prompts"):
        as_reward_func(right, missing=0.0)(["a", "b"], ["a"], ["1", "2"])
