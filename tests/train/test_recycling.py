"""Repairs within TRL's GRPO on a tiny model: what the loss sees of them, and what it makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import guerdon
from guerdon import Chat, Score
from guerdon.train import Rollout
from guerdon.train.mixed_policy import mixed_policy_loss
from guerdon.train.splicing import Draft, Recycling, text_guide
from tests.lab.policies import raw_policy
from tests.train.quiet_arguments import QUIET

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")
trl = pytest.importorskip("trl")

TEXTS = [{"prompt": f"{i} and"} for i in range(4)]
CHATS = [{"prompt": [{"role": "user", "content": f"What is {i}+7?"}]} for i in range(4)]


@guerdon.reward
def fine(sample: Chat) -> float:
    return float(sample.text.endswith(" fine"))


@guerdon.reward
def halves(sample: Chat) -> Score:
    """The first half of any text is right, the second half wrong."""
    half, end = len(sample.text) // 2, len(sample.text)
    return Score(0.0, dense=[1.0, 0.0], unit="step", spans=[(0, half), (half, end)])


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(raw_policy())


def mend(drafts: Sequence[Draft]) -> list[str | None]:
    return [" fine"] * len(drafts)


def give_up(drafts: Sequence[Draft]) -> list[str | None]:
    return [None] * len(drafts)


def config(folder: Path, **options: Any) -> Any:
    return trl.GRPOConfig(
        **{
            "output_dir": str(folder),
            "max_steps": 1,
            "num_generations": 4,
            "per_device_train_batch_size": 8,
            "max_completion_length": 24,
            **QUIET,
            "gradient_checkpointing": False,
            "seed": 3,
            **options,
        }
    )


class Trained:
    """A trainer after its steps: `inputs`, `losses` and `gradients` of every micro-batch, the `rollouts`."""

    def __init__(self, folder: Path, write: Any = mend, rows: Any = None, **options: Any) -> None:
        from guerdon.train.recycling import RecyclingGRPOTrainer

        trained = self

        class Probe(RecyclingGRPOTrainer):
            def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
                loss = super()._compute_loss(model, inputs)
                trained.inputs.append({k: v.clone() for k, v in inputs.items() if hasattr(v, "clone")})
                trained.losses.append(float(loss.detach()))
                if "off_policy" in inputs:
                    expected = by_definition(self, model, inputs)
                    trained.expected.append(float(expected.detach()))
                    weight = model.get_input_embeddings().weight
                    trained.gradients.append(
                        [torch.autograd.grad(x, weight, retain_graph=True)[0] for x in (loss, expected)]
                    )
                return loss

        self.inputs, self.losses, self.expected = list[dict[str, Any]](), list[float](), list[float]()
        self.gradients, self.rollouts = list[list[Any]](), list[Rollout]()
        own = {
            k: options.pop(k) for k in ("recycling", "gamma", "off_policy_weight", "reward") if k in options
        }
        tokenizer = transformers.AutoTokenizer.from_pretrained(raw_policy())
        self.trainer = Probe(
            str(raw_policy()),
            own.pop("reward", fine),
            halves,
            text_guide(write, tokenizer),
            on_rollout=self.rollouts.append,
            args=config(folder, **options),
            train_dataset=datasets.Dataset.from_list(rows or TEXTS),
            eval_dataset=datasets.Dataset.from_list(TEXTS[:2]),
            **own,
        )
        self.trainer.train()

    def logged(self, name: str) -> float:
        return next(entry[name] for entry in self.trainer.state.log_history if name in entry)


def by_definition(trainer: Any, model: Any, inputs: dict[str, Any]) -> Any:
    """The loss of one micro-batch from plain forward passes, without TRL's code."""
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    seen = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    width = inputs["completion_ids"].shape[1]
    logits = model(input_ids=ids, attention_mask=seen).logits[:, -width - 1 : -1]
    log_probs = logits.float().log_softmax(-1).gather(-1, inputs["completion_ids"][..., None])[..., 0]
    tokens = mixed_policy_loss(
        log_probs,
        inputs.get("old_per_token_logps", log_probs.detach()),
        inputs["advantages"],
        inputs["off_policy"],
        gamma=trainer.gamma,
        weight=trainer.off_policy_weight,
    )
    mask = inputs["completion_mask"].double()
    per_row, lengths = (tokens * mask).sum(1), mask.sum(1)
    steps = trainer.args.gradient_accumulation_steps
    share = {
        "grpo": (per_row / lengths).mean() / steps,
        "bnpo": per_row.sum() / lengths.sum() / steps,
        "dr_grpo": per_row.sum() / (len(mask) * trainer.max_completion_length) / steps,
        "dapo": per_row.sum() / inputs["num_items_in_batch"] * trainer.args.steps_per_generation / steps,
    }
    return share[trainer.loss_type]


@pytest.mark.parametrize("rows", [TEXTS, CHATS], ids=["text", "messages"])
def test_one_failure_of_each_group_is_repaired_in_every_column(
    tmp_path: Path, rows: Any, tokenizer: Any
) -> None:
    run = Trained(tmp_path, rows=rows)
    (inputs,), (rollout,) = run.inputs, run.rollouts
    suffix = [*tokenizer(" fine")["input_ids"], tokenizer.eos_token_id]
    repaired = inputs["off_policy"].any(dim=1)
    assert repaired.sum() == 2
    for i in torch.nonzero(repaired)[:, 0].tolist():
        length = int(inputs["completion_mask"][i].sum())
        assert inputs["off_policy"][i].nonzero()[:, 0].tolist() == list(range(length - len(suffix), length))
        assert inputs["completion_ids"][i, length - len(suffix) : length].tolist() == suffix
        assert 0 < length - len(suffix) <= 24 - len(suffix)
        assert (inputs["advantages"][i, :length] > 0).all()
    assert (inputs["advantages"][~repaired] <= 0).all()
    assert inputs["advantages"][~repaired].any()
    assert int(inputs["num_items_in_batch"]) == int(inputs["completion_mask"].sum())

    ok = [sample.text.endswith(" fine") for sample in rollout.samples]
    assert sum(ok) == 2
    assert rollout.signal.outcome.tolist() == [float(x) for x in ok]
    for sample in rollout.samples:
        text = tokenizer.decode(sample.extra["completion_ids"], skip_special_tokens=True)
        assert sample.text.strip() in text  # TRL strips a message
        assert text.endswith(" fine") is sample.text.endswith(" fine")
    assert run.logged("recycled/share") == 0.25
    assert run.logged("recycled/groups") == 1.0
    assert run.logged("recycled/quality") == 0.5
    assert run.logged("reward") == 0.25


def test_tokens_before_the_error_are_those_that_the_policy_sampled(tmp_path: Path, tokenizer: Any) -> None:
    suffix = [*tokenizer(" fine")["input_ids"], tokenizer.eos_token_id]
    plain = Trained(tmp_path / "plain", give_up).rollouts[0].samples
    mended = Trained(tmp_path / "mended").rollouts[0].samples
    changed = 0
    for before, after in zip(plain, mended, strict=True):
        if after.text.endswith(" fine"):
            changed += 1
            kept = after.extra["completion_ids"][: -len(suffix)]
            assert after.extra["completion_ids"][len(kept) :] == suffix
            assert before.extra["completion_ids"][: len(kept)] == kept
            assert 0 < len(kept) < len(before.extra["completion_ids"])
            assert len(tokenizer.decode(kept, skip_special_tokens=True)) <= len(before.text) // 2
        else:
            assert after.extra["completion_ids"] == before.extra["completion_ids"]
    assert changed == 2


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo"])
def test_the_loss_is_that_of_its_definition(tmp_path: Path, loss_type: str) -> None:
    options: dict[str, Any] = {"max_steps": 2, "learning_rate": 1e-3, "lr_scheduler_type": "constant"}
    run = Trained(
        tmp_path, loss_type=loss_type, per_device_train_batch_size=4, gradient_accumulation_steps=2,
        num_iterations=2, gamma=0.3, off_policy_weight=0.7, **options,
    )  # fmt: skip
    assert len(run.losses) == 4
    assert all("old_per_token_logps" in inputs for inputs in run.inputs)
    assert any(inputs["off_policy"].any() for inputs in run.inputs)
    assert run.losses == pytest.approx(run.expected, abs=1e-5)
    for found, expected in run.gradients:
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_weight_zero_leaves_the_tokens_of_the_guide_out(tmp_path: Path) -> None:
    run = Trained(tmp_path, off_policy_weight=0.0, gamma=None)
    assert run.losses == pytest.approx(run.expected, abs=1e-5)
    (inputs,) = run.inputs
    on = inputs["completion_mask"].bool() & ~inputs["off_policy"]
    count = inputs["num_items_in_batch"]
    assert run.losses[0] == pytest.approx(float(-(inputs["advantages"] * on).sum() / count), abs=1e-5)


def test_a_guide_without_repairs_changes_nothing(tmp_path: Path) -> None:
    from guerdon.train import GRPOTrainer

    @guerdon.reward
    def length(sample: Chat) -> float:
        return -float(len(sample.text))

    run = Trained(tmp_path / "own", give_up, reward=length, max_steps=2, beta=0.1)
    plain = GRPOTrainer(
        str(raw_policy()),
        length,
        args=config(tmp_path / "plain", max_steps=2, beta=0.1),
        train_dataset=datasets.Dataset.from_list(TEXTS),
    )
    plain.train()
    for own, other in zip(run.trainer.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(own, other)
    assert run.logged("recycled/share") == 0.0


def test_training_makes_the_guides_words_likelier(tmp_path: Path, tokenizer: Any) -> None:
    from guerdon.models.log_probs import CausalLogProbs

    run = Trained(tmp_path, max_steps=3, learning_rate=1e-3, lr_scheduler_type="constant")
    start = transformers.AutoModelForCausalLM.from_pretrained(raw_policy())
    samples = [
        Chat("0 and", sample.text) for sample in run.rollouts[0].samples if sample.text.endswith(" fine")
    ]
    count = len(tokenizer(" fine")["input_ids"])
    before, after = (
        [row[-count:].sum() for row in CausalLogProbs(model, tokenizer).log_probs(samples)]
        for model in (start, run.trainer.model)
    )
    assert sum(after) > sum(before)


def test_an_evaluation_repairs_nothing(tmp_path: Path) -> None:
    run = Trained(tmp_path)
    assert run.trainer.evaluate()["eval_reward"] == 0.0
    assert not any(sample.text.endswith(" fine") for sample in run.rollouts[-1].samples)


def test_repairs_never_exceed_the_length_of_completions(tmp_path: Path) -> None:
    run = Trained(tmp_path, lambda drafts: [" on" * 40 + " fine" for _ in drafts])
    assert run.logged("recycled/share") == 0.0
    assert run.inputs[0]["completion_ids"].shape[1] <= 24
    assert not run.inputs[0]["off_policy"].any()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"loss_type": "sapo"}, "args.loss_type"),
        ({"importance_sampling_level": "sequence"}, "args.importance_sampling_level"),
        ({"gamma": -1.0}, "gamma"),
        ({"off_policy_weight": -1.0}, "weight"),
        ({"recycling": Recycling(error_below=2.0), "reward": "group"}, "scope"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    @guerdon.reward(scope="group")
    def together(samples: list[Chat]) -> list[float]:
        return [0.0] * len(samples)

    if options.get("reward") == "group":
        options = {**options, "reward": together}
    with pytest.raises(ValueError, match=named):
        Trained(tmp_path, **options)
