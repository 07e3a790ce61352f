"""Let a policy play problems of a world: whole rollouts with real tool calls, outside a trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from guerdon.core.extras import need
from guerdon.core.messages import Message, tool_calls_of
from guerdon.core.samples import Chat
from guerdon.lab.arithmetic import Problem, Reference
from guerdon.train.quiet import quiet


def play(
    model: str | Path,
    problems: Sequence[Problem],
    tools: Sequence[Callable[..., str]],
    *,
    reference: Reference = "answer",
    sample: bool = True,
    seed: int = 0,
    batch_size: int = 64,
    max_turns: int = 3,
    max_new_tokens: int = 48,
) -> list[Chat]:
    """One rollout a problem by a checkpoint whose tokenizer has a chat template and a response template for tools.

    An assistant turn that calls tools is followed by their results and another turn, at most `max_turns` of them; what
    can't be read as a turn is one of plain text. A tool that raises answers with its error. `sample=False` decodes
    greedily. Equal arguments give equal rollouts on one machine. Needs `guerdon[train]`.

    Raises `ValueError` where `max_turns` isn't positive.
    """
    if max_turns < 1:
        raise ValueError(f"play.max_turns: expected at least 1, got {max_turns}")
    torch, transformers = need("torch", "train"), need("transformers", "train")
    with quiet():
        policy = transformers.AutoModelForCausalLM.from_pretrained(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    torch.manual_seed(seed)
    by_name = {tool.__name__: tool for tool in tools}
    played = list[Chat]()
    for start in range(0, len(problems), batch_size):
        batch = problems[start : start + batch_size]
        completions: list[list[Message]] = [[] for _ in batch]
        open_rows = list(range(len(batch)))
        for _ in range(max_turns):
            dialogues = [[*batch[i].prompt, *completions[i]] for i in open_rows]
            turns = _next_turns(policy, tokenizer, dialogues, tools, sample, max_new_tokens)
            still = list[int]()
            for i, turn in zip(open_rows, turns, strict=True):
                results = [_answer(by_name, call.name, call.arguments) for call in tool_calls_of(turn)]
                completions[i] += [turn, *results]
                if results:
                    still.append(i)
            open_rows = still
            if not open_rows:
                break
        played += [problem.chat(done, reference) for problem, done in zip(batch, completions, strict=True)]
    return played


def _next_turns(
    policy: Any,
    tokenizer: Any,
    dialogues: Sequence[Sequence[Message]],
    tools: Sequence[Callable[..., str]],
    sample: bool,
    max_new_tokens: int,
) -> list[Message]:
    inputs = tokenizer.apply_chat_template(
        list(dialogues),
        tools=list(tools),
        add_generation_prompt=True,
        padding=True,
        return_dict=True,
        return_tensors="pt",
    )
    made = policy.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=sample)
    width = inputs["input_ids"].shape[1]
    return [
        _read_turn(tokenizer, prompt, row)
        for prompt, row in zip(inputs["input_ids"].tolist(), made[:, width:].tolist(), strict=True)
    ]


def _read_turn(tokenizer: Any, prompt: Sequence[int], ids: Sequence[int]) -> Message:
    ended = ids[: ids.index(tokenizer.eos_token_id) + 1] if tokenizer.eos_token_id in ids else ids
    try:
        return tokenizer.parse_response(ended, prefix=prompt)
    except ValueError:
        return {"role": "assistant", "content": tokenizer.decode(ended, skip_special_tokens=True)}


def _answer(
    tools: Mapping[str, Callable[..., str]], name: str, arguments: Mapping[str, Any] | None
) -> Message:
    try:
        if name not in tools:
            raise LookupError(f"no tool {name}")
        content = str(tools[name](**(arguments or {})))
    except Exception as error:
        content = f"error: {error}"
    return {"role": "tool", "name": name, "content": content}
