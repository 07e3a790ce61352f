"""The trainer on real models: what the reward sees, where advantages land, what is logged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import guerdon
from guerdon import Chat, Context, Reward, Score, Signal, Status
from guerdon.agents import calculator
from guerdon.core.io import from_table, read_table
from guerdon.credit import Estimator
from guerdon.engine.run import Engine
from guerdon.lab import TRAINING, Arithmetic, WorldEnv
from guerdon.models import CausalLogProbs, ImplicitReward, SelfAligned
from guerdon.train import Rollout, TrainConfig, run
from tests.lab.policies import raw_policy, warm_policy
from tests.train.quiet_arguments import QUIET

datasets = pytest.importorskip("datasets")
trl = pytest.importorskip("trl")
transformers = pytest.importorskip("transformers")


class OnSpans(Estimator):
    """Every token gets the sum of the dense values whose span it lies in."""

    def __call__(self, signal: Signal, groups: Any, mask: Any, spans: Any = None) -> Any:
        advantages = np.zeros(mask.shape)
        for row, (start, end), value in zip(signal.dense.row_index, spans, signal.dense.values, strict=True):
            advantages[row, start:end] += value
        return advantages


def trained(
    reward: Reward | Engine, folder: Path, *, steps: int = 1, model: Path | None = None, **options: Any
) -> tuple[Any, list[dict[str, Any]], list[Rollout]]:
    """The trainer after `steps` steps, the inputs that its loss saw, and its rollouts."""
    from guerdon.train import GRPOTrainer

    class Probe(GRPOTrainer):
        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
            seen.append({k: v.clone() for k, v in inputs.items() if hasattr(v, "clone")})
            return super()._compute_loss(model, inputs)

    seen, rollouts = list[dict[str, Any]](), list[Rollout]()
    rows = options.pop("rows", None) or [{"prompt": f"{i} and"} for i in range(4)]
    config: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": steps,
        "num_generations": 4,
        "per_device_train_batch_size": 8,
        "max_completion_length": 12,
        **QUIET,
        **options.pop("config", {}),
    }
    trainer = Probe(
        str(model or raw_policy()),
        reward,
        on_rollout=rollouts.append,
        args=trl.GRPOConfig(**config),
        train_dataset=datasets.Dataset.from_list(rows),
        **options,
    )
    trainer.train()
    return trainer, seen, rollouts


def logged(trainer: Any) -> dict[str, float]:
    return next(entry for entry in trainer.state.log_history if "reward" in entry)


def by_tokens(inputs: Sequence[dict[str, Any]]) -> dict[tuple[int, ...], list[float]]:
    """Advantages at the tokens of each completion that the loss saw, whatever order TRL shuffled them to."""
    return {
        tuple(ids[m.bool()].tolist()): a[m.bool()].tolist()
        for batch in inputs
        for ids, m, a in zip(
            batch["completion_ids"], batch["completion_mask"], batch["advantages"], strict=True
        )
    }


# -- samples and context -------------------------------------------------------------------------------------------


def test_the_reward_sees_columns_token_ids_groups_and_the_step(tmp_path: Path) -> None:
    seen = list[tuple[Chat, int, int]]()

    @guerdon.reward(scope="group")
    def look(samples: list[Chat], context: Context) -> list[float]:
        assert context.step is not None
        assert context.total_steps is not None
        seen.extend((sample, context.step, context.total_steps) for sample in samples)
        return [0.0] * len(samples)

    rows = [{"prompt": f"{i} and", "solution": str(i), "level": i} for i in range(4)]
    _, _, rollouts = trained(look, tmp_path, steps=2, rows=rows)
    assert {(step, total) for _, step, total in seen} == {(0, 2), (1, 2)}
    tokenizer = transformers.AutoTokenizer.from_pretrained(raw_policy())
    for sample, *_ in seen:
        assert sample.prompt == f"{sample.reference} and"
        assert str(sample.extra["level"]) == sample.reference
        assert sample.text == tokenizer.decode(sample.extra["completion_ids"], skip_special_tokens=True)
    for rollout in rollouts:
        assert rollout.groups.tolist() == [0] * 4 + [1] * 4
        for group in (0, 1):
            members = [s for s, g in zip(rollout.samples, rollout.groups, strict=True) if g == group]
            assert len({sample.prompt for sample in members}) == 1
            assert {sample.group for sample in members} == {group}


def test_an_engine_brings_its_workers_and_its_time_limit(tmp_path: Path) -> None:
    with Engine(HangsOnEven(), workers=1, timeout=0.5) as engine:
        _, _, (rollout,) = trained(engine, tmp_path)
    lengths = [len(sample.text) for sample in rollout.samples]
    expected = [Status.TIMED_OUT if n % 2 == 0 else Status.OK for n in lengths]
    assert rollout.signal.status.tolist() == expected


class HangsOnEven(Reward):
    name = "hangs"

    def score(self, sample: Chat, context: Context) -> float:
        while len(sample.text) % 2 == 0:
            pass
        return 1.0


# -- advantages ----------------------------------------------------------------------------------------------------


class OddOnes(Reward):
    """Counts distinct tokens; abstains or fails on two of four kinds of completion."""

    name = "odd"

    def score(self, sample: Chat, context: Context) -> float | None:
        ids = sample.extra["completion_ids"]
        if ids[0] % 4 == 0:
            return None
        if ids[0] % 4 == 1:
            raise RuntimeError("no value for you")
        return float(ids[0])


def test_samples_without_a_value_get_no_advantage_and_stay_out_of_the_baseline(tmp_path: Path) -> None:
    trainer, seen, (rollout,) = trained(
        OddOnes(), tmp_path, config={"per_device_train_batch_size": 32, "num_generations": 8}
    )
    totals, ok = rollout.signal.total, rollout.signal.ok
    assert 0 < ok.sum() < len(ok)
    loss = by_tokens(seen)
    for group in range(4):
        members = np.flatnonzero(rollout.groups == group)
        values = totals[members][ok[members]]
        for i in members:
            advantages = loss[tuple(rollout.samples[i].extra["completion_ids"])]
            expected = 0.0
            if ok[i] and values.size > 1:
                expected = (totals[i] - values.mean()) / (values.std(ddof=1) + 1e-4)
            assert advantages == pytest.approx([expected] * len(advantages), abs=1e-5)
    metrics = logged(trainer)
    counts = rollout.signal.counts()
    assert metrics["status/abstained"] == pytest.approx(counts[Status.ABSTAINED] / 32)
    assert metrics["status/failed"] == pytest.approx(counts[Status.FAILED] / 32)
    assert metrics["status/timed_out"] == 0
    assert metrics["reward"] == pytest.approx(np.nanmean(totals), rel=1e-5)
    assert metrics["rewards/odd/mean"] == pytest.approx(np.nanmean(totals), rel=1e-5)
    assert not any(part.startswith("nan") for part in map(str, metrics.values()))


def test_a_batch_in_which_all_fail_trains_on_nothing(tmp_path: Path) -> None:
    @guerdon.reward
    def broken(sample: Chat) -> float:
        raise RuntimeError("down")

    trainer, seen, _ = trained(broken, tmp_path)
    assert all(not advantages.any() for advantages in (batch["advantages"] for batch in seen))
    assert logged(trainer)["status/failed"] == 1.0
    assert logged(trainer)["groups/zero_variance"] == 1.0


def test_token_values_land_on_their_tokens(tmp_path: Path) -> None:
    class Sevens(Reward):
        name = "sevens"

        def score(self, sample: Chat, context: Context) -> Score:
            return Score(dense=[float(i % 7) for i in sample.extra["completion_ids"]], unit="token")

    _, seen, _ = trained(Sevens(), tmp_path, credit=OnSpans(), config={"steps_per_generation": 2})
    assert len(seen) == 1
    assert seen[0]["advantages"].shape == seen[0]["completion_ids"].shape
    for ids, advantages in by_tokens(seen).items():
        assert advantages == [i % 7 for i in ids]


def test_step_values_land_on_the_tokens_of_their_characters(tmp_path: Path) -> None:
    class Digits(Reward):
        name = "digits"

        def score(self, sample: Chat, context: Context) -> Score:
            at = [i for i, c in enumerate(sample.text) if c in "0123456789"]
            return Score(
                dense=[float(sample.text[i]) for i in at], spans=[(i, i + 1) for i in at], unit="step"
            )

    config = {"max_completion_length": 40, "per_device_train_batch_size": 16}
    _, seen, _ = trained(Digits(), tmp_path, credit=OnSpans(), config=config)
    tokenizer = transformers.AutoTokenizer.from_pretrained(raw_policy())
    found = 0
    for ids, advantages in by_tokens(seen).items():
        texts = [tokenizer.decode([i]) for i in ids]
        assert advantages == [float(t) if t in set("0123456789") else 0.0 for t in texts]
        found += sum(t in set("0123456789") for t in texts)
    assert found > 0


def test_turn_values_land_on_turns_and_tool_results_get_none(tmp_path: Path) -> None:
    class Turns(Reward):
        name = "turns"

        def score(self, sample: Chat, context: Context) -> Score:
            return Score(dense=[float(k + 1) for k in range(len(sample.steps()))], unit="turn")

    _, seen, (rollout,) = trained(
        Turns(),
        tmp_path,
        model=warm_policy(),
        credit=OnSpans(),
        rows=Arithmetic().rows(4, seed=3),
        tools=[calculator],
        config={"max_completion_length": 64},
    )
    assert any(len(sample.steps()) == 2 for sample in rollout.samples)
    for batch in seen:
        inside = batch["completion_mask"].bool() & batch["tool_mask"].bool()
        assert not batch["advantages"][~inside].any()
    for sample, mask, advantages in zip(rollout.samples, rollout.mask, rollout.advantages, strict=True):
        starts = np.flatnonzero(np.diff(mask, prepend=False) & mask)
        turn = np.searchsorted(starts, np.arange(len(mask)), side="right")
        assert advantages[mask].tolist() == turn[mask].tolist()
        assert turn[mask].max() == len(sample.steps())
    results = [m["content"] for s in rollout.samples for m in s.completion_messages if m["role"] == "tool"]
    assert any(content.isdigit() for content in results)


@pytest.mark.parametrize("tools", [[], [calculator]])
def test_the_live_policy_reads_the_prompt_and_the_tokens_that_were_trained_on(
    tmp_path: Path, tools: list[Any]
) -> None:
    """Though a raw policy writes texts that encode to other tokens, and the template is told something."""
    read = list[list[int]]()

    class Surprise(Reward):
        scope = "batch"
        isolate = False

        def score_batch(self, samples: Any, context: Context) -> Signal:
            policy: Any = context.policy
            read.extend(policy._encode(sample).ids for sample in samples)
            values = policy.log_probs(samples)
            return Signal.from_values([Score(dense=row, unit="token") for row in values])

    rows = [{**row, "tools": ["a column of the data"]} for row in Arithmetic().rows(4, seed=3)]
    _, (inputs,), _ = trained(
        Surprise(),
        tmp_path,
        rows=rows,
        tools=tools,
        config={"chat_template_kwargs": {"mood": "calm"}},
        credit=OnSpans(),
    )
    names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")
    trained_on = [
        prompt[shown.bool()].tolist() + completion[own.bool()].tolist()
        for prompt, shown, completion, own in zip(*(inputs[name] for name in names), strict=True)
    ]
    assert sorted(read) == sorted(trained_on)


def test_an_estimator_is_held_to_its_word(tmp_path: Path) -> None:
    class Bad(Estimator):
        def __init__(self, result: Callable[[Any], Any]) -> None:
            self.result = result

        def __call__(self, signal: Signal, groups: Any, mask: Any, spans: Any = None) -> Any:
            return self.result(mask)

    flat = guerdon.reward(lambda sample: 1.0)
    with pytest.raises(ValueError, match="expected finite advantages of shape"):
        trained(flat, tmp_path, credit=Bad(lambda mask: np.zeros(len(mask))))
    with pytest.raises(ValueError, match="not finite"):
        trained(flat, tmp_path, credit=Bad(lambda mask: np.full(mask.shape, math.nan)))


# -- logs and refusals ---------------------------------------------------------------------------------------------


def test_parts_and_groups_without_signal_are_logged(tmp_path: Path) -> None:
    @guerdon.reward
    def flat(sample: Chat) -> float:
        return 2.0

    @guerdon.reward
    def first(sample: Chat) -> float | None:
        return float(sample.extra["completion_ids"][0]) if sample.prompt == "0 and" else None

    trainer, _, (rollout,) = trained(flat + 0.5 * first, tmp_path, config={"per_device_train_batch_size": 16})
    metrics = logged(trainer)
    part = rollout.signal.parts["first"]
    assert metrics["reward/flat/mean"] == 2.0
    assert metrics["reward/flat/std"] == 0.0
    assert metrics["reward/first/mean"] == pytest.approx(part.outcome[part.ok].mean())
    assert metrics["groups/zero_variance"] == 0.75
    assert metrics["frac_reward_zero_std"] == 0.75
    mean = rollout.advantages.sum(axis=1) / rollout.mask.sum(axis=1)
    assert list(trainer._logs["advantages"]) == pytest.approx(mean.tolist())


def test_evaluation_has_its_own_group_size_and_metrics(tmp_path: Path) -> None:
    trainer, _, rollouts = trained(
        Length(),
        tmp_path,
        config={"num_generations_eval": 2, "per_device_eval_batch_size": 4},
        eval_dataset=datasets.Dataset.from_list([{"prompt": f"{i} or"} for i in range(4)]),
    )
    metrics = trainer.evaluate()
    assert metrics["eval_groups/zero_variance"] <= 1
    assert [rollout.groups.tolist() for rollout in rollouts[1:]] == [[0, 0, 1, 1]] * 2
    means = [rollout.advantages.sum(axis=1) / rollout.mask.sum(axis=1) for rollout in rollouts[1:]]
    assert list(trainer._logs["advantages"]) == pytest.approx(np.concatenate(means).tolist())


class Length(Reward):
    name = "length"

    def score(self, sample: Chat, context: Context) -> float:
        return float(len(sample.text))


def test_what_would_bypass_the_signal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="reward_funcs belongs to trl"):
        trained(Length(), tmp_path, reward_funcs=[len])
    with pytest.raises(ValueError, match="get_reward"):
        trained(Length(), tmp_path, environment_factory=SelfRewarding, rows=Arithmetic().rows(4))


class SelfRewarding:
    """A TRL environment that brings a reward of its own."""

    def reset(self, **columns: Any) -> None:
        """Start."""

    def look(self, place: str) -> str:
        """Look somewhere.

        Args:
            place: where

        Returns:
            What is there.
        """
        return place

    def get_reward(self) -> float:
        """Its own reward."""
        return 1.0


# -- whole runs ----------------------------------------------------------------------------------------------------


def test_tool_calls_get_better_and_the_run_folder_is_whole(tmp_path: Path) -> None:
    @guerdon.reward
    def call(sample: Chat) -> float:
        return float(Arithmetic().check(sample).call)

    @guerdon.reward
    def answer(sample: Chat) -> float:
        return float(Arithmetic().check(sample).answer)

    config = TrainConfig(
        reward=call + 0.5 * answer,
        model=warm_policy(),
        data=Arithmetic().rows(400, seed=1),
        out=tmp_path / "run",
        tools=[calculator],
        steps=24,
        batch_size=64,
        rollout_every=10,
        **TRAINING,
    )
    out = run(config)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    curve = [line["reward/call/mean"] for line in lines if "reward/call/mean" in line]
    assert len(curve) == 24
    assert np.mean(curve[-6:]) > np.mean(curve[:4]) + 0.08

    info = json.loads((out / "run.json").read_text())
    assert info["started"] <= info["ended"]
    assert info["config"]["steps"] == 24
    assert (info["rows"], info["rejected"]) == (400, 0)
    assert info["config"]["tools"] == ["calculator"]
    assert set(info["versions"]) >= {"guerdon", "trl", "torch", "python"}

    assert sorted(p.name for p in (out / "rollouts").iterdir()) == [
        f"step-{step:06d}.parquet" for step in (0, 10, 20)
    ]
    table = read_table(out / "rollouts" / "step-000010.parquet")
    assert from_table(table).parts["call"].outcome.mean() == pytest.approx(curve[10])
    for row in table.select(["tokens", "advantages"]).to_pylist():
        assert len(row["tokens"]) == len(row["advantages"])

    model = transformers.AutoModelForCausalLM.from_pretrained(out / "checkpoint")
    tokenizer = transformers.AutoTokenizer.from_pretrained(out / "checkpoint")
    env = WorldEnv(Arithmetic())
    prompt, _ = env.reset(seed=0)
    ids = tokenizer.apply_chat_template(
        prompt, tools=[calculator], add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    made = model.generate(**ids, max_new_tokens=40, do_sample=False)[0, ids["input_ids"].shape[1] :].tolist()
    results = env.step(tokenizer.parse_response(made, prefix=ids["input_ids"][0].tolist()))[0]
    assert results[0]["role"] == "tool"


def test_columns_reach_the_reward_as_they_were(tmp_path: Path) -> None:
    """Texts beside numbers stay texts, and objects have their own keys alone."""
    columns = [
        {"tests": [["5", 6], ["-", 1]], "reference": "56", "call": {"a": 1}},
        {"tests": [["007", 1]], "reference": 7, "call": {"b": "true", "c": [None, "NaN"]}},
    ]
    seen = list[Chat]()

    @guerdon.reward(scope="group")
    def look(samples: list[Chat]) -> list[float]:
        seen.extend(samples)
        return [0.0] * len(samples)

    prompts = [[{"role": "user", "content": content}] for content in ("5", '{"a": 1}')]
    data = [{"prompt": prompt, **row} for prompt, row in zip(prompts, columns, strict=True)]
    run(
        TrainConfig(
            reward=look,
            model=raw_policy(),
            data=data,
            out=tmp_path / "run",
            steps=2,
            num_generations=2,
            batch_size=2,
            max_completion_length=4,
        ),
        on_step=lambda step, numbers: None,
    )
    found = {str(sample.prompt): sample for sample in seen}
    assert set(found) == {str(prompt) for prompt in prompts}
    for prompt, row in zip(prompts, columns, strict=True):
        sample = found[str(prompt)]
        assert sample.reference == row["reference"]
        assert {name: sample.extra[name] for name in ("tests", "call")} == {
            name: row[name] for name in ("tests", "call")
        }


def test_a_model_that_is_not_there_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    config = TrainConfig(
        reward=ImplicitReward(str(tmp_path / "nothere")),
        model=raw_policy(),
        data=[{"prompt": "p"}],
        out=tmp_path / "run",
    )
    with pytest.raises(Exception, match="nothere"):
        run(config)
    assert not (tmp_path / "run").exists()


def test_configurations_are_checked(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "reward": Length(),
        "model": raw_policy(),
        "data": [{"prompt": "p"}],
        "out": tmp_path,
    }
    with pytest.raises(ValueError, match="batch_size: expected a multiple of num_generations"):
        TrainConfig(**given, batch_size=10, num_generations=4)
    with pytest.raises(ValueError, match="steps: expected at least 1, got 0"):
        TrainConfig(**given, steps=0)
    (tmp_path / "old").write_text("kept")
    with pytest.raises(ValueError, match="expected a new or empty folder"):
        run(TrainConfig(**given))
    with pytest.raises(ValueError, match="no row can be read"):
        run(TrainConfig(**(given | {"out": tmp_path / "new", "data": [{"prompt": 3}]})))
    with pytest.raises(guerdon.core.registry.UnknownName, match="unknown credit 'grop'; did you mean 'grpo'"):
        run(TrainConfig(**(given | {"out": tmp_path / "new"}), credit="grop"))


# -- the live policy -----------------------------------------------------------------------------------------------


class Watched(SelfAligned):
    """Remembers the policy that it was given, in which mode its model was, and its fingerprint."""

    def __init__(self) -> None:
        super().__init__(placeholder="and")
        self.seen = list[tuple[Any, bool, str]]()

    def score_batch(self, samples: Sequence[Any], context: Context) -> Signal:
        policy: Any = context.policy
        signal = super().score_batch(samples, context)
        self.seen.append((policy, policy.model.training, policy.fingerprint()))
        return signal


def test_a_reward_can_ask_the_model_in_training(tmp_path: Path) -> None:
    reward = Watched()
    trainer, _, rollouts = trained(reward, tmp_path, steps=3, config={"learning_rate": 1e-3})
    assert all(rollout.signal.ok.all() for rollout in rollouts)
    assert len({round(float(value), 6) for rollout in rollouts for value in rollout.signal.outcome}) > 4
    policies, modes, fingerprints = zip(*reward.seen, strict=True)
    assert all(policy is policies[0] for policy in policies)
    assert policies[0].model is trainer.accelerator.unwrap_model(trainer.model)
    assert all(modes)
    assert len(set(fingerprints)) == 3
    # The weights that generated the first batch, read from the disk again, give its values.
    (first, *_) = rollouts
    start = CausalLogProbs(str(raw_policy()), device="cpu")
    expected = SelfAligned(start, placeholder="and")(first.samples)
    np.testing.assert_allclose(first.signal.outcome, expected.outcome, atol=1e-4)
    later = SelfAligned(start, placeholder="and")(rollouts[2].samples)
    assert np.abs(rollouts[2].signal.outcome - later.outcome).max() > 1e-4


def test_an_implicit_reward_is_relative_to_the_model_in_training(tmp_path: Path) -> None:
    start = CausalLogProbs(str(raw_policy()), device="cpu")
    reward = Length() + ImplicitReward(start, unit="response")
    _, _, rollouts = trained(reward, tmp_path, steps=2, config={"learning_rate": 1e-2})
    same, moved = (np.abs(rollout.signal.parts["implicit_reward"].outcome).max() for rollout in rollouts)
    assert same < 1e-5
    assert moved > 1e-3


def test_a_slow_tokenizer_leaves_other_rewards_alone(tmp_path: Path) -> None:
    class Blind(Reward):
        name = "blind"

        def score(self, sample: Chat, context: Context) -> float:
            return float(context.policy is None)

    tokenizer = transformers.AutoTokenizer.from_pretrained(raw_policy())
    slow = type("Slow", (type(tokenizer),), {"is_fast": property(lambda self: False)})
    tokenizer.__class__ = slow
    _, _, (rollout,) = trained(Blind(), tmp_path, processing_class=tokenizer)
    assert (rollout.signal.outcome == 1.0).all()
