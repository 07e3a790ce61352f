from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon import Chat, Dense, Signal, Status
from guerdon.core.samples import Unit
from guerdon.train import place
from tests.lab.policies import raw_policy

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(raw_policy())


def signal(unit: Unit, values: Sequence[float], spans: Sequence[tuple[int, int]] | None) -> Signal:
    return Signal([0.0], dense=Dense.from_rows([values], unit, None if spans is None else [spans]))


def text_sample(text: str, tokenizer: Any) -> tuple[Chat, np.ndarray]:
    ids = tokenizer(text + "<|im_end|>")["input_ids"]
    return Chat("p", text, extra={"completion_ids": ids}), np.ones(len(ids), dtype=bool)


def tool_sample(tokenizer: Any) -> tuple[Chat, np.ndarray, list[str]]:
    """Two turns with a tool result between them, as TRL generates them."""
    written = [
        'So: <tool_call>{"name": "calculator", "arguments": {"expression": "1+2"}}</tool_call><|im_end|>',
        "The answer is 3.<|im_end|>",
    ]
    tool = "\n<|im_start|>tool\n3<|im_end|>\n<|im_start|>assistant\n"
    pieces = [tokenizer(text)["input_ids"] for text in (written[0], tool, written[1])]
    ids = [i for piece in pieces for i in piece]
    mask = np.repeat([True, False, True], [len(piece) for piece in pieces])
    call = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": "1+2"}}}
    completion = [
        {"role": "assistant", "content": "So:", "tool_calls": [call]},
        {"role": "tool", "name": "calculator", "content": "3"},
        {"role": "assistant", "content": "The answer is 3."},
    ]
    return Chat("p", completion, extra={"completion_ids": ids}), mask, [tokenizer.decode([i]) for i in ids]


def test_without_a_dense_channel_there_is_nothing_to_place(tokenizer: Any) -> None:
    plain = Signal([1.0])
    assert place(plain, [Chat("p", "c")], [np.ones(1, dtype=bool)], tokenizer) == (plain, None)


def test_tokens_are_their_own_places(tokenizer: Any) -> None:
    sample, mask = text_sample("12 pens", tokenizer)
    _, spans = place(signal("token", [1, 2], None), [sample], [mask], tokenizer)
    assert spans is not None
    assert spans.tolist() == [[0, 1], [1, 2]]
    _, spans = place(signal("token", [1], [(1, 3)]), [sample], [mask], tokenizer)
    assert spans is not None
    assert spans.tolist() == [[1, 3]]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), st.data())
@settings(max_examples=80, deadline=None)
def test_steps_that_cover_the_text_share_out_its_tokens(text: str, data: st.DataObject) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(raw_policy())
    sample, mask = text_sample(text, tokenizer)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text)), max_size=4)) | {0, len(text)})
    steps = list(pairwise(cuts))
    placed, spans = place(signal("step", [1.0] * len(steps), steps), [sample], [mask], tokenizer)
    assert placed.ok.all()
    assert spans is not None
    ids = sample.extra["completion_ids"]
    for (start, end), (first, last) in zip(steps, spans.tolist(), strict=True):
        if tokenizer.decode(ids[:first]) == text[:start] and tokenizer.decode(ids[:last]) == text[:end]:
            assert tokenizer.decode(ids[first:last]) == text[start:end]
    ends = [0, *spans[:, 1].tolist()]
    assert ends == sorted(ends)
    assert all(first >= before for first, before in zip(spans[:, 0].tolist(), ends, strict=False))


def test_turns_are_stretches_of_generated_tokens(tokenizer: Any) -> None:
    sample, mask, tokens = tool_sample(tokenizer)
    for spans in (None, [(0, 1), (2, 3)]):
        _, placed = place(signal("turn", [1, 2], spans), [sample], [mask], tokenizer)
        assert placed is not None
        assert [tokens[s] for s, _ in placed] == ["S", "The"]
        assert [tokens[e - 1] for _, e in placed] == ["<|im_end|>"] * 2
        assert mask[placed[0, 0] : placed[0, 1]].all()
    _, placed = place(signal("turn", [1], [(0, 3)]), [sample], [mask], tokenizer)
    assert placed is not None
    assert placed.tolist() == [[0, len(tokens)]]


def test_steps_of_a_conversation_skip_calls_and_results(tokenizer: Any) -> None:
    sample, mask, tokens = tool_sample(tokenizer)
    number = sample.text.index("3")
    _, placed = place(signal("step", [1, 1], [(0, 3), (number, number + 1)]), [sample], [mask], tokenizer)
    assert placed is not None
    assert ["".join(tokens[s:e]) for s, e in placed.tolist()] == ["So:", "3"]
    assert placed[1, 0] > np.flatnonzero(~mask)[-1]


@pytest.mark.parametrize(
    ("unplaced", "reason"),
    [
        (signal("token", [1], [(0, 99)]), "ends at token 99"),
        (signal("turn", [1, 2, 3], None), "3 values for 2 turns"),
        (signal("turn", [1], [(1, 2)]), "no assistant turn"),
        (signal("step", [1], [(0, 999)]), "ends at character 999"),
    ],
)
def test_what_cannot_be_placed_fails_with_its_reason(unplaced: Signal, reason: str, tokenizer: Any) -> None:
    sample, mask, _ = tool_sample(tokenizer)
    both = Signal.concat([Signal([5.0]), unplaced])
    placed, spans = place(both, [sample, sample], [mask, mask], tokenizer)
    assert placed.status.tolist() == [Status.OK, Status.FAILED]
    assert reason in placed.reasons[1]
    assert spans is not None
    assert placed.dense is not None
    assert len(spans) == placed.dense.values.size == 0


def test_a_text_that_is_not_in_the_tokens_fails(tokenizer: Any) -> None:
    sample, mask, _ = tool_sample(tokenizer)
    other = [{**m, "content": "something else"} for m in sample.completion_messages]
    changed = Chat("p", other, extra=sample.extra)
    placed, _ = place(signal("step", [1], [(0, 1)]), [changed], [mask], tokenizer)
    assert "not what its tokens decode to" in placed.reasons[0]
    placed, _ = place(signal("turn", [1], None), [sample], [np.ones_like(mask)], tokenizer)
    assert "2 assistant turns, but 1 stretches" in placed.reasons[0]


def test_a_row_that_is_masked_out_is_left_alone(tokenizer: Any) -> None:
    sample, mask, _ = tool_sample(tokenizer)
    placed, spans = place(signal("turn", [1, 2], None), [sample], [np.zeros_like(mask)], tokenizer)
    assert placed.ok.all()
    assert spans is not None
    assert spans.tolist() == [[0, 0], [0, 0]]


def test_units_without_a_place_are_refused(tokenizer: Any) -> None:
    sample, mask, _ = tool_sample(tokenizer)
    for unit in ("time_step", "step"):
        with pytest.raises(ValueError, match="can't be placed in tokens"):
            place(signal(unit, [1], None), [sample], [mask], tokenizer)
