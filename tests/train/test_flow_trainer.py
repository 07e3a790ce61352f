"""Training on flow balance: what carries a loss, what it is, and that it falls."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guerdon import Chat, Context, Reward, Score, Signal
from guerdon.core.segmenters import lines
from guerdon.train import Rollout
from guerdon.train.flow_balance import flow_balance_loss, log_rewards, token_flow_balance_loss
from tests.train.quiet_arguments import QUIET

torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")
transformers = pytest.importorskip("transformers")

PROMPT = [{"role": "user", "content": "Write."}]


def rule(line: str) -> float:
    return 0.9 if "a" in line else 0.2


def broken(line: str) -> float:
    raise RuntimeError("broken")


class Lines(Reward):
    """A score for each line, by what `rule` says of its text."""

    name = "lines"

    def __init__(self, rule: Callable[[str], float] = rule) -> None:
        self.rule = rule

    def score(self, sample: Chat, context: Context) -> Score:
        spans = lines(sample.text)
        return Score(dense=[self.rule(sample.text[a:b]) for a, b in spans], spans=spans)


class FirstToken(Reward):
    """A score for the first token alone."""

    name = "first_token"

    def score(self, sample: Chat, context: Context) -> Score:
        return Score(dense=[0.5], unit="token")


@cache
def start() -> tuple[Any, Any, Any]:
    """Config and weights of a model that writes lines of a and b, and its tokenizer."""
    from guerdon.lab.policy import make_model, make_tokenizer, warm_start

    rng = np.random.default_rng(0)
    said = ["\n".join(rng.choice(["ab", "b"], size=rng.integers(1, 5))) for _ in range(1200)]
    dialogues = [[*PROMPT, {"role": "assistant", "content": text}] for text in said]
    tokenizer = make_tokenizer(dialogues[:20], [], vocab_size=270)
    model = make_model(tokenizer, 0, layers=2, width=32)
    warm_start(model, tokenizer, dialogues, [], seed=0, batch_size=16, learning_rate=1e-2)
    return model.config, model.state_dict(), tokenizer


def model_of(weights: Any) -> Any:
    # Not a deep copy: the forward that TRL gives a model stays bound to the first one.
    model = transformers.LlamaForCausalLM(start()[0])
    model.load_state_dict(weights)
    return model


def trained(
    folder: Path,
    reward: Reward,
    *,
    steps: int = 2,
    config: dict[str, Any] | None = None,
    prompts: Sequence[Any] = (PROMPT,) * 8,
    resume: Path | None = None,
    **options: Any,
) -> tuple[Any, list[tuple[dict[str, Any], float, Any]], list[Rollout]]:
    """The trainer after some steps; of each its batch, its loss and the weights before it; and the rollouts."""
    from guerdon.train.flow_trainer import FlowBalanceTrainer

    class Probe(FlowBalanceTrainer):
        def _log_probs(self, model: Any, inputs: Any) -> Any:
            self.batch = dict(inputs)
            return super()._log_probs(model, inputs)

        def _compute_loss(self, model: Any, inputs: Any) -> Any:
            loss = super()._compute_loss(model, inputs)
            weights = copy.deepcopy(self.accelerator.unwrap_model(model).state_dict())
            seen.append((self.batch, loss.item(), weights))
            return loss

    _, initial, tokenizer = start()
    seen, rollouts = list[Any](), list[Rollout]()
    args: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": steps,
        "num_generations": 2,
        "per_device_train_batch_size": 8,
        "max_completion_length": 16,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "temperature": 0.9,
        **QUIET,
        "gradient_checkpointing": False,
        **(config or {}),
    }
    trainer = Probe(
        model_of(initial),
        reward,
        trl.GRPOConfig(**args),
        on_rollout=rollouts.append,
        train_dataset=datasets.Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        eval_dataset=datasets.Dataset.from_list([{"prompt": PROMPT}] * 2),
        processing_class=tokenizer,
        **options,
    )
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer, seen, rollouts


def by_hand(trainer: Any, inputs: dict[str, Any], weights: Any, rule: Callable[[str], float]) -> list[Any]:
    """Of each completion: log-probabilities of its tokens, those of stopping, ends of its steps and their scores."""
    model, tokenizer = model_of(weights), start()[2]
    rows = list[Any]()
    names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")
    for prompt, keep, ids, mask in zip(*(inputs[name] for name in names), strict=True):
        before, after = prompt[keep.bool()], ids[mask.bool()].tolist()
        everything = torch.cat([before, torch.tensor(after)])[None]
        logits = model(input_ids=everything).logits[0, len(before) - 1 :] / trainer.temperature
        scores = logits.detach().double().log_softmax(-1).numpy()
        tokens = scores[np.arange(len(after)), after]
        finished = after[-1] == tokenizer.eos_token_id
        written = [tokenizer.decode([token]) for token in after[: len(after) - finished]]
        while written and written[-1] == "\n":  # TRL gives the reward a text without them
            written.pop()
        texts = "".join(written).splitlines(keepends=True)
        assert all(line.strip() for line in texts), "the start model writes no blank lines"
        ends = [i for i, piece in enumerate(written, 1) if piece == "\n" or i == len(written)]
        ends = ends if finished else ends[:-1]
        rows.append((tokens, scores[:, tokenizer.eos_token_id], ends, [rule(t) for t in texts[: len(ends)]]))
    return rows


def expected_loss(
    rows: list[Any], form: str = "paper", *, exponent: float = 1.0, decay: float = 1.0
) -> float:
    total = 0.0
    for tokens, stop, ends, scores in rows:
        if not ends:
            continue
        if form == "paper":
            states = [0, *ends]
            forward = [tokens[a:b].sum() for a, b in itertools.pairwise(states)]
            reward = exponent * log_rewards(np.array([scores]))
            total += flow_balance_loss(np.array([forward]), reward, stop[states][None], decay)[0]
        else:
            spread, last = exponent * np.log(np.repeat(scores, np.diff([0, *ends]))), ends[-1]
            total += token_flow_balance_loss(
                tokens[None, :last], spread[None], stop[None, 1 : last + 1], decay
            )[0]
    return total / len(rows)


def unchanged(trainer: Any) -> bool:
    weights = trainer.model.state_dict()
    return all(torch.equal(weight, weights[name]) for name, weight in start()[1].items())


# -- the loss ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["paper", "code"])
def test_the_loss_is_that_of_the_log_probabilities_at_the_states(tmp_path: Path, form: str) -> None:
    trainer, seen, rollouts = trained(
        tmp_path, Lines(), form=form, exponent=2.0, decay=0.8, config={"max_completion_length": 6}
    )
    cut = 0
    for inputs, loss, weights in seen:
        rows = by_hand(trainer, inputs, weights, rule)
        assert loss == pytest.approx(expected_loss(rows, form, exponent=2.0, decay=0.8), rel=1e-3)
        ends = zip(inputs["completion_ids"], inputs["completion_mask"], strict=True)
        cut += sum(int(ids[mask.bool()][-1]) != start()[2].eos_token_id for ids, mask in ends)
    assert cut, "the test means to see completions that were cut off"
    assert {round(float(a), 3) for r in rollouts for a in r.advantages.ravel()} == {0.0, 0.2, 0.9}
    assert not unchanged(trainer)


def test_solutions_that_failed_or_have_too_few_steps_carry_no_loss(tmp_path: Path) -> None:
    def picky(line: str) -> float:
        return broken(line) if line == "ab\n" else rule(line)

    trainer, seen, rollouts = trained(tmp_path, Lines(picky), min_steps=2)
    shares = list[float]()
    for inputs, loss, weights in seen:
        failed = (inputs["advantages"] == 0).all(1).tolist()
        expected = [
            (tokens, stop, [] if bad or len(ends) < 2 else ends, scores)
            for (tokens, stop, ends, scores), bad in zip(
                by_hand(trainer, inputs, weights, rule), failed, strict=True
            )
        ]
        assert loss == pytest.approx(expected_loss(expected), rel=1e-3)
        shares.append(sum(bool(ends) for _, _, ends, _ in expected) / len(expected))
    for rollout in rollouts:
        ok = rollout.signal.ok
        assert ["ab\n" not in sample.text for sample in rollout.samples] == ok.tolist()
        assert not ok.all()
        assert not rollout.advantages[~ok].any()
    assert logged(trainer, "flow/solutions") == pytest.approx(shares)


@pytest.mark.parametrize("form", ["paper", "code"])
def test_a_batch_without_any_solution_changes_nothing(tmp_path: Path, form: str) -> None:
    trainer, seen, _ = trained(tmp_path, Lines(broken), form=form, steps=1)
    assert [loss for _, loss, _ in seen] == [0.0]
    assert unchanged(trainer)


def test_a_score_of_zero_counts_as_the_floor(tmp_path: Path) -> None:
    trainer, ((inputs, loss, weights),), _ = trained(tmp_path, Lines(lambda _: 0.0), steps=1, floor=0.01)
    rows = by_hand(trainer, inputs, weights, lambda _: 0.01)
    assert loss == pytest.approx(expected_loss(rows), rel=1e-3)


def test_the_loss_falls_and_the_policy_prefers_lines_that_score_well(tmp_path: Path) -> None:
    def good(rollouts: list[Rollout]) -> float:
        said = [line for r in rollouts for s in r.samples for line in s.text.split("\n")]
        return float(np.mean(["a" in line for line in said]))

    reward = Lines(lambda line: 0.9 if "a" in line else 0.1)
    _, seen, rollouts = trained(tmp_path, reward, steps=40)
    losses = [loss for _, loss, _ in seen]
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:8])
    assert good(rollouts[-8:]) > good(rollouts[:8]) + 0.1


def test_steps_that_end_at_one_token_are_one_step() -> None:
    from guerdon.train.flow_trainer import _Solutions, _StepScores

    scores = Score(dense=[0.5, 0.5, 0.8], spans=[(0, 1), (1, 1), (1, 2)]), Score(dense=[], spans=[])
    spans = np.array([[0, 2], [2, 2], [2, 3]])
    mask = np.ones((2, 4), dtype=bool)
    placed = _StepScores(1e-6)(Signal.from_values(scores), np.zeros(2, dtype=int), mask, spans)
    np.testing.assert_allclose(placed, [[0, 0.25, 0.8, 0], [0, 0, 0, 0]])
    for cut, counts, ends in ((False, [2, 0], [2, 3]), (True, [1, 0], [2])):
        found = _Solutions.of(torch.tensor(placed), torch.tensor([cut, cut]), min_steps=1)
        assert found.counts.tolist() == counts
        assert found.ends[0].tolist() == ends


# -- replay -----------------------------------------------------------------------------------------------------------


def solutions(batch: dict[str, Any], rows: slice) -> Counter[tuple[int, ...]]:
    pairs = zip(batch["completion_ids"][rows], batch["completion_mask"][rows], strict=True)
    return Counter(tuple(ids[mask.bool()].tolist()) for ids, mask in pairs)


def logged(trainer: Any, name: str) -> list[float]:
    return [entry[name] for entry in trainer.state.log_history if name in entry]


@pytest.mark.parametrize("form", ["paper", "code"])
def test_replayed_solutions_of_earlier_batches_are_in_the_loss(tmp_path: Path, form: str) -> None:
    config = {"max_completion_length": 8}
    trainer, seen, _ = trained(tmp_path, Lines(), steps=4, replay=3, form=form, config=config)
    earlier = Counter[tuple[int, ...]]()
    for step, (batch, loss, weights) in enumerate(seen):
        assert len(batch["completion_ids"]) == 8 + 3 * (step > 0)
        assert loss == pytest.approx(expected_loss(by_hand(trainer, batch, weights, rule), form), rel=1e-3)
        replayed = solutions(batch, slice(8, None))
        assert replayed <= earlier
        earlier = earlier - replayed + solutions(batch, slice(8))  # at most once
    assert logged(trainer, "flow/replayed") == [0, 3, 3, 3]


def test_replayed_solutions_train_where_the_batch_has_none_of_its_own(tmp_path: Path) -> None:
    calls = list[int]()

    class First(Lines):
        def score_batch(self, samples: Any, context: Context) -> Signal:
            calls.append(len(samples))
            return Signal.from_values([self.score(s, context) if len(calls) == 1 else None for s in samples])

    trainer, seen, _ = trained(tmp_path, First(), steps=2, replay=4)
    assert logged(trainer, "flow/solutions")[1] == 0.0
    batch, loss, weights = seen[1]
    rows = [
        (tokens, stop, ends if i >= 8 else [], scores)
        for i, (tokens, stop, ends, scores) in enumerate(by_hand(trainer, batch, weights, rule))
    ]
    assert len(rows) == 12
    assert loss == pytest.approx(expected_loss(rows), rel=1e-3)
    assert loss > 0


def test_prompts_of_unlike_length_keep_their_log_probabilities(tmp_path: Path) -> None:
    long = [{"role": "user", "content": "Write, please."}]
    config = {"per_device_train_batch_size": 2}
    trainer, seen, _ = trained(
        tmp_path, Lines(), steps=8, replay=2, prompts=[PROMPT, long] * 4, config=config
    )
    for batch, loss, weights in seen:
        assert loss == pytest.approx(expected_loss(by_hand(trainer, batch, weights, rule)), rel=1e-3)
    lengths = [batch["prompt_mask"].sum(1).tolist() for batch, *_ in seen]
    assert any(len(set(each)) > 1 for each in lengths), "the test means to see both in one batch"


def test_the_buffer_holds_the_best_solutions_by_their_mean_step_score(tmp_path: Path) -> None:
    trainer, seen, _ = trained(tmp_path, Lines(), steps=2, replay=1, buffer_size=5, min_steps=2)
    means = list[float]()
    for batch, _, weights in seen:
        own = {name: rows[:8] for name, rows in batch.items()}
        rows = by_hand(trainer, own, weights, rule)
        means.extend(np.mean(scores) for _, _, ends, scores in rows if len(ends) >= 2)
    entries = trainer._buffer.state_dict()["entries"]
    assert len(entries) == 5
    drawn = trainer._buffer.draw(5)
    assert len(drawn) == 5
    kept = sorted((priority for priority, *_ in entries), reverse=True)
    assert min(kept) >= sorted(means)[-7]  # one was drawn, from the best five of the first batch
    assert all(any(abs(k - m) < 1e-6 for m in means) for k in kept)


def test_a_batch_of_two_iterations_waits_once_and_after_both(tmp_path: Path) -> None:
    config = {"num_iterations": 2, "steps_per_generation": 2, "per_device_train_batch_size": 4}
    trainer, seen, _ = trained(tmp_path, Lines(), steps=5, replay=1, config=config)
    # The 3rd and the 4th loss are of the second pass. The first batch waits from the end of the 3rd on.
    assert [len(batch["completion_ids"]) for batch, *_ in seen] == [4, 4, 4, 5, 5]
    generated = [solutions(batch, slice(4)) for batch, *_ in seen]
    assert generated[:2] == generated[2:4]
    assert solutions(seen[3][0], slice(4, None)) <= generated[0]
    assert len(trainer._buffer) == 6


def test_an_evaluation_replays_nothing(tmp_path: Path) -> None:
    trainer, _, _ = trained(tmp_path, Lines(), steps=1, replay=2)
    waiting = len(trainer._buffer)
    assert waiting
    trainer.evaluate()
    assert len(trainer.batch["completion_ids"]) == 4
    assert len(trainer._buffer) == waiting


def test_a_run_that_resumes_replays_what_it_would_have_replayed(tmp_path: Path) -> None:
    config = {"save_strategy": "steps", "save_steps": 2}
    _, whole, _ = trained(tmp_path / "whole", Lines(), steps=4, replay=3, config=config)
    checkpoint = tmp_path / "whole" / "checkpoint-2"
    _, resumed, _ = trained(tmp_path / "on", Lines(), steps=4, replay=3, config=config, resume=checkpoint)
    assert [loss for _, loss, _ in resumed] == [loss for _, loss, _ in whole[2:]]
    for (one, *_), (other, *_) in zip(resumed, whole[2:], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in other)


def test_without_replay_there_is_no_trace_of_it(tmp_path: Path) -> None:
    config = {"save_strategy": "steps", "save_steps": 1}
    trainer, seen, _ = trained(tmp_path, Lines(), config=config)
    assert [len(batch["completion_ids"]) for batch, *_ in seen] == [8, 8]
    assert not logged(trainer, "flow/replayed")
    assert not list(tmp_path.rglob("replay_*"))
    again, resumed, _ = trained(tmp_path / "on", Lines(), steps=3, replay=1, resume=tmp_path / "checkpoint-2")
    assert len(resumed) == 1  # a checkpoint without a buffer starts with an empty one
    assert logged(again, "flow/replayed")[-1] == 0


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reward", "reason"),
    [(Lines(lambda _: 1.5), r"step scores in \[0, 1\]"), (FirstToken(), "unit step, got token")],
)
def test_a_reward_of_another_kind_stops_the_training(tmp_path: Path, reward: Reward, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        trained(tmp_path, reward)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"form": "tokens"}, "form"),
        ({"decay": 0.0}, "decay"),
        ({"floor": 0.0}, "floor"),
        ({"exponent": -1.0}, "exponent"),
        ({"min_steps": 0}, "min_steps"),
        ({"replay": -1}, "replay"),
        ({"buffer_size": 0}, "capacity"),
        ({"config": {"beta": 0.1}}, "args.beta"),
        ({"config": {"entropy_coef": 0.1}}, "args.entropy_coef"),
    ],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        trained(tmp_path, Lines(), **options)


def test_it_takes_no_estimator(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="credit"):
        trained(tmp_path, Lines(), credit=None)
