"""Log-probabilities of completions that share prompts, against a padded batch that computes each prompt anew.

    python benchmarks/bench_log_probs.py [--prompts 32] [--completions 16] [--threads 1]

Random tokens, prompts of 256 and completions of 1 to 64 tokens, under a Llama of 4 layers, width 256 and 32,000 tokens
with random weights. Both sides are `CausalLogProbs`, with and without `reuse`, and remember the samples from the first
round on. Values must be equal. Wall time, best round.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers

from guerdon.core.samples import Chat
from guerdon.models.log_probs import CausalLogProbs

VOCABULARY = 32_000


def small_llama(width: int, layers: int, device: str) -> tuple[Any, Any]:
    """A model, and a tokenizer of which each word is a token."""
    words = {f"w{i}": i for i in range(VOCABULARY)}
    split = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w0"))
    split.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=1024,
    )
    model = transformers.LlamaForCausalLM(config).to(device)
    return model, transformers.PreTrainedTokenizerFast(tokenizer_object=split)


def random_samples(prompts: int, completions: int, seed: int = 0) -> list[Chat]:
    rng = np.random.default_rng(seed)

    def words(count: int) -> str:
        return " ".join(f"w{i}" for i in rng.integers(VOCABULARY, size=count))

    asked = [words(256) + " " for _ in range(prompts)]
    return [Chat(prompt, words(rng.integers(1, 65))) for prompt in asked for _ in range(completions)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--completions", type=int, default=16)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model, tokenizer = small_llama(options.width, options.layers, options.device)
    samples = random_samples(options.prompts, options.completions)
    shared, plain = (
        CausalLogProbs(model, tokenizer, batch_tokens=options.batch_tokens, reuse=reuse)
        for reuse in (True, False)
    )
    runs: dict[str, Callable[[], Any]] = {
        "reuse": lambda: shared.log_probs(samples),
        "plain": lambda: plain.log_probs(samples),
    }
    best = dict.fromkeys(runs, float("inf"))
    values = dict[str, Any]()
    for _ in range(options.repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            values[name] = run()
            best[name] = min(best[name], time.perf_counter() - start)
    for found, expected in zip(values["reuse"], values["plain"], strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    figures = {
        "samples": len(samples),
        "threads": options.threads,
        **{f"{name} ms": 1000 * seconds / len(samples) for name, seconds in best.items()},
        "ratio": best["plain"] / best["reuse"],
    }
    print("  ".join(f"{name} {value:,.3g}" for name, value in figures.items()))
    print(json.dumps({"benchmark": "log_probs", "device": options.device, **figures}))


if __name__ == "__main__":
    main()
