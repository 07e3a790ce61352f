"""Trajectories of text and programs: the last program, the last output, and where the final answer stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guerdon.core.samples import Chat
from guerdon.verify.programs import fenced_programs, final_answer, last_output, last_program, trajectory_text


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("", ""),
        ("no program", ""),
        ("```python\n```", ""),
        ("```python\na\n\nb\n```\n", "a\n\nb\n"),
        ("```python\nopen", "open\n"),
        ("```python\na\n```\n```python\nb\n```output\n1\n```", "b\n"),
        ("  ```python\na\n```", ""),
        ("```python3\na\n```", "a\n"),
    ],
)
def test_last_program(text: str, program: str) -> None:
    assert last_program(text) == program


@given(st.lists(st.text(alphabet="abc \n", max_size=20), min_size=1, max_size=4))
def test_last_program_is_what_was_written_last(programs: list[str]) -> None:
    text = "so\n".join(f"```python\n{program}\n```\n```output\n0\n```\n" for program in programs)
    assert last_program(text) == programs[-1] + "\n"


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("", ""),
        ("```output\n 7 \n```\nso", "7"),
        ("```output\n7", "7"),
        ("```output\n7\n```\n```output\n8\n9\n```", "8\n9"),
        ("```output\n7\n```\n```output\n\n```", ""),
    ],
)
def test_last_output(text: str, output: str) -> None:
    assert last_output(text) == output


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", ""),
        ("nothing here", ""),
        ("\\boxed{\\text{a}b} \\boxed{{1}", "{1}"),
        ("$\\boxed 5$ eggs", "5"),
        ("it is boxed", ""),
        ("\\boxed{3} he answer is 4", "3"),
        ("The answer is 4. The answer is: 5.\n6", "5"),
        ("The answer is 4/.", "4"),
        ("```output\n8\n```\nThe answer is 9", "9"),
        ("1 ```output\n8\n9\n```", "8"),
        ("```output\n\n```\n-1,234.5 end", "-1234.5"),
        ("about .5", "0.5"),
        ("```output\nDone\n```", "Done"),
    ],
)
def test_final_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@given(st.text(max_size=80))
def test_final_answer_of_any_text_is_one_line(text: str) -> None:
    assert "\n" not in final_answer(text)


@pytest.mark.parametrize("piece", ["\\boxed{", "{", "```output\n", "```python\n", "1", "-.", "he answer is"])
def test_a_megabyte_of_anything_is_read(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert isinstance(final_answer(text), str)
    assert isinstance(last_program(text), str)


def test_a_program_ends_at_the_next_fence_of_any_kind() -> None:
    text = "x\n```python\na\n\n```python3\nb\n```\nc\n```output\nd\n```python\ne\n ```\nf"
    assert fenced_programs(text) == ["a\n\n", "b\n", "e\n ```\nf\n"]
    assert fenced_programs("\n".join(["```python"] * 100_000)) == [""] * 100_000


def test_trajectory_of_messages_fences_tool_results() -> None:
    sample = Chat(
        "q",
        [
            {"role": "assistant", "content": "I compute.", "tool_calls": [{"name": "run", "arguments": {}}]},
            {"role": "tool", "content": "7"},
            {"role": "user", "content": "go on"},
            {"role": "assistant", "content": None},
        ],
    )
    assert trajectory_text(sample) == "I compute.\n```output\n7\n```\n"
    assert final_answer(trajectory_text(sample)) == "7"
    assert trajectory_text(Chat("q", "as it is")) == "as it is"
