from __future__ import annotations

import os
from typing import Any

import pytest

from guerdon.agents import Tool, ToolError, answer_calls, as_tools, python_tool
from guerdon.engine.sandbox import Limits


@pytest.fixture(scope="module")
def run() -> Tool:
    return python_tool(limits=Limits(seconds=20.0))


def answer(tool: Tool, code: object) -> str:
    calls: list[Any] = [{"function": {"name": tool.name, "arguments": {"code": code}}}]
    return answer_calls({"role": "assistant", "tool_calls": calls}, as_tools([tool]))[0]["content"]


def test_the_model_sees_what_was_printed(run: Tool) -> None:
    assert run(code="print(2**100)\nprint('Öl 日本')") == f"{2**100}\nÖl 日本"
    assert run(code="x = 1") == "[no output]"
    assert run(code="") == "[no output]"


def test_nothing_stays_and_nothing_of_the_caller_is_seen(run: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "sesame")
    assert run(code="import os; open('left', 'w').close(); print(os.environ.get('A_SECRET'))") == "None"
    assert run(code="import os; print(os.path.exists('left'))") == "False"
    assert "A_SECRET" in os.environ


def test_a_program_that_raises_shows_its_output_and_the_end_of_its_errors(run: Tool) -> None:
    text = answer(run, "print('so far')\n1 / 0")
    assert text.startswith("error: the program ended with exit code 1\nso far\nTraceback")
    assert text.endswith("ZeroDivisionError: division by zero")
    assert answer(run, "print(").endswith("SyntaxError: '(' was never closed")
    assert answer(run, "raise SystemExit(3)") == "error: the program ended with exit code 3"
    with pytest.raises(ToolError, match="exit code 1"):
        run(code="import nowhere")


def test_equal_programs_have_equal_errors(run: Tool) -> None:
    assert answer(run, "def f():\n    return g\nf()") == answer(run, "def f():\n    return g\nf()")


def test_limits_are_told() -> None:
    endless = answer(python_tool(limits=Limits(seconds=1.0)), "print('a', flush=True)\nwhile True: pass")
    assert endless == "error: the program ran longer than 1 s\na"
    loud = answer(python_tool(limits=Limits(output=1000), max_characters=5), "while True: print('ab' * 100)")
    assert loud.startswith(
        "error: the program printed more than 1000 bytes\nababa\n[995 more characters left out]"
    )
    greedy = answer(python_tool(limits=Limits(memory=1 << 28)), "x = bytearray(1 << 29)")
    assert greedy.startswith("error: the program needed more than 268435456 bytes of memory")
    assert greedy.endswith("MemoryError")


def test_long_texts_keep_the_start_of_the_output_and_the_end_of_the_errors() -> None:
    run = python_tool(max_characters=10)
    assert run(code="print('x' * 25)") == "xxxxxxxxxx\n[15 more characters left out]"
    text = answer(run, "raise ValueError('y' * 50 + 'end')")
    assert text.endswith(" more characters left out]\nyyyyyyyend")


@pytest.mark.parametrize("code", ["\x00", "print('\ud800')", 3, None])
def test_programs_that_cannot_be(run: Tool, code: object) -> None:
    assert answer(run, code).startswith("error: ")


def test_it_is_a_tool_like_others() -> None:
    made = python_tool(name="code_interpreter", price=0.1)
    assert (made.name, made.price, made.parameters["required"]) == ("code_interpreter", 0.1, ["code"])
    assert made.description == "Run a Python program and see what it prints. Each program starts anew."
    with pytest.raises(ValueError, match="max_characters"):
        python_tool(max_characters=0)
