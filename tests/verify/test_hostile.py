"""Every reward and every shipped recipe of verifiable rewards against completions and references made to break them.

Whatever comes in, `guerdon.score` returns: a finite value, or a status with its reason; and the samples beside it keep theirs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import yaml

import guerdon
from guerdon import Chat, Context, Reward, Signal, Status, load_reward
from guerdon.agents.python import python_tool
from guerdon.agents.tool import ToolError
from guerdon.core.registry import entries
from guerdon.engine.sandbox import Limits
from tests.recipes.test_shipped import EXPECTED, needs_encoder

MB = 1 << 20
CALLS = [{"name": "add", "parameters": {"a": 1}}]
COLUMNS = {
    "answer": "7",
    "before": {"a": 0},
    "completion_ids": [1, 2, 3],
    "cost": 1.0,
    "explanation": "water boils",
    "prompt_format_hint": "yaml",
    "retrieved": [["a"]],
    "schema": "CREATE TABLE t (n TEXT); INSERT INTO t VALUES ('Ann');",
    "similarities": [],
    "solved_without": True,
    "state": {"a": 1},
    "step_scores": [0.5],
    "task": "math",
    "tests": [True],
}
REFERENCES = {
    "bandit_choice": {"means": [0.2, 0.9], "counts": [3, 3], "sums": [3, 0]},
    "call_match": CALLS,
    "code_tests": ["assert f() == 1"],
    "nugget_labels": ["support"],
    "state_overlap": {"a": 1},
    "toolrl": CALLS,
} | dict.fromkeys(("sql_execution", "sql_schema_linking", "sql_ngram"), "SELECT n FROM t")

# Their examples name a language model that isn't there.
OF_A_MODEL = {
    *("answer_probability", "contrastive_token_reward", "implicit_reward"),
    *(
        "goal_conditioned_reward",
        "online_implicit_reward",
        "path_faithfulness",
        "process_reward",
        "self_aligned",
    ),
}
EXAMPLES = {
    e.name: e.example
    for e in entries("reward")
    if e.room in ("verify", "shape", "models") and e.name not in OF_A_MODEL
}
NAMES = sorted(EXAMPLES) + sorted(EXPECTED)

# They look at the completion, or at columns made with it, and at no reference.
WITHOUT_REFERENCE = {
    *("column", "cost", "json_schema", "length", "overlong", "pattern", "repetition", "routing_format"),
    *(
        "search_quality",
        "sections",
        "sql_format",
        "sql_syntax",
        "tags",
        "tool_count",
        "tool_steps",
        "unit_count",
    ),
    "agent-rlvr",
}
# Sums with parts that need no reference: those are paid alone, and the part that needs it says that it abstained.
PARTLY = {
    *(
        "arithmetic",
        "bleuberi-think",
        "harmo",
        "reasoning-sql",
        "semantic-grpo",
        "smart-agent",
        "smartsearch",
    ),
}
# It abstains on purpose where another route takes the sample, so nothing is to be explained.
SILENT = {"not_routed"}

COMPLETIONS: dict[str, Any] = {
    "empty": "",
    "white space": " \t\n\u2003" * 100,
    "unclosed tags": "<think>a<tool_call>{<answer>7<reasoning><search>",
    "nested tags": "<answer><answer><think><answer>7</answer></think></answer></answer>",
    "many calls": "<tool_call>" * (MB // 11),
    "many brackets": "<" * MB,
    "many answers": "<answer>" * (MB // 8),
    "many boxes": "\\boxed{" * (MB // 7),
    "many programs": "```python\n" * (MB // 10),
    "many queries": "```sql\n" * (MB // 7),
    "many steps": "\n- Step 1: a (tool: b)" * (MB // 23),
    "many digits": "1" * MB,
    "a gap": "a" + " " * MB + "b",
    "a key twice": '<tool_call>\n{"name": "a", "name": "b", "parameters": {}}\n</tool_call>',
    "no numbers": '<think>a</think>\n<tool_call>\n{"name": "add", "parameters": {"a": NaN, "b": -Infinity}}\n</tool_call>',
    "infinite": '{"a": 1e999}',
    "deep list": "[" * 100_000 + "]" * 100_000,
    "deep object": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deep box": "\\boxed{" + "(" * 100_000 + "1" + ")" * 100_000 + "}",
    "huge integer": "\\boxed{1" + "0" * 5000 + "}",
    "huge argument": '<tool_call>\n{"name": "add", "parameters": {"a": 1' + "0" * 5000 + "}}\n</tool_call>",
    "surrogates": "<answer>\ud800\udfff</answer> \\boxed{\ud800}",
    "null bytes": "\0<answer>\0</answer>\\boxed{7\0}",
    "odd content": [{"role": "assistant", "content": [{"text": 5}, {"type": "image_url"}, ""]}],
    "no content": [{"role": "assistant", "content": None}],
    "odd calls": [{"role": "assistant", "tool_calls": [None, 5, {"function": {"name": None}}]}],
    "deep arguments": [
        {"role": "assistant", "tool_calls": [{"function": {"name": "add", "arguments": "[" * 100_000}}]}
    ],
    "results without calls": [{"role": "tool", "content": "7"}] * 3 + [{"role": "assistant", "content": "7"}],
}
BAD_REFERENCES: dict[str, Any] = {
    "missing": None,
    "integer": 7,
    "huge integer": 10**5000,
    "not a number": float("nan"),
    "mapping": {"x": 1},
    "no fact": {},
    "empty list": [],
    "odd list": [1, None, {"a": []}],
    "empty text": "",
    "white space": " \n",
    "surrogate": "\ud800",
    "bytes": b"x",
    "array": np.arange(3),
    "object": object(),
    "deep text": "[" * 100_000,
    "long text": "<tool_call>" * (MB // 11),
    "odd case": [{"input": 1, "output": None}],
    "odd call": [{"name": 1}],
    "odd means": {"means": [float("nan"), 10**400], "counts": ["a", 1], "sums": [None, 1]},
    "huge counts": {"means": "ab", "counts": [10**400, 1], "sums": [0, 1]},
}


def made(name: str) -> Reward:
    return load_reward({"name": name, "total": yaml.safe_load(EXAMPLES[name])} if name in EXAMPLES else name)


def normal(name: str) -> Chat:
    if name in EXPECTED:
        sample = EXPECTED[name][0][0]
        return replace(sample, group="normal", extra={**COLUMNS, **sample.extra})
    return Chat("q", "<answer>7</answer>", REFERENCES.get(name, "7"), "normal", COLUMNS)


def scored(reward: Reward, samples: list[Chat], **options: Any) -> Signal:
    signal = guerdon.score(reward, samples, context=Context(step=0), **options)
    assert len(signal) == len(samples)
    assert np.isfinite(signal.outcome[signal.ok]).all()
    return signal


def check_neighbours(name: str, hostile: list[Chat], **options: Any) -> Signal:
    """The Signal of the hostile samples, scored between two normal ones, which they must not change."""
    needs_encoder("harmo" if name in ("semantic_similarity", "semantic-grpo") else name)
    alone = scored(made(name), [normal(name)] * 2)
    signal = scored(made(name), [normal(name), *hostile, normal(name)], **options)
    # What sees the whole batch may judge a later sample by an earlier one, never the other way round.
    rows = [0] if made(name).scope == "batch" else [0, -1]
    assert (signal.status[rows] == alone.status[rows]).all()
    np.testing.assert_array_equal(signal.outcome[rows], alone.outcome[rows])
    if name not in SILENT:
        silent = [i for i in np.flatnonzero(~signal.ok).tolist() if not signal.reasons.get(i)]
        assert silent == []
    return signal.take(range(1, len(hostile) + 1))


@cache
def hostile_completions(name: str) -> list[Chat]:
    return [replace(normal(name), completion=text, group=kind) for kind, text in COMPLETIONS.items()]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_completions(name: str) -> None:
    check_neighbours(name, hostile_completions(name))


@pytest.mark.parametrize("name", NAMES)
def test_hostile_references(name: str) -> None:
    hostile = [replace(normal(name), reference=bad, group=kind) for kind, bad in BAD_REFERENCES.items()]
    signal = check_neighbours(name, hostile)
    if name in WITHOUT_REFERENCE:
        assert (signal.status == signal.status[0]).all()
        return
    missing = signal.take([0])
    if name in PARTLY:
        assert missing.ok.all()
        assert any("reference" in text for _, part in missing.walk() for text in part.reasons.values())
    else:
        assert missing.status.tolist() == [Status.ABSTAINED]


@pytest.mark.parametrize(
    "name", ["math", "toolrl", "json_schema", "reseek", "reasoning-sql", "retool", "router-r1"]
)
def test_workers_say_the_same(name: str) -> None:
    hostile = hostile_completions(name)
    here = scored(made(name), hostile)
    there = check_neighbours(name, hostile, workers=1, timeout=30)
    assert there.status.tolist() == here.status.tolist()
    np.testing.assert_array_equal(there.outcome, here.outcome)


@pytest.mark.parametrize("name", ["math", "tora"])
def test_a_formula_without_end_is_stopped(name: str) -> None:
    endless = replace(normal(name), completion="\\boxed{10^{10^{10}}}", group="endless")
    signal = check_neighbours(name, [endless], workers=1, timeout=1)
    assert signal.status.tolist() == [Status.TIMED_OUT]


ENDLESS = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT"
QUERIES = {
    "writes": "INSERT INTO t VALUES ('Bob')",
    "drops": "DROP TABLE t",
    "sets an option": "PRAGMA writable_schema = 1",
    "attaches": "ATTACH '/etc/passwd' AS x",
    "two": "SELECT n FROM t; DROP TABLE t",
    "long literal": f"SELECT '{'a' * MB}'",
    "many literals": "SELECT " + ", ".join("1" * 1000),
    "deep": "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
    "surrogate": "SELECT '\ud800'",
    "null byte": "SELECT '\0'",
    "huge cell": "SELECT zeroblob(1000000000000)",
    "huge integer": "SELECT 1" + "0" * 5000,
}


@pytest.mark.parametrize(
    "name", ["sql_execution", "sql_syntax", "sql_schema_linking", "sql_ngram", "reasoning-sql"]
)
def test_hostile_queries(name: str) -> None:
    hostile = [replace(normal(name), completion=sql, group=kind) for kind, sql in QUERIES.items()]
    signal = check_neighbours(name, hostile)
    if name == "sql_execution":
        assert not (signal.outcome > 0).any()


@pytest.mark.parametrize("sql", [f"{ENDLESS} count(*) FROM r", f"{ENDLESS} x FROM r WHERE x < 0"])
def test_a_query_without_end_is_stopped(sql: str) -> None:
    reward = load_reward({"name": "sql", "total": {"reward": "sql_execution", "seconds": 0.2}})
    endless = replace(normal("sql_execution"), completion=sql)
    right = replace(normal("sql_execution"), completion="SELECT n FROM t")
    signal = scored(reward, [endless, right, replace(right, reference=sql)])
    assert signal.status.tolist() == [Status.TIMED_OUT, Status.OK, Status.TIMED_OUT]
    assert signal.outcome[1] == 1


PROGRAMS = {
    "loops": "while True: pass",
    "prints": "while True: print('x' * 1000)",
    "forks": "import os\nwhile True: os.fork()",
    "hoards": "x = bytearray(1 << 40)",
    "recurses": "def f(): return f()\nf()",
    "surrogate": "x = '\ud800'",
    "null byte": "x = 1\0",
    "exits": "import os\nos._exit(0)",
}


def test_hostile_programs() -> None:
    reward = load_reward({"name": "code", "total": {"reward": "code_tests", "seconds": 1}})
    programs = ["def f(): return 1", *PROGRAMS.values(), "def f(): return 1"]
    samples = [
        Chat("q", f"```python\n{code}\n```", [{"input": "", "output": "1"}]) for code in programs[1:-1]
    ]
    right = Chat("q", "```python\ndef f(): return 1\n```", ["assert f() == 1"])
    signal = scored(reward, [right, *samples, right], workers=1, timeout=30)
    assert signal.outcome[[0, -1]].tolist() == [1, 1]
    assert not (signal.outcome[1:-1] > 0).any()
    assert all(signal.notes.get(i) or signal.reasons.get(i) for i in range(1, len(samples) + 1))


@pytest.mark.parametrize("kind", PROGRAMS)
def test_the_python_tool_survives(kind: str) -> None:
    tool = python_tool(limits=Limits(seconds=1.0))
    if kind == "exits":
        assert tool.function(PROGRAMS[kind]) == "[no output]"
    else:
        with pytest.raises(ToolError):
            tool.function(PROGRAMS[kind])


SEARCHED = "<think>a</think><search>q</search><information>7</information>"

# What the paper or its code says a malformed completion is worth.
MALFORMED = [
    ("agent-rlvr", "", {"tests": [False]}, 0),
    ("bleuberi", " ", {}, 0),
    ("bleuberi-think", "<think>a</think><answer>\n", {}, 0),
    ("harmo", "no tags", {"task": "math"}, 0),
    ("igpo", "no tags", {}, -2),
    ("igpo", "<answer>7", {}, -2),
    ("igpo", "<answer></answer>", {}, 0),
    ("meta-bandit-greedy", "<answer>no arm</answer>", {}, 0),
    ("meta-bandit-greedy-ucb", "no tag", {}, 0),
    ("otc-po-search", SEARCHED, {}, 0),
    ("ppr", "no tags", {"step_scores": [None, 3.0, 0.2]}, 0),
    ("reasoning-sql", "SELEC n", {}, 0),
    ("reseek", "no answer <information>7</information><judge>Yes</judge>", {}, 0),
    ("reseek", "<information>7</information><judge>Yes</judge><answer> </answer>", {}, 0),
    ("reseek-similarity", f"{SEARCHED}<judge>No</judge><answer>8</answer>", {"similarities": [None]}, 0.02),
    ("retool", "no box", {}, -1),
    ("retool", "\\boxed{7", {}, -1),
    ("router-r1", "<answer>7", {}, -1),
    ("router-r1", "<think>a</think><search>qwen:8:00</search><answer>7</answer>", {}, -1),
    ("search-gen-v", "<reasoning>a<reasoning>b</reasoning>\n- support\n- not_support", {}, 0),
    ("search-gen-v", "- suport\n- not_support", {}, 0),
    ("semantic-grpo", "B", {}, 0),
    ("smart-agent", "- Step 1: a (tool)\n\\boxed{7}", {"solved_without": True}, 1),
    ("smartsearch", "no tags", {"retrieved": []}, 0),
    ("tora", "", {}, 0),
    ("toolrl-equal-scale", "<think>a</think>\n<tool_call>\nno JSON\n</tool_call>", {}, 1 - 1),
    ("toolrl-coarse", "<tool_call>", {}, -3),
]


@pytest.mark.parametrize(("name", "completion", "columns", "outcome"), MALFORMED)
def test_a_malformed_completion_is_worth_what_the_method_says(
    name: str, completion: str, columns: dict[str, Any], outcome: float
) -> None:
    if name == "semantic-grpo":
        needs_encoder(name)
    sample = normal(name)
    extra = {**sample.extra, **columns}
    signal = scored(load_reward(name), [replace(sample, completion=completion, extra=extra)])
    assert signal.reasons == {}
    assert signal.outcome[0] == pytest.approx(outcome)
