"""Speed of the tool-call reward against a straightforward implementation of the same definition.

    python benchmarks/bench_tool_calls.py [--samples 10000]

Turns are real reference turns where `shared/data` lies beside the checkout (or GUERDON_SHARED names it), else
synthetic ones. Completions are exact, damaged, wrong and unreadable variants of them; most damage differs
from sample to sample. Values must be equal before time counts. The processor time of the best of three runs
counts, each with empty memory ("fresh"); "again" scores the same samples a second time, as happens within a
group and over epochs. Prints a table and, in the last line, the same as JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np

from guerdon.core.samples import Chat
from guerdon.verify import tool_calls, tool_turns
from guerdon.verify.tool_calls import Mode, ToolCallMatch
from guerdon.verify.tool_turns import read_turn

KINDS = (
    "exact",
    "reworded",
    "changed value",
    "missing key",
    "wrong name",
    "extra call",
    "bad JSON",
    "no tags",
)


def straightforward(completion: str, reference: str) -> float:
    """The definition read line by line: format bit plus graded match, nothing prepared or remembered."""
    text = completion.strip()
    wants_call, wants_response = "<tool_call>" in reference, "<response>" in reference
    pattern, once = "^<think>.*?</think>", []
    if wants_call:
        pattern += "\n<tool_call>\n.*?\n</tool_call>"
        once += ["<tool_call>", "</tool_call>"]
    if wants_response:
        pattern += "\n<response>.*?</response>"
        once += ["<response>", "</response>"]
    well_formed = re.search(pattern + "$", text, re.DOTALL) and all(text.count(tag) == 1 for tag in once)
    total = 1.0 if well_formed else 0.0
    if not wants_call:
        return total
    gold = calls_in(reference)
    try:
        return total + match(gold, calls_in(text))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return total - 3.0


def calls_in(text: str) -> list[dict]:
    inner = re.search("<tool_call>(.*?)</tool_call>", text, re.DOTALL)
    if inner is None:
        raise ValueError("no call")
    return [json.loads(line) for line in inner.group(1).strip().split("\n")]


def match(gold: list[dict], predicted: list[dict]) -> float:
    if gold == predicted:
        return 3.0
    score = jaccard([call["name"] for call in gold], [call["name"] for call in predicted])
    possible, used = 1.0, set()
    for call in gold:
        possible += 1 + len(call["parameters"])
        best, chosen = 0.0, None
        for i, candidate in enumerate(predicted):
            if i in used or candidate["name"] != call["name"]:
                continue
            given = candidate["parameters"]
            value = jaccard(list(call["parameters"].keys()), list(given.keys()))
            value += sum(1 for k, v in call["parameters"].items() if k in given and given[k] == v)
            if value > best:
                best, chosen = value, i
        if chosen is not None:
            used.add(chosen)
            score += best
    return 6.0 * score / possible - 3.0


def jaccard(a: list, b: list) -> float:
    if a == b:
        return 1.0
    if not a or not b:
        return 0.0
    shared = sum((Counter(a) & Counter(b)).values())
    return shared / (len(a) + len(b) - shared)


def reference_turns() -> tuple[str, list[str]]:
    """Real turns whose thoughts quote no tag (there the definitions differ on purpose), or synthetic ones."""
    shared = Path(os.environ.get("GUERDON_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    path = shared / "data" / "rlla_dialogues.jsonl.gz"
    if not path.is_file():
        return "synthetic", synthetic_turns()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        turns = [json.loads(line)["output"] for line in lines]
    return "real", [turn for turn in turns if turn.count("<tool_call>") + turn.count("<response>") == 1]


def synthetic_turns() -> list[str]:
    rng = random.Random(0)
    turns = []
    for i in range(200):
        calls = [
            {
                "name": f"tool_{rng.randrange(20)}",
                "parameters": {f"p{j}": f"value {rng.randrange(99)}" for j in range(3)},
            }
            for _ in range(rng.randint(1, 3))
        ]
        thoughts = " ".join(f"word{rng.randrange(1000)}" for _ in range(rng.randint(20, 400)))
        body = "\n".join(json.dumps(call) for call in calls)
        end = f"\n<response>Answer {i}</response>" if i % 6 == 0 else f"\n<tool_call>\n{body}\n</tool_call>"
        turns.append(f"<think> {thoughts} </think>{end}")
    return turns


def vary(turn: str, kind: str, i: int) -> str:
    """A completion for `turn` as a policy may write it; `i` makes it differ from others of its kind."""
    read = read_turn(turn)
    if kind == "exact" or read.block is None:
        return turn
    if kind == "no tags":
        return turn.replace("<tool_call>", "").replace("</tool_call>", "")
    calls = [json.loads(line) for line in read.block.split("\n")]
    call = calls[-1]
    keys = list(call["parameters"])
    if kind == "changed value" and keys:
        call["parameters"][keys[0]] = f"something else {i}"
    elif kind == "missing key" and keys:
        del call["parameters"][keys[-1]]
    elif kind == "wrong name":
        call["name"] = f"another_tool_{i}"
    elif kind == "extra call":
        calls.append({"name": call["name"], "parameters": {"page": i}})
    block = "\n".join(json.dumps(call, separators=(",", ":")) for call in calls)
    return turn.replace(read.block, block[:-1] if kind == "bad JSON" else block)


def microseconds(run: Callable[[], object], count: int, before: Callable[[], object] = bool) -> float:
    """Processor time a sample, best of three runs."""
    best = float("inf")
    for _ in range(3):
        before()
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return round(1e6 * best / max(count, 1), 3)


def forget() -> None:
    """Empty what the reward remembers of earlier samples."""
    for remembered in (tool_calls._remembered_share, tool_turns._strict_target, tool_turns._code_target):
        remembered.cache_clear()


def measure(pairs: list[tuple[str, str]]) -> dict[str, float]:
    """Times of all implementations on these (completion, reference) pairs, after checking that they agree."""
    samples = [Chat("", completion, reference=reference) for completion, reference in pairs]
    plain = [straightforward(*pair) for pair in pairs]
    times = {"straightforward": microseconds(lambda: [straightforward(*pair) for pair in pairs], len(pairs))}
    for mode in get_args(Mode):
        reward = ToolCallMatch(mode=mode)
        np.testing.assert_allclose(reward(samples).outcome, plain, rtol=0, atol=1e-12)
        times[mode] = microseconds(lambda reward=reward: reward(samples), len(pairs), before=forget)
        times[f"{mode} again"] = microseconds(lambda reward=reward: reward(samples), len(pairs))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the tool-call reward.")
    parser.add_argument("--samples", type=int, default=10_000)
    size = parser.parse_args().samples
    source, turns = reference_turns()
    rng = random.Random(1)
    references = [rng.choice(turns) for _ in range(size)]
    pairs = [(vary(turn, KINDS[i % len(KINDS)], i), turn) for i, turn in enumerate(references)]

    print(f"{size} samples from {len(turns)} {source} turns; microseconds a sample")
    result = {}
    for kind in ("all", *KINDS):
        times = measure(pairs if kind == "all" else pairs[KINDS.index(kind) :: len(KINDS)])
        if not result:
            print(" " * 14 + "".join(f"{name:>17}" for name in times) + f"{'ratio fresh':>14}{'again':>8}")
        ratios = [times["straightforward"] / times[name] for name in ("strict", "strict again")]
        print(
            f"{kind:<14}"
            + "".join(f"{t:>17.2f}" for t in times.values())
            + f"{ratios[0]:>13.1f}x{ratios[1]:>7.1f}x"
        )
        result[kind] = {**times, "ratio": round(ratios[0], 2), "ratio again": round(ratios[1], 2)}
    print(json.dumps({"benchmark": "tool_calls", "turns": source, "samples": size, "kinds": result}))


if __name__ == "__main__":
    main()
