"""A tiny local model that has learnt a few dialogues by heart, made once a session."""

from __future__ import annotations

import functools
from typing import Any

from guerdon.agents import calculator

QUESTIONS = {"12+7": "19", "5*8": "40", "9-3": "6", "81/9": "9"}


def question(expression: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"What is {expression}?"}]


def solved(expression: str) -> list[dict[str, Any]]:
    """The whole dialogue: question, call, result, answer."""
    call = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": expression}}}
    result = QUESTIONS[expression]
    return [
        *question(expression),
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "calculator", "content": result},
        {"role": "assistant", "content": f"The answer is {result}."},
    ]


@functools.cache
def raw_model() -> tuple[Any, Any]:
    """Model with random weights, and its tokenizer with a response template."""
    from guerdon.lab.policy import make_model, make_tokenizer

    tokenizer = make_tokenizer([solved(expression) for expression in QUESTIONS], [calculator])
    return make_model(tokenizer, seed=0), tokenizer


@functools.cache
def fitted_model() -> tuple[Any, Any]:
    """Model that answers the `QUESTIONS` by calling the calculator, and its tokenizer."""
    import torch

    from guerdon.lab.policy import make_model

    tokenizer = raw_model()[1]
    model = make_model(tokenizer, seed=0)
    rows = tokenizer.apply_chat_template(
        [solved(expression) for expression in QUESTIONS],
        tools=[calculator],
        padding=True,
        return_dict=True,
        return_tensors="pt",
    )
    labels = rows["input_ids"].masked_fill(rows["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    for _ in range(60):
        loss = model(**rows, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), tokenizer
