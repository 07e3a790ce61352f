"""The goal-conditioned reward: which channels it has, and what becomes of samples that it can't judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.models.goal_conditioned import goal_values
from guerdon.models.goal_conditioned_reward import GoalConditionedReward
from tests.models.test_goal_conditioned_fitting import PROMPT, answer, new_model

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

SAMPLES = [answer("1 2\n3 4\n5"), answer("7"), answer("a line\nand another")]


@pytest.fixture(scope="module")
def model() -> Any:
    found = new_model()
    found.set_goal([found.tokens(answer("1")), found.tokens(answer("2"))])
    return found


def states(model: Any, sample: Chat) -> np.ndarray:
    """Of the completion tokens, from one plain pass."""
    row = model.tokens(sample)
    return model.network.backbone(torch.tensor([row.ids])).last_hidden_state[0, row.first :].detach().numpy()


def test_the_outcome_is_the_reward_at_the_last_token(model: Any) -> None:
    signal = GoalConditionedReward(model)(SAMPLES)
    assert signal.dense is None
    for sample, outcome in zip(SAMPLES, signal.outcome, strict=True):
        assert outcome == pytest.approx(
            model.network.head(torch.tensor(states(model, sample)[-1])).item(), abs=1e-5
        )


def test_each_token_has_the_cosine_to_the_goal(model: Any) -> None:
    signal = GoalConditionedReward(model, dense="token", outcome=False)(SAMPLES)
    assert signal.outcome.tolist() == [0.0] * 3
    assert signal.dense.unit == "token"
    for i, sample in enumerate(SAMPLES):
        expected = goal_values(states(model, sample), model.goal.numpy()[None])
        np.testing.assert_allclose(signal.dense.row(i), expected, atol=1e-5)


def test_each_step_has_the_value_of_its_last_token_and_does_not_see_what_follows(model: Any) -> None:
    reward = GoalConditionedReward(model, dense="step")
    signal = reward(SAMPLES)
    assert signal.dense.unit == "step"
    assert [SAMPLES[0].text[a:b] for a, b in signal.dense.row_spans(0)] == ["1 2\n", "3 4\n", "5"]
    of_tokens = GoalConditionedReward(model, dense="token")([SAMPLES[0]]).dense.row(0)
    spans = model.encode(SAMPLES[0]).tokens.spans
    ends = [int(np.flatnonzero((spans[:, 0] < end) & (spans[:, 1] > spans[:, 0]))[-1]) for end in (3, 7, 9)]
    np.testing.assert_allclose(signal.dense.row(0), of_tokens[ends], atol=1e-6)
    shorter = reward([answer("1 2\n")]).dense.row(0)
    np.testing.assert_allclose(shorter, signal.dense.row(0)[:1], atol=1e-5)


def test_one_by_one_and_in_batches_of_any_size_the_values_are_the_same(model: Any) -> None:
    whole = GoalConditionedReward(model, dense="token")(SAMPLES)
    small = GoalConditionedReward(model, dense="token", batch_tokens=1)(SAMPLES)
    np.testing.assert_allclose(whole.outcome, small.outcome, rtol=1e-4)
    np.testing.assert_allclose(whole.dense.values, small.dense.values, atol=1e-5)


def test_tokens_are_those_that_the_policy_emitted(model: Any) -> None:
    row = model.tokens(answer("12"))
    ids = row.ids[row.first :]
    cut = Chat(PROMPT, answer("12").completion, extra={"completion_ids": ids[:-1]})
    signal = GoalConditionedReward(model, dense="token")([answer("12"), cut])
    np.testing.assert_allclose(signal.dense.row(1), signal.dense.row(0)[:-1], atol=1e-5)


def test_tokens_of_tools_have_no_value(model: Any) -> None:
    call = {"type": "function", "function": {"name": "look", "arguments": {}}}
    turns = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "look", "content": "19"},
        {"role": "assistant", "content": "19"},
    ]
    sample = Chat(PROMPT, turns)
    written = model.tokens(sample).written
    values = GoalConditionedReward(model, dense="token")([sample]).dense.row(0)
    assert not written.all()
    assert not values[~written].any()
    assert values[written].all()


def test_samples_that_cannot_be_judged_do_not_stop_the_others(model: Any) -> None:
    samples = [answer("1" * 3000), answer("1"), answer(" "), answer("lone \ud800"), "no chat"]
    signal = GoalConditionedReward(model, dense="step")(samples)
    expected = [Status.FAILED, Status.OK, Status.ABSTAINED, Status.OK, Status.FAILED]
    assert signal.status.tolist() == expected
    assert "1024 tokens" in signal.reasons[0]
    assert "no step" in signal.reasons[2]
    assert "Chat" in signal.reasons[4]
    assert GoalConditionedReward(model)([]).outcome.size == 0


@pytest.mark.parametrize("dense", [None, "token", "step"])
def test_values_that_are_not_finite_fail_with_a_reason(dense: Any) -> None:
    broken = new_model()
    broken.set_goal([broken.tokens(answer("1"))])
    with torch.no_grad():
        broken.network.backbone.norm.weight.fill_(float("nan"))
    signal = GoalConditionedReward(broken, dense=dense)([answer("1")])
    assert signal.status.tolist() == [Status.FAILED]
    assert signal.reasons[0]


def test_without_a_goal_there_are_rewards_but_no_values() -> None:
    plain = new_model()
    assert GoalConditionedReward(plain)([answer("1")]).ok.all()
    with pytest.raises(ValueError, match="no goal"):
        GoalConditionedReward(plain, dense="token").prepare()
    signal = GoalConditionedReward(plain, dense="token")([answer("1")])
    assert "no goal" in signal.reasons[0]


def test_it_is_made_from_a_folder_by_name(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    made = create("goal_conditioned_reward", arguments={"model": str(tmp_path), "dense": "step"})
    given = GoalConditionedReward(model, dense="step")
    assert isinstance(made, GoalConditionedReward)
    np.testing.assert_allclose(made(SAMPLES).dense.values, given(SAMPLES).dense.values, atol=1e-5)


@pytest.mark.parametrize("options", [{"outcome": False}, {"dense": "turn"}, {"batch_tokens": 0}])
def test_options_are_checked(model: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        GoalConditionedReward(model, **options)
