"""The tool-call reward on real turns, in both modes and both layouts, and on hostile text."""

from __future__ import annotations

import gzip
import json
import math
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.context import Context
from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.call_matching import (
    greedy_assignment,
    multiset_jaccard,
    parameter_match,
    same_json,
    whole_call_match,
)
from guerdon.verify.tool_calls import VARIANTS, ToolCallMatch, scale_at
from guerdon.verify.tool_turns import read_turn

WEATHER = {"name": "weather", "parameters": {"city": "Paris", "unit": "C"}}
CLOCK = {"name": "clock", "parameters": {"zone": "CET"}}


def turn(*calls: Any, thoughts: str = "plan", response: str | None = None) -> str:
    text = f"<think>{thoughts}</think>"
    if calls:
        lines = "\n".join(call if isinstance(call, str) else json.dumps(call) for call in calls)
        text += f"\n<tool_call>\n{lines}\n</tool_call>"
    return text if response is None else f"{text}\n<response>{response}</response>"


def structured(*calls: dict[str, Any], content: str | None = None) -> list[dict[str, Any]]:
    asked = [
        {"type": "function", "function": {"name": c["name"], "arguments": json.dumps(c["parameters"])}}
        for c in calls
    ]
    return [{"role": "assistant", "content": content, "tool_calls": asked}]


def parts(reward: ToolCallMatch, completion: Any, reference: Any, step: int | None = None) -> list[float]:
    signal = reward([Chat("", completion, reference=reference)], Context(step=step))
    assert signal.status[0] == Status.OK, signal.reasons
    assert signal.outcome[0] == pytest.approx(sum(part.outcome[0] for part in signal.parts.values()))
    return [signal.parts[name].outcome[0] for name in ("format", "correctness", "length")]


# -- real records --------------------------------------------------------------------------------------------


def real_turns(folder: Path) -> list[str]:
    import pyarrow.parquet as pq

    with gzip.open(folder / "rlla_dialogues.jsonl.gz", "rt", encoding="utf-8") as lines:
        turns = [json.loads(line)["output"] for line in lines]
    rows = pq.read_table(folder / "rlla_verl_test.parquet").to_pylist()
    return turns + [row["reward_model"]["ground_truth"] for row in rows]


def test_every_real_turn_gets_its_maximum_against_itself(shared_data: Path) -> None:
    turns = real_turns(shared_data)
    signal = ToolCallMatch()([Chat("", text, reference=text) for text in turns])
    expected = [4.0 if read_turn(text).block else 1.0 for text in turns]
    assert len(turns) == 280
    np.testing.assert_array_equal(signal.outcome, expected)


def test_code_mode_gives_the_floor_where_thoughts_quote_a_tag(shared_data: Path) -> None:
    turns = real_turns(shared_data)
    quoting = [text for text in turns if "<tool_call>" in text.split("</think>")[0]]
    assert len(quoting) == 6
    signal = ToolCallMatch(mode="code")([Chat("", text, reference=text) for text in quoting])
    np.testing.assert_array_equal(signal.outcome, [-3.0] * 6)


def test_api_bank_answers_in_every_form(shared_data: Path) -> None:
    with gzip.open(shared_data / "apibank_level1.json.gz", "rt", encoding="utf-8") as file:
        answers = [row["answer"] for row in json.load(file)]
    samples = [Chat("", turn(*calls), reference=calls) for calls in answers]
    samples += [Chat("", turn(*calls), reference=turn(*calls)) for calls in answers]
    samples += [Chat("", structured(*calls), reference=calls) for calls in answers]
    samples += [Chat("", structured(*calls), reference=turn(*calls)) for calls in answers]
    signal = ToolCallMatch()(samples)
    assert len(answers) == 399
    np.testing.assert_array_equal(signal.outcome, [4.0] * len(samples))


def test_both_modes_agree_on_damaged_real_turns_without_quoted_tags(shared_data: Path) -> None:
    rng = random.Random(0)
    turns = [t for t in real_turns(shared_data) if t.count("<tool_call>") + t.count("<response>") == 1]
    samples = []
    for text in turns:
        cut = rng.randrange(len(text))
        damaged = [text[:cut], text[cut:], text[:cut] + text[cut + 1 :], text.replace('", "', '","', 1)]
        samples += [Chat("", completion, reference=text) for completion in damaged]
        samples.append(Chat("", rng.choice(turns), reference=text))
    strict, code = ToolCallMatch()(samples), ToolCallMatch(mode="code")(samples)
    np.testing.assert_allclose(strict.outcome, code.outcome, atol=1e-12)
    assert len(set(strict.outcome.tolist())) > 5


# -- format --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["strict", "code"])
@pytest.mark.parametrize(
    ("completion", "reference", "expected"),
    [
        (turn(WEATHER), turn(WEATHER), 1),
        (" \n" + turn(WEATHER) + "\n", turn(WEATHER), 1),
        (turn(WEATHER, response="ok"), turn(WEATHER), 0),
        (turn(WEATHER), turn(WEATHER, response="ok"), 0),
        (turn(WEATHER, response="ok"), turn(WEATHER, response="fine"), 1),
        (turn(response="ok"), turn(response="fine"), 1),
        (turn(WEATHER), turn(response="fine"), 0),
        (turn(), turn(), 1),
        (turn(response="ok"), turn(), 0),
        (turn(WEATHER).replace("</think>\n", "</think>\n\n"), turn(WEATHER), 0),
        (turn(WEATHER).replace("<think>plan</think>\n", ""), turn(WEATHER), 0),
        (turn(WEATHER).replace("</think>", ""), turn(WEATHER), 0),
        (turn(WEATHER) + " bye", turn(WEATHER), 0),
        (turn(WEATHER) + "\n<tool_call>\n{}\n</tool_call>", turn(WEATHER), 0),
        (turn("<tool_call>", WEATHER), turn(WEATHER), 0),
        (turn(response="a</response>\n<response>b"), turn(response="a"), 0),
        ("", turn(WEATHER), 0),
    ],
)
def test_format_bit(completion: str, reference: str, expected: int, mode: Any) -> None:
    assert parts(ToolCallMatch(mode=mode), completion, reference)[0] == expected


def test_strict_mode_reads_thoughts_first() -> None:
    thoughts = (
        f"I might write <tool_call>\n{json.dumps(WEATHER)}\n</tool_call> or <response>, then </think>, hm"
    )
    reference = turn(CLOCK, thoughts=thoughts)
    assert parts(ToolCallMatch(), reference, reference)[:2] == [1, 3]
    wrong = turn(CLOCK, thoughts=thoughts)
    assert parts(ToolCallMatch(), wrong, turn(WEATHER))[1] == -3, (
        "a call that was only thought of doesn't count"
    )
    assert parts(ToolCallMatch(mode="code"), wrong, turn(WEATHER))[1] == 3


def test_strict_mode_allows_tags_quoted_in_arguments_and_responses() -> None:
    page = {"name": "write", "parameters": {"html": "</tool_call> <tool_call> <response>"}}
    reference = turn(page, response="I used <tool_call>…</tool_call> once")
    assert parts(ToolCallMatch(), reference, reference)[:2] == [1, 3]


@pytest.mark.parametrize("mode", ["strict", "code"])
def test_thoughts_that_are_never_closed_cost_only_the_format(mode: Any) -> None:
    completion = turn(WEATHER).replace("</think>", "")
    assert parts(ToolCallMatch(["WITHLENGTH"], mode=mode), completion, turn(WEATHER)) == [0, 3, 0]


# -- correctness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["strict", "code"])
@pytest.mark.parametrize(
    "line",
    [
        "{'name': 'weather'}",
        "",
        "[1]",
        "3",
        '"weather"',
        '{"parameters": {}}',
        '{"name": "weather"}',
        '{"name": "weather", "parameters": "Paris"}',
        '{"name": ["weather"], "parameters": {}}',
        json.dumps(WEATHER, indent=1),
        json.dumps(WEATHER) + json.dumps(WEATHER),
        '{"a":' * 100_000,
    ],
)
def test_a_call_that_cannot_be_read_gives_the_floor(line: str, mode: Any) -> None:
    assert parts(ToolCallMatch(mode=mode), turn(line), turn(WEATHER))[1] == -3


@pytest.mark.parametrize(
    ("line", "strict", "code"),
    [
        ('{"name": "add", "parameters": {"a": 1.0, "b": true}}', 3, 3),
        ('{"name": "add", "parameters": {"a": true, "b": true}}', 1.5, 3),
        ('{"name": "add", "parameters": {"a": 1, "b": 1}}', 1.5, 3),
        ('{"name": "add", "parameters": {"a": 0, "a": 1, "b": true}}', -3, 3),
        ('{"name": "add", "parameters": {"a": NaN, "b": true}}', -3, 1.5),
        ('{"name": "add", "parameters": {"a": 1, "b": true}, "id": 7}', 3, 3),
        ('{"name": "sub"}', -3, -3),
    ],
)
def test_where_the_modes_read_json_differently(line: str, strict: float, code: float) -> None:
    reference = turn('{"name": "add", "parameters": {"a": 1, "b": true}}')
    assert parts(ToolCallMatch(), turn(line), reference)[1] == pytest.approx(strict)
    assert parts(ToolCallMatch(mode="code"), turn(line), reference)[1] == pytest.approx(code)


def test_granularity_of_the_variants() -> None:
    reference, almost = turn(WEATHER, CLOCK), turn(WEATHER, {"name": "clock", "parameters": {"zone": "UTC"}})
    fine, whole, coarse = (
        parts(ToolCallMatch(v), almost, reference)[1] for v in ([], ["INTERMEDIATEREWARD"], ["COARSEREWARD"])
    )
    assert (fine, whole, coarse) == (pytest.approx(-3 + 6 * 5 / 6), pytest.approx(1), -3)
    swapped = turn(CLOCK, WEATHER)
    assert parts(ToolCallMatch(), swapped, reference)[1] == 3
    assert parts(ToolCallMatch(["REFINEDREWARD"]), swapped, reference)[1] == pytest.approx(-3 + 6 * 5 / 6)
    assert parts(ToolCallMatch(["COARSEREWARD"]), swapped, reference)[1] == -3
    assert parts(ToolCallMatch(["COARSEREWARD"]), reference, reference)[1] == 3


def test_a_reference_without_a_call_gives_no_correctness() -> None:
    assert parts(ToolCallMatch(), turn(WEATHER), turn(response="no"))[:2] == [0, 0]


# -- scale ---------------------------------------------------------------------------------------------------


def test_length_counts_the_words_of_the_thoughts() -> None:
    completion = turn(WEATHER, thoughts="word " * 64)
    assert parts(ToolCallMatch(["WITHLENGTH"]), completion, turn(WEATHER))[2] == 0.12
    assert (
        parts(ToolCallMatch(["WITHLENGTH", "SCHEDULELENGTH"]), completion, turn(WEATHER), step=0)[2] == 0.17
    )
    assert parts(ToolCallMatch(["WITHLENGTH"]), turn(WEATHER, thoughts="w " * 9999), turn(WEATHER))[2] == 1
    assert parts(ToolCallMatch(["WITHLENGTH"]), "no thoughts", turn(WEATHER))[2] == 0
    assert parts(ToolCallMatch(), completion, turn(WEATHER))[2] == 0


@pytest.mark.parametrize(
    ("variants", "step", "expected"),
    [
        ([], None, (0, 1, -3, 3)),
        (["CORRECTMAX1"], None, (0, 1, -1, 1)),
        (["MAX1STEP30MAX3"], 29, (0, 1, -1, 1)),
        (["MAX1STEP30MAX3"], 30, (0, 0.5, -3, 3)),
        (["SCHEDULEREWARD"], 0, (-2, 2, -2, 2)),
        (["SCHEDULEREWARD"], 75, (-1, 1.5, -2.5, 2.5)),
        (["SCHEDULEREWARD"], 300, (-1, 1, -3, 3)),
        (["SCHEDULEREWARD", "CORRECTMAX1"], 150, (-1, 1, -1, 1)),
        (["SCHEDULEREWARD", "CORRECTMAX1"], 300, (-1, 1, 0, 0)),
    ],
)
def test_scale(variants: list[str], step: int | None, expected: tuple[float, ...]) -> None:
    assert scale_at(variants, step)[:4] == pytest.approx(expected)


@pytest.mark.parametrize(
    "variants", [["SCHEDULEREWARD"], ["MAX1STEP30MAX3"], ["WITHLENGTH", "SCHEDULELENGTH"]]
)
def test_a_schedule_without_a_step_fails_every_sample(variants: list[str]) -> None:
    reward = ToolCallMatch(variants)
    assert reward.uses_context
    signal = reward([Chat("", turn(WEATHER), reference=turn(WEATHER))])
    assert signal.status[0] == Status.FAILED
    assert "needs context.step" in signal.reasons[0]


def test_schedulelength_alone_needs_no_step() -> None:
    assert parts(ToolCallMatch(["SCHEDULELENGTH"]), turn(WEATHER), turn(WEATHER)) == [1, 3, 0]


# -- references and structured calls -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference", [None, 3, np.arange(2), {"name": "weather"}, "", "42", turn("{bad"), [3], [{"name": 1}]]
)
def test_an_unusable_reference_abstains_with_a_reason(reference: Any) -> None:
    signal = ToolCallMatch()([Chat("", turn(WEATHER), reference=reference)])
    assert signal.status[0] == Status.ABSTAINED
    assert signal.reasons[0].startswith("reference: ")
    assert math.isnan(signal.parts["format"].outcome[0])


def test_all_forms_of_listed_calls_mean_the_same() -> None:
    openai = structured(WEATHER)[0]["tool_calls"]
    arguments = [{"name": "weather", "arguments": {"city": "Paris", "unit": "C"}}]
    for reference in ([WEATHER], (WEATHER,), openai, arguments, turn(WEATHER)):
        for completion in (turn(WEATHER), structured(WEATHER)):
            assert parts(ToolCallMatch(), completion, reference) == [1, 3, 0]


def test_structured_calls() -> None:
    reward = ToolCallMatch(layout="structured")
    wrong = {"name": "weather", "parameters": {"city": "Paris", "unit": "F"}}
    assert parts(reward, structured(wrong), [WEATHER])[:2] == [1, pytest.approx(1.5)]
    assert parts(reward, "It is warm.", [WEATHER])[:2] == [0, -3]
    assert parts(reward, "It is warm.", [])[:2] == [1, 0]
    assert parts(reward, structured(WEATHER), [])[:2] == [0, 0]
    assert parts(reward, structured(WEATHER), turn(WEATHER, response="ok"))[:2] == [0, 3]
    assert parts(reward, structured(WEATHER, content="ok"), turn(WEATHER, response="ok"))[:2] == [1, 3]
    broken = structured(WEATHER)
    broken[0]["tool_calls"][0]["function"]["arguments"] = '{"city": '
    assert parts(reward, broken, [WEATHER])[:2] == [0, -3]


def test_auto_layout_goes_by_what_the_completion_is() -> None:
    assert parts(ToolCallMatch(), [{"role": "assistant", "content": turn(WEATHER)}], [WEATHER])[:2] == [1, 3]
    assert parts(ToolCallMatch(), "It is warm.", turn(response="x"))[:2] == [0, 0]
    assert parts(ToolCallMatch(layout="tagged"), structured(WEATHER), [WEATHER])[:2] == [0, -3]


def test_a_structured_call_nested_too_deeply_is_unreadable_not_a_crash() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    completion = [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"x": deep}}]}]
    other: Any = 1
    for _ in range(100_000):
        other = [other]
    assert parts(ToolCallMatch(), completion, [{"name": "f", "arguments": {"x": other}}])[1] == -3


# -- hostile and odd input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["strict", "code"])
@pytest.mark.parametrize(
    "completion",
    [
        "<tool_call>" * 100_000,
        "<think></think>\n<tool_call>\n" * 40_000,
        "<think>" + "</think>" * 130_000,
        "<think>x</think>" + "\n<tool_call>\n</tool_call>" * 40_000,
        "<think>x</think>\n<tool_call>\n" + "{}\n" * 300_000 + "</tool_call>",
        "\ud800" * 1000,
    ],
)
def test_a_megabyte_of_tags(completion: str, mode: Any) -> None:
    assert parts(ToolCallMatch(mode=mode), completion, turn(WEATHER))[:2] == [0, -3] or "{}" in completion


def test_wrong_kind_of_sample_fails_with_a_reason() -> None:
    signal = ToolCallMatch()([object()])
    assert signal.status[0] == Status.FAILED
    assert "AttributeError" in signal.reasons[0]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="unknown variant 'COARSE'; did you mean 'COARSEREWARD'"):
        ToolCallMatch(["COARSE"])
    with pytest.raises(TypeError, match="variants: expected a list"):
        ToolCallMatch("COARSEREWARD")
    with pytest.raises(ValueError, match="mode: expected one of strict, code"):
        ToolCallMatch(mode="paper")
    with pytest.raises(ValueError, match="layout: expected one of auto"):
        ToolCallMatch(layout="json")


def test_registered_picklable_and_told_apart_by_fingerprint() -> None:
    reward = create("toolrl", arguments={"variants": ["CORRECTMAX1"], "mode": "code"})
    twin = pickle.loads(pickle.dumps(reward))
    assert parts(twin, turn(WEATHER), turn(WEATHER)) == [1, 1, 0]
    assert ToolCallMatch().fingerprint() != ToolCallMatch(mode="code").fingerprint()
    assert ToolCallMatch([VARIANTS[0]]).fingerprint() != ToolCallMatch().fingerprint()


# -- properties ----------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0]) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["f", "g"]),
            "parameters": st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3),
        }
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150)
@given(CALLS, CALLS, st.lists(st.sampled_from(VARIANTS), unique=True), st.integers(0, 400))
def test_values_stay_in_their_bounds_and_batch_agrees_with_single(
    gold: list[Any], predicted: list[Any], variants: list[str], step: int
) -> None:
    reward, context = ToolCallMatch(variants), Context(step=step)
    sample = Chat("", turn(*predicted), reference=turn(*gold))
    signal, score = reward([sample], context), reward.score(sample, context)
    assert signal.outcome[0] == score.outcome
    assert {name: part.outcome[0] for name, part in signal.parts.items()} == score.parts
    scale = scale_at(variants, step)
    low, high = sorted((scale.correct_min, scale.correct_max))
    assert low - 1e-9 <= score.parts["correctness"] <= high + 1e-9
    exact = reward([Chat("", turn(*gold), reference=turn(*gold))], context)
    assert exact.parts["correctness"].outcome[0] == pytest.approx(scale.correct_max)


@settings(max_examples=150)
@given(CALLS, CALLS, st.randoms())
def test_matching_properties(gold: list[Any], predicted: list[Any], rng: random.Random) -> None:
    for match in (parameter_match, whole_call_match):
        share = match(gold, predicted, same=same_json)
        assert 0 <= share <= 1
        assert match(gold, gold, same=same_json) == pytest.approx(1)
        shuffled = rng.sample(gold, len(gold))
        assert whole_call_match(gold, shuffled, same=same_json) == pytest.approx(1)
        extra = [*gold, {"name": "h", "parameters": {}}]
        assert match(gold, extra, same=same_json) < 1


@given(VALUES, VALUES)
def test_same_json_is_equality_of_what_json_writes(a: Any, b: Any) -> None:
    def canonical(value: Any) -> str:
        return json.dumps(value, sort_keys=True).replace("1.0", "1")

    assert same_json(a, b) == (canonical(a) == canonical(b))


def test_greedy_assignment_is_greedy_and_ties_take_the_earliest() -> None:
    gold = [{"name": "f", "id": 0}, {"name": "f", "id": 1}]
    predicted = [{"name": "f", "id": 0}, {"name": "f", "id": 1}]
    table = {(0, 0): 2.0, (0, 1): 1.9, (1, 0): 1.9, (1, 1): 0.0}
    assert greedy_assignment(gold, predicted, lambda g, p: table[g["id"], p["id"]]) == 2.0
    tie = {(0, 0): 1.0, (0, 1): 1.0, (1, 0): 5.0, (1, 1): 1.0}
    assert greedy_assignment(gold, predicted, lambda g, p: tie[g["id"], p["id"]]) == 2.0


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([], [], 1),
        (["x"], [], 0),
        (["x", "x"], ["x"], 0.5),
        (["x", "y"], ["y", "x"], 1),
        (["x", "y"], ["y", "z"], 1 / 3),
    ],
)
def test_multiset_jaccard(a: list[str], b: list[str], expected: float) -> None:
    assert multiset_jaccard(a, b) == pytest.approx(expected)
