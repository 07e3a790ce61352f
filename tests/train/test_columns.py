from __future__ import annotations

import pytest

from guerdon.train import as_chats


def test_the_first_reference_column_is_the_reference_and_others_are_extra() -> None:
    columns = {"answer": ["a"], "solution": ["s"], "level": [3]}
    (chat,) = as_chats(["p"], ["c"], columns)
    assert (chat.prompt, chat.completion, chat.reference, chat.group) == ("p", "c", "s", None)
    assert chat.extra == {"answer": "a", "level": 3}
    assert as_chats(["p"], ["c"], {"reference": [None], "solution": ["s"]})[0].reference is None


def test_messages_and_groups_are_kept() -> None:
    prompt, completion = [{"role": "user", "content": "p"}], [{"role": "assistant", "content": "c"}]
    chats = as_chats([prompt] * 2, [completion] * 2, {}, groups=[4, 5])
    assert [c.group for c in chats] == [4, 5]
    assert chats[0].completion == completion
    assert as_chats([], [], {}) == []


def test_lengths_are_checked() -> None:
    with pytest.raises(ValueError, match="level: expected 2 entries as there are completions, got 1"):
        as_chats(["p", "q"], ["c", "d"], {"level": [1]})
    with pytest.raises(ValueError, match="prompts: expected 1"):
        as_chats(["p", "q"], ["c"], {})
