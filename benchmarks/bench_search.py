"""Tree search that expands many leaves together, against one node at a time, for the same number of model tokens.

    python benchmarks/bench_search.py [--leaves 16] [--tokens 8000] [--layers 2] [--width 128] [--threads 1]

Both sides are `TreeSearch` over `CausalPolicy` with a Llama with random weights over some 40 characters, whose steps are short
lines, and a value that costs nothing. The search stops in the round in which it reaches the tokens, so wall time is
divided by the tokens spent; best round.
"""

from __future__ import annotations

import argparse
import json
import string
import time
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from guerdon.lab.characters import character_tokenizer
from guerdon.lab.policy import PAD, START, make_model
from guerdon.steer import Budget, Steps, Tree, TreeSearch
from guerdon.steer.causal_proposals import CausalPolicy

PROMPT = "what is 12 times 345"


def small_model(layers: int, width: int, device: str) -> tuple[Any, Any]:
    tokenizer = character_tokenizer([string.ascii_lowercase + string.digits + "\n ,", PROMPT])
    model: Any = make_model(tokenizer, 0, layers=layers, width=width)
    model.generation_config.suppress_tokens = tokenizer.convert_tokens_to_ids([PAD, START])
    return model.to(device), tokenizer


def noise(prefixes: Sequence[Steps]) -> list[float]:
    return [zlib.crc32(repr(steps).encode()) / 2**32 for steps in prefixes]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--leaves", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=8000)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, tokenizer = small_model(options.layers, options.width, options.device)
    propose = CausalPolicy(model, tokenizer, max_tokens=32).proposals(PROMPT)
    budget = Budget(tokens=options.tokens)

    def run(leaves: int, seed: int) -> tuple[float, Tree]:
        search = TreeSearch(iterations=1_000_000, leaves=leaves, gate=2.0)
        start = time.perf_counter()
        tree = search(propose, noise, budget=budget, seed=seed)
        return 1e6 * (time.perf_counter() - start) / tree.spent.tokens, tree

    propose([()], 1, np.random.default_rng(0))
    names = {"one node": 1, f"{options.leaves} leaves": options.leaves}
    best = dict.fromkeys(names, float("inf"))
    trees = dict[str, Tree]()
    for seed in range(options.repeats):
        for name, leaves in names.items():
            took, trees[name] = run(leaves, seed)
            best[name] = min(best[name], took)
    one, together = best.values()
    figures = {
        "threads": options.threads,
        **{f"{name} us a token": took for name, took in best.items()},
        **{f"{name} tokens": tree.spent.tokens for name, tree in trees.items()},
        **{f"{name} nodes": len(tree.nodes) for name, tree in trees.items()},
        "ratio": one / together,
    }
    print("  ".join(f"{name} {value:,.4g}" for name, value in figures.items()))
    print(json.dumps({"benchmark": "search", "device": options.device, **figures}))


if __name__ == "__main__":
    main()
