"""Routing to other models: form, cost scale, and their combination with the answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon import score
from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.routing import RoutedAnswer, RunningCostReward, routed_score, routing_reward
from guerdon.verify.routing_format import RoutingFormat, count_routes, routed_model, routing_problem

CALL = "<search>Qwen2.5-7B-Instruct: Who wrote Emma?</search><information>Austen</information>"
GOOD = f"<think>look it up</think>\n{CALL}\n<think>done</think><answer>Jane Austen</answer>\n"


def with_search(body: str) -> str:
    return f"<think>x</think><search>{body}</search><information>n</information><answer>a</answer>"


# -- form ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen2.5-7B-Instruct", "qwen"),
        ("LLaMA-3.1-70B-Instruct", "llama-70b"),
        ("llama-3.1-8b", "llama-8b"),
        ("llama-3", None),
        ("llama-mistral", None),
        ("Mixtral-8x22B", "mixtral"),
        ("palmyra-creative", "palmyra"),
        ("gpt-4", None),
        ("", None),
    ],
)
def test_routed_model(name: str, expected: str | None) -> None:
    assert routed_model(name) == expected


def test_a_pool_of_your_own() -> None:
    pool = {"gpt": ("4", "5"), "claude": ()}
    assert routed_model("GPT-5", pool) == "gpt-5"
    assert routing_problem(with_search("Claude: why"), pool) is None
    assert "no model of the pool" in routing_problem(with_search("qwen: why"), pool)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD, None),
        ("<think>x</think><answer></answer>", None),
        ("<think>x</think> so <answer>a</answer>", None),
        (with_search("qwen: q"), None),
        ("", "there is no thought"),
        ("<think>x</think><answer>a</answer></answer>", "<answer> opens 1 and closes 2 times"),
        ("<think> ... </think><answer>a</answer>", "a thought is empty"),
        ("<think>x<answer>y</answer></think><answer>a</answer>", "a <think> block holds another tag"),
        ("<answer>a</answer>", "there is no thought"),
        ("<think>x</think><answer>a</answer><answer>b</answer>", "there are 2 answers, expected one"),
        (
            f"<think>x</think>{CALL}<information>n</information><answer>a</answer>",
            "1 searches and 2 information",
        ),
        ("so <think>x</think><answer>a</answer>", "doesn't start with <think>"),
        ("<think>x</think><answer>a</answer>.", "doesn't end with </answer>"),
        (with_search("qwen q"), "a search has 0 colons"),
        (with_search("qwen: at 10:30"), "a search has 2 colons"),
        (with_search("qwen:  "), "a search has no query"),
        (with_search("qwen: Your-Query"), "placeholder"),
        (with_search("LLM-Name: q"), "placeholder"),
        (with_search("gpt-9: q"), "'gpt-9' is no model of the pool"),
        (with_search("Qwen : what is qwen"), "names its model"),
    ],
)
def test_routing_problem(text: str, problem: str | None) -> None:
    found = routing_problem(text)
    assert (found is None) if problem is None else (problem in found)


@pytest.mark.parametrize(
    ("text", "routes"),
    [
        (GOOD, 1),
        (CALL * 3, 3),
        (CALL + "<search>bad</search>" + CALL, 1),
        ("<search>gpt: q</search>" + CALL, 0),
        (CALL + "<search>qwen: ask qwen</search>", 2),
        (f"<answer>{CALL}</answer>", 0),
        (f"<think>{CALL}</think>", 1),
        ("<search>qwen: q", 0),
        ("", 0),
    ],
)
def test_count_routes(text: str, routes: int) -> None:
    assert count_routes(text) == routes


def test_tool_results_belong_to_the_trajectory() -> None:
    turns = [
        {"role": "assistant", "content": "<think>x</think><search>qwen: q</search>"},
        {"role": "tool", "content": "<information>n</information>"},
        {"role": "assistant", "content": "<answer>a</answer>"},
    ]
    signal = create("routing_format")([Chat("", turns), Chat("", turns[::2])])
    assert signal.outcome.tolist() == [0, -1]
    assert signal.parts["routes"].outcome.tolist() == [1, 1]
    assert "1 searches and 0 information" in signal.notes[1]


@pytest.mark.parametrize("pool", [{}, {"Qwen": ()}, {"llama": ("70B",)}, {"": ()}])
def test_a_senseless_pool_is_refused(pool: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="pool: expected families and sizes in lower case"):
        RoutingFormat(pool)


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            [*(f"<{s}{t}>" for s in ("", "/") for t in ("think", "search", "answer")), "x", "qwen:q"]
        ),
        max_size=12,
    )
)
def test_any_order_of_tags_gets_a_verdict(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert RoutingFormat()([Chat("", text)]).outcome[0] in (0.0, -1.0)
    assert 0 <= count_routes(text) <= text.count("<search>")


def test_hostile_trajectories() -> None:
    for text in ("<think>" * 500_000, CALL * 50_000, "\ud800", "<search>" + ":" * 5_000_000 + "</search>"):
        assert RoutingFormat()([Chat("", text)]).outcome[0] == -1


# -- cost ----------------------------------------------------------------------------------------------------


def test_costs_are_judged_by_the_ones_before_and_themselves() -> None:
    reward = RunningCostReward()
    costs = [1.0, 16.0, 4.0, 9.0]
    expected = []
    for i, cost in enumerate(costs):
        low, high = np.percentile(np.sqrt(costs[: i + 1]), [5, 95])
        expected.append(0.5 if i == 0 else 1 - np.clip((cost**0.5 - low) / (high - low), 0, 1))
    np.testing.assert_allclose(reward(costs), expected)


def test_the_window_forgets() -> None:
    reward = RunningCostReward(window=2)
    reward([1e6, 4.0])
    assert reward([4.0]) == [0.5]
    assert reward.state_dict() == {"recent": [2.0, 2.0]}


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1e12), max_size=20), st.integers(0, 20))
def test_a_saved_state_goes_on_where_it_stopped(costs: list[float], cut: int) -> None:
    whole, first, second = (RunningCostReward(window=7) for _ in range(3))
    expected = whole(costs)
    found = first(costs[:cut])
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(np.concatenate([found, second(costs[cut:])]), expected)
    assert ((expected >= 0) & (expected <= 1)).all()


@pytest.mark.parametrize("costs", [[-1.0], [np.nan], [np.inf], [[1.0]], 1.0, [1.0, -1.0]])
def test_what_is_no_cost_is_refused_and_leaves_no_trace(costs: object) -> None:
    reward = RunningCostReward()
    with pytest.raises(ValueError, match="costs: expected finite numbers"):
        reward(costs)
    assert reward.state_dict() == {"recent": []}


@pytest.mark.parametrize(
    "options", [{"window": 0}, {"percentiles": (95, 5)}, {"percentiles": (0, 101)}, {"epsilon": 0.0}]
)
def test_wrong_options_of_the_scale_raise(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        RunningCostReward(**options)


# -- the combination -----------------------------------------------------------------------------------------


def test_routing_reward() -> None:
    found = routing_reward([-1, 0, 0, 0], [1, 0, 1, 0.5], [1, 1, 0.8, 0.2], 0.6)
    np.testing.assert_allclose(found, [-1, 0, 0.4 + 0.48, 0.2 + 0.12])


@given(st.sampled_from([-1.0, 0.0]), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_form_before_answer_before_cost(p: float, s: float, c: float, cheaper: float, alpha: float) -> None:
    low, high = sorted([c, cheaper])
    found, better = routing_reward(p, s, [low, high], alpha)
    assert -1 <= found <= better <= 1
    if p < 0 or s == 0:
        assert found == better == p


@pytest.mark.parametrize(
    ("metric", "text", "penalty", "expected"),
    [
        ("em", "<answer>Rome</answer>", -1.0, (-1.0, 0.5, -1.0)),
        ("f1", "<answer>Rome</answer>", -1.0, (0.0, 0.5, -1.0)),
        ("em", "none", -1.0, (0.0, 0.5, -1.0)),
        ("em", "none", 0.0, (0.0, 0.5, 0.0)),
        ("em", "<answer>Rome</answer><answer> Paris </answer>", 0.0, (1.0, 0.5, 0.75)),
        ("f1", "<answer>Paris city</answer>", 0.0, (2 / 3, 0.5, 1 / 3 + 0.25)),
    ],
)
def test_routed_score(metric: str, text: str, penalty: float, expected: tuple[float, ...]) -> None:
    found = routed_score(text, "Paris", penalty=penalty, cost_reward=0.5, alpha=0.5, metric=metric)
    assert found == pytest.approx(expected)


def chat(
    answer: str = "Jane Austen", cost: object = 1.0, reference: object = "Jane Austen", lead: str = ""
) -> Chat:
    text = f"{lead}<think>x</think>{CALL}<answer>{answer}</answer>"
    return Chat("q", text, reference=reference, extra={} if cost is None else {"cost": cost})


def test_without_cost_it_is_stateless_and_scored_sample_by_sample() -> None:
    reward = create("router_r1")
    assert reward.scope == "sample"
    samples = [chat(), chat("Bronte"), chat(lead="so "), chat(reference=None), chat(cost=None)]
    signal = score(reward, samples)
    np.testing.assert_array_equal(signal.outcome, [1, 0, -1, np.nan, 1])
    assert signal.status[3] == Status.ABSTAINED
    assert reward.state_dict() == {}


def test_with_cost_every_scored_sample_enters_the_window() -> None:
    reward = create("router_r1", arguments={"alpha": 0.5})
    assert reward.scope == "batch"
    samples = [
        chat("Bronte", 100.0),
        chat(cost=None),
        chat(cost=-1.0),
        chat(cost=0.0),
        chat(lead="so ", cost=4.0),
    ]
    signal = reward(samples)
    assert signal.status.tolist() == [Status.OK, Status.ABSTAINED, Status.FAILED, Status.OK, Status.OK]
    assert "cost" in signal.reasons[1]
    np.testing.assert_allclose(signal.outcome[[0, 3, 4]], [0, 1, -1])
    np.testing.assert_allclose(
        signal.parts["cost_reward"].outcome[[0, 3, 4]], RunningCostReward()([100.0, 0.0, 4.0])
    )
    (state,) = reward.state_dict().values()
    assert state == {"recent": [10.0, 0.0, 2.0]}


def test_its_state_can_be_saved() -> None:
    samples = [chat(cost=float(cost)) for cost in (9, 1, 4, 25, 16)]
    whole = RoutedAnswer(alpha=0.9)(samples).outcome
    first, second = RoutedAnswer(alpha=0.9), RoutedAnswer(alpha=0.9)
    first(samples[:3])
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(second(samples[3:]).outcome, whole[3:])


def test_a_cost_with_the_wrong_sign_fails_its_sample_only() -> None:
    cost = -1.0 * create("cost", arguments={"of": "extra", "key": "spent"})
    samples = [
        Chat("q", GOOD, reference="Jane Austen", extra={"spent": 3}),
        Chat("q", GOOD, reference="Jane Austen", extra={"spent": 0}),
    ]
    signal = RoutedAnswer(alpha=0.5, cost=cost)(samples)
    assert signal.status.tolist() == [Status.FAILED, Status.OK]
    assert "expected minus a cost" in signal.reasons[0]
    assert signal.outcome[1] == 0.75


def test_it_scores_nothing_without_complaint() -> None:
    assert len(RoutedAnswer(alpha=0.5)([])) == 0


@pytest.mark.parametrize(
    "options", [{"metric": "set_f1"}, {"alpha": 1.5}, {"alpha": float("nan")}, {"window": 0}]
)
def test_wrong_options_raise(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        RoutedAnswer(**options)
