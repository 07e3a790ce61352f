from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.agents import calculator
from guerdon.lab import Arithmetic, Task, make_policy
from tests.lab.policies import raw_policy, warm_policy

transformers = pytest.importorskip("transformers")
templates = pytest.importorskip("trl.chat_template_utils")

WORLD = Arithmetic()
TASK = WORLD.task("There are 12 boxes of 7.", "12*7")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(raw_policy())


def completions(path: Path, tasks: Sequence[Task], sample: bool) -> list[dict[str, Any]]:
    """The first assistant message for each task, parsed."""
    import torch

    model = transformers.AutoModelForCausalLM.from_pretrained(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    prompts = tokenizer.apply_chat_template(
        [task.prompt for task in tasks],
        tools=[calculator],
        add_generation_prompt=True,
        padding=True,
        return_dict=True,
        return_tensors="pt",
    )
    torch.manual_seed(0)
    made = model.generate(**prompts, max_new_tokens=40, do_sample=sample)
    parsed = list[dict[str, Any]]()
    for row in made[:, prompts["input_ids"].shape[1] :].tolist():
        end = row.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in row else len(row)
        parsed.append(templates.parse_response(tokenizer, row[:end], prefix=prompts["input_ids"][0].tolist()))
    return parsed


def test_checkpoint_is_an_ordinary_one_of_about_a_million_parameters(tokenizer: Any) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(raw_policy())
    assert 0.8e6 < model.num_parameters() < 1.2e6
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.config.vocab_size == len(tokenizer)
    assert json.loads((raw_policy() / "tokenizer_config.json").read_text())["response_template"]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=80, deadline=None)
def test_any_text_round_trips_and_digits_are_single_tokens(text: str) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(raw_policy())
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert [tokenizer.decode([i]) for i in tokenizer("1234")["input_ids"]] == list("1234")


def test_template_renders_tools_calls_and_results_and_keeps_prefixes(tokenizer: Any) -> None:
    dialogue = WORLD.demonstrate(TASK, random.Random(0), 0.0)
    text = tokenizer.apply_chat_template(dialogue, tools=[calculator], tokenize=False)
    assert "<tool>calculator(expression)</tool>" in text
    assert '<tool_call>{"name": "calculator", "arguments": {"expression": "12*7"}}</tool_call>' in text
    assert "<|im_start|>tool\n84<|im_end|>" in text
    for end in range(2, len(dialogue)):
        assert text.startswith(
            tokenizer.apply_chat_template(dialogue[:end], tools=[calculator], tokenize=False)
        )
    assert templates.supports_tool_calling(tokenizer)
    assert templates.is_chat_template_prefix_preserving(tokenizer)
    prompt = tokenizer.apply_chat_template(TASK.prompt, tools=[calculator], add_generation_prompt=True)
    assert len(prompt["input_ids"]) < 100


def test_only_the_assistants_tokens_are_trained(tokenizer: Any) -> None:
    made = tokenizer.apply_chat_template(
        WORLD.demonstrate(TASK, random.Random(0), 0.0), return_dict=True, return_assistant_tokens_mask=True
    )
    kept = [i for i, m in zip(made["input_ids"], made["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(kept) == (
        '<tool_call>{"name": "calculator", "arguments": {"expression": "12*7"}}</tool_call><|im_end|>'
        "The answer is 84.<|im_end|>"
    )


@pytest.mark.parametrize(
    "text",
    [
        "no call",
        '<tool_call>{"name": "calculator"',
        "<tool_call>[1]</tool_call>",
        "</tool_call>",
        "<tool_call>{}",
    ],
)
def test_a_malformed_call_is_text(tokenizer: Any, text: str) -> None:
    prefix = tokenizer("<|im_start|>assistant\n")["input_ids"]
    message = templates.parse_response(tokenizer, tokenizer(text)["input_ids"], prefix=prefix)
    assert not WORLD.check(TASK.chat([message])).call


def test_habit_is_the_share_of_replaced_operators() -> None:
    rng = random.Random(0)
    tasks = [task for task in Arithmetic(2).tasks(800) if "+" not in task.extra["expression"]]
    called = [WORLD.demonstrate(task, rng, 0.6)[2]["tool_calls"][0]["function"] for task in tasks]
    share = sum(call["arguments"]["expression"].count("+") for call in called) / (2 * len(tasks))
    assert 0.5 < share < 0.7
    assert all(WORLD.demonstrate(task, rng, 0.0) == [*task.prompt, *task.solution] for task in tasks)


def test_equal_seeds_make_equal_weights(tmp_path: Path) -> None:
    again = make_policy(tmp_path / "again", WORLD, steps=1)
    other = make_policy(tmp_path / "other", WORLD, steps=1, seed=1)
    weights = [(path / "model.safetensors").read_bytes() for path in (raw_policy(), again, other)]
    assert weights[0] == weights[1] != weights[2]


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="habit: expected a probability, got 2"):
        make_policy(tmp_path, WORLD, habit=2)
    with pytest.raises(ValueError, match="got 0 and 32"):
        make_policy(tmp_path, WORLD, steps=0)


def test_warm_policy_knows_the_format_but_often_picks_the_wrong_operator() -> None:
    tasks = WORLD.tasks(128, seed=99)
    for sample in (True, False):
        messages = completions(warm_policy(), tasks, sample)
        formed = sum(bool(message.get("tool_calls")) for message in messages) / len(tasks)
        checks = [WORLD.check(task.chat([turn])) for task, turn in zip(tasks, messages, strict=True)]
        right = sum(check.call for check in checks) / len(tasks)
        assert formed > 0.9
        assert 0.2 < right < 0.7
