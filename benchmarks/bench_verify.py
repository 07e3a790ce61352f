"""Speed of the rewards that match and parse text, each against straightforward Python of its definition.

    python benchmarks/bench_verify.py [--samples 10000] [--repeats 3] [--only NAME …]

Samples come in groups of 8 completions that share a reference, as in GRPO. They are made from the records of
`shared/data` beside the checkout (or in the folder that GUERDON_SHARED names), without which nothing runs: trajectories
of search, `otc` among them, and choices of an arm are written around texts of `qa_feedback`. Only the SQL comes from a
world of the lab. Values must be equal before time counts. Processor time, best of the repeats; the rewards start with
empty memory each time. Prints a table and, in the last line, the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import plain_rewards as rules
import plain_texts as texts
import verify_samples as made

from guerdon.core.registry import create
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.verify.tool_efficiency import ToolCount

Plain = Callable[[str, Any, dict[str, Any]], float]


class Case(NamedTuple):
    """A registered reward with its arguments, its peer, its samples and the ratio that is asked for."""

    reward: str
    arguments: dict[str, Any]
    peer: Plain | type[rules.RouterWithCost]
    samples: Callable[[int], Sequence[Chat]]
    target: float = 3.0


OVERLAP = 5.0
CALLS = {"tag": "tool_call"}
ORDERED = {"matching": "ordered", "divide_by": "longer"}
OTC = {
    "correct": "qa",
    "correct_arguments": {"extract": "last"},
    "calls": ToolCount("information"),
    "mode": "ppo",
    "c": 4,
}
CASES: dict[str, Case] = {
    "qa, exact": Case("qa", {"extract": "last"}, rules.exact, made.search),
    "qa, F1": Case("qa", {"metric": "f1", "extract": "last"}, rules.f1, made.search, OVERLAP),
    "router_r1": Case("router_r1", {}, rules.router, made.search),
    "router_r1, cost": Case("router_r1", {"alpha": 0.6}, rules.RouterWithCost, made.search),
    "reseek": Case("reseek", {}, rules.reseek, made.search),
    "search_quality": Case("search_quality", {"threshold": 2}, rules.search_quality, made.search),
    "igpo": Case("igpo", {}, rules.igpo, made.search, OVERLAP),
    "otc": Case("otc", OTC, rules.otc_ppo, made.search),
    "nugget_labels": Case("nugget_labels", {}, rules.nuggets, made.labelled),
    "tool_steps": Case("tool_steps", {}, rules.tool_steps, made.steps),
    "last_boxed": Case("last_boxed", {}, rules.last_boxed, made.programs),
    "tool_integrated_math": Case("tool_integrated_math", {}, texts.graded, made.programs),
    "bandit_choice, means": Case("bandit_choice", {}, rules.bandit_means, made.bandits),
    "bandit_choice, UCB": Case("bandit_choice", {"against": "ucb"}, rules.bandit_ucb, made.bandits),
    "call_match": Case("call_match", CALLS, rules.calls_f1, made.calls),
    "call_match, partial": Case(
        "call_match", {**CALLS, "arguments": "partial"}, rules.calls_partial, made.calls
    ),
    "call_match, ordered": Case("call_match", {**CALLS, **ORDERED}, rules.calls_ordered, made.calls),
    "sql_syntax": Case("sql_syntax", {}, texts.sql_syntax, made.queries),
    "sql_ngram": Case("sql_ngram", {}, texts.sql_ngram, made.queries),
    "sql_schema_linking": Case("sql_schema_linking", {}, texts.sql_schema, made.queries),
    "rouge1": Case("rouge", {"variant": "rouge1"}, texts.rouge1, made.answers, OVERLAP),
    "rouge2": Case("rouge", {"variant": "rouge2"}, texts.rouge2, made.answers, OVERLAP),
    "rougeL": Case("rouge", {}, texts.rouge_l, made.answers, OVERLAP),
    "chrf": Case("chrf", {}, texts.chrf, made.answers, OVERLAP),
}


def seconds(run: Callable[[], object]) -> float:
    """Processor time."""
    start = time.process_time()
    run()
    return time.process_time() - start


def forget() -> None:
    """Empty what the rewards remember of earlier samples."""
    for name, module in list(sys.modules.items()):
        if name.startswith("guerdon.verify"):
            for remembered in vars(module).values():
                if hasattr(remembered, "cache_clear"):
                    remembered.cache_clear()


def measure(case: Case, samples: Sequence[Chat], repeats: int) -> dict[str, float]:
    """Microseconds a sample on both sides and their ratio, after checking that the values are the same."""
    rows = [(sample.text, sample.reference, dict(sample.extra)) for sample in samples]

    def make_peer() -> Plain:
        return case.peer() if isinstance(case.peer, type) else case.peer

    def make_reward() -> Reward:
        forget()
        return create(case.reward, arguments=case.arguments)

    peer, reward = make_peer(), make_reward()
    expected = [peer(*row) for row in rows]
    np.testing.assert_allclose(reward(samples).outcome, expected, rtol=0, atol=1e-9)
    ours, theirs = float("inf"), float("inf")
    for _ in range(repeats):  # in turns, so that both meet the same load of the machine
        reward, peer = make_reward(), make_peer()
        ours = min(ours, seconds(lambda reward=reward: reward(samples)))
        theirs = min(theirs, seconds(lambda peer=peer: [peer(*row) for row in rows]))
    scale = 1e6 / len(rows)
    return {"us": ours * scale, "plain_us": theirs * scale, "ratio": theirs / ours, "target": case.target}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=list(CASES), metavar="NAME")
    options = parser.parse_args()
    made.skip_without_data()
    print(f"{options.samples} samples, processor time in microseconds a sample, best of {options.repeats}")
    print(f"{'':22} {'guerdon':>9} {'plain':>9} {'ratio':>7} {'target':>7}")
    rows = dict[str, dict[str, float]]()
    for name in options.only:
        case = CASES[name]
        row = rows[name] = measure(case, case.samples(options.samples), options.repeats)
        print(f"{name:22} {row['us']:9.2f} {row['plain_us']:9.2f} {row['ratio']:6.1f}x {row['target']:6.0f}x")
    print(json.dumps({"benchmark": "verify", "samples": options.samples, "rows": rows}))


if __name__ == "__main__":
    main()
