from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guerdon
from guerdon import Chat, Context, Reward, Score
from guerdon.connect.trl import as_reward_func
from tests.lab.policies import raw_policy


class Given(Reward):
    """The completion says what happens to it."""

    name = "given"

    def score(self, sample: Chat, context: Context) -> float | None:
        if sample.text == "abstain":
            return None
        return float(sample.text)


def test_columns_state_and_token_ids_reach_the_reward() -> None:
    seen = list[tuple[Chat, Context]]()

    @guerdon.reward
    def look(sample: Chat, context: Context) -> float:
        seen.append((sample, context))
        return 1.0

    class State:
        global_step, max_steps = 3, 9

    prompt, completion = [{"role": "user", "content": "p"}], [{"role": "assistant", "content": "c"}]
    values = as_reward_func(look)(
        prompts=[prompt],
        completions=[completion],
        completion_ids=[[1, 2]],
        answer=["42"],
        level=[7],
        trainer_state=State(),
        log_extra=print,
        log_metric=lambda name, value: None,
    )
    ((sample, context),) = seen
    assert values == [1.0]
    assert (sample.prompt, sample.completion, sample.reference) == (prompt, completion, "42")
    assert sample.extra == {"completion_ids": [1, 2], "level": 7}
    assert (context.step, context.total_steps) == (3, 9)


def test_missing_values_get_the_mean_of_their_group() -> None:
    texts = ["1", "abstain", "2", "broken", "5", "abstain", "abstain"]
    prompts = ["a", "a", "a", "a", "b", "b", "c"]
    assert as_reward_func(Given())(prompts, texts) == [1.0, 1.5, 2.0, 1.5, 5.0, 5.0, 0.0]
    expected = [1.0, None, 2.0, None, 5.0, None, None]
    assert as_reward_func(Given(), missing="none")(prompts, texts) == expected


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["abstain", "broken", "-1", "0", "2.5", "7"])),
        max_size=20,
    )
)
@settings(max_examples=60, deadline=None)
def test_imputing_never_moves_the_mean_of_a_group(rows: list[tuple[str, str]]) -> None:
    values = as_reward_func(Given())([p for p, _ in rows], [c for _, c in rows])
    for prompt in "abc":
        members = [(value, text) for value, (p, text) in zip(values, rows, strict=True) if p == prompt]
        scored = [value for value, text in members if text not in ("abstain", "broken")]
        if not members:
            continue
        baseline = sum(scored) / len(scored) if scored else 0.0
        assert sum(v for v, _ in members if v is not None) / len(members) == pytest.approx(baseline)
        for value, text in members:
            if text in ("abstain", "broken"):
                assert value == pytest.approx(baseline)


def test_shares_of_missing_values_are_logged() -> None:
    logged = dict[str, float]()
    as_reward_func(Given())(["p"] * 4, ["1", "abstain", "broken", "abstain"], log_metric=logged.__setitem__)
    assert logged == {"given/abstained": 0.5, "given/failed": 0.25, "given/timed_out": 0.0}


def test_dense_values_are_summed_into_the_one_number() -> None:
    both = guerdon.reward(name="both")(lambda sample: Score(1.0, dense=[0.5, 0.25], unit="turn"))
    function = as_reward_func(both)
    assert function(["p"], ["c"]) == [1.75]
    assert function.__name__ == "both"


class Hangs(Reward):
    name = "hangs"

    def score(self, sample: Chat, context: Context) -> float:
        while sample.text == "hang":
            pass
        return float(sample.text)


def test_a_hung_completion_ends_at_its_time_limit() -> None:
    function = as_reward_func(Hangs(), missing="none", workers=1, timeout=0.3)
    assert function(["p", "p"], ["hang", "3"]) == [None, 3.0]


def test_missing_is_checked() -> None:
    with pytest.raises(ValueError, match="missing: expected one of group_mean, none, got 'zero'"):
        as_reward_func(Given(), missing="zero")  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", ["group_mean", "none"])
def test_in_an_unmodified_trainer(missing: Any, tmp_path: Path) -> None:
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")

    class Some(Reward):
        name = "some"

        def score(self, sample: Chat, context: Context) -> float | None:
            assert sample.reference == sample.prompt
            first = sample.extra["completion_ids"][0]
            return float(first) if first % 2 else None

    args = trl.GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=2,
        num_generations=4,
        per_device_train_batch_size=16,
        max_completion_length=4,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
    )
    trainer = trl.GRPOTrainer(
        str(raw_policy()),
        as_reward_func(Some(), missing=missing),
        args=args,
        train_dataset=datasets.Dataset.from_list([{"prompt": str(i), "reference": str(i)} for i in range(8)]),
    )
    trainer.train()
    for log in trainer.state.log_history[:2]:
        assert log["rewards/some/mean"] > 0
        assert 0 < log["some/abstained"] < 1
    rows = list(zip(trainer._logs["rewards"]["some"], trainer._logs["advantages"], strict=True))
    if missing == "none":
        assert any(value != value for value, _ in rows)
        assert all(advantage == 0 for value, advantage in rows if value != value)
    else:
        assert all(value == value for value, _ in rows)
