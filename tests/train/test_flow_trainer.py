"""Training on flow balance: what carries a loss, what it is, and that it falls."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guerdon import Chat, Context, Reward, Score, Signal
from guerdon.core.segmenters import lines
from guerdon.train import Rollout
from guerdon.train.flow_balance import flow_balance_loss, log_rewards, token_flow_balance_loss

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
    folder: Path, reward: Reward, *, steps: int = 2, config: dict[str, Any] | None = None, **options: Any
) -> tuple[Any, list[tuple[dict[str, Any], float, Any]], list[Rollout]]:
    """The trainer after some steps; of each its inputs, its loss and the weights before it; and the rollouts."""
    from guerdon.train.flow_trainer import FlowBalanceTrainer

    class Probe(FlowBalanceTrainer):
        def _compute_loss(self, model: Any, inputs: Any) -> Any:
            loss = super()._compute_loss(model, inputs)
            weights = copy.deepcopy(self.accelerator.unwrap_model(model).state_dict())
            seen.append((dict(inputs), loss.item(), weights))
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
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        **(config or {}),
    }
    trainer = Probe(
        model_of(initial),
        reward,
        trl.GRPOConfig(**args),
        on_rollout=rollouts.append,
        train_dataset=datasets.Dataset.from_list([{"prompt": PROMPT}] * 8),
        processing_class=tokenizer,
        **options,
    )
    trainer.train()
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
    logged = [entry["flow/solutions"] for entry in trainer.state.log_history if "flow/solutions" in entry]
    assert logged == pytest.approx(shares)


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
