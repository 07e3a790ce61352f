"""Semantic similarity of a batch, sorted by length, against one sample at a time.

    python benchmarks/bench_encoder.py [--groups 24] [--threads 1]

Texts are long answers and the one that people wrote, in groups of 8 that share it, from the records of `shared/data`;
nothing runs without them. `one by one`: the reward called on one sample after the other; `plain`: transformers called
for each text by itself, mean pooling, cosine. Values must be equal. Wall time on the CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from verify_samples import GROUP, answers, skip_without_data

from guerdon.core.samples import Chat
from guerdon.models.encoder import TextEncoder
from guerdon.models.semantic import SemanticSimilarity


def plain_similarity(encoder: TextEncoder) -> Callable[[Chat], float]:
    """The reward as one writes it with transformers; it borrows the weights of `encoder`."""
    tokenizer, model = encoder._tokenizer, encoder._model

    def embed(text: str) -> Any:
        batch = tokenizer(text, return_tensors="pt", truncation=True, max_length=encoder.max_tokens)
        with torch.no_grad():
            return model(**batch).last_hidden_state[0].mean(dim=0)

    def similarity(sample: Chat) -> float:
        return float(torch.cosine_similarity(embed(sample.final), embed(sample.reference), dim=0))

    return similarity


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    skip_without_data()
    torch.set_num_threads(options.threads)
    samples = answers(options.groups * GROUP)
    reward = SemanticSimilarity(device="cpu")
    plain = plain_similarity(reward._encoder())
    runs: dict[str, Callable[[], Any]] = {
        "batch": lambda: reward(samples).outcome,
        "one by one": lambda: [float(reward([sample]).outcome[0]) for sample in samples],
        "plain": lambda: [plain(sample) for sample in samples],
    }
    best = dict.fromkeys(runs, float("inf"))
    values = dict[str, Any]()
    for _ in range(options.repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            values[name] = run()
            best[name] = min(best[name], time.perf_counter() - start)
    for name in ("one by one", "plain"):
        np.testing.assert_allclose(values["batch"], values[name], rtol=0, atol=1e-4)
    figures = {
        "samples": len(samples),
        "threads": options.threads,
        **{f"{name} ms": 1000 * seconds / len(samples) for name, seconds in best.items()},
        "ratio to one by one": best["one by one"] / best["batch"],
        "ratio to plain": best["plain"] / best["batch"],
    }
    print("  ".join(f"{name} {value:,.3g}" for name, value in figures.items()))
    print(json.dumps({"benchmark": "encoder", **figures}))


if __name__ == "__main__":
    main()
