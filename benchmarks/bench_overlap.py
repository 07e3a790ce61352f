"""Time of sentence BLEU, chrF and ROUGE-L beside the reference packages, one call a sentence, same values.

    python benchmarks/bench_overlap.py

Texts have 250 words. `shared`: a group of candidates has one reference, as in GRPO; `new`: the reference was never
seen before. Prints a table, and one line of JSON for machines.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable

import sacrebleu

from guerdon.verify import bleu, chrf, rouge

Compare = Callable[[str, str], float]


def make_groups(groups: int, size: int, words: int, seed: int) -> list[tuple[str, list[str]]]:
    """References with candidates that keep about 70 % of their words; word frequencies follow Zipf's law."""
    rng = random.Random(seed)
    vocabulary = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(2000)]
    weights = [1 / (rank + 1) for rank in range(len(vocabulary))]
    forms = ["{}", "{},", "{}.", '"{}"', "({})", "{} 3.14", "{} 2-3"]
    shares = [84, 6, 6, 1, 1, 1, 1]

    def draw() -> str:
        return rng.choices(forms, shares)[0].format(rng.choices(vocabulary, weights)[0])

    made = list[tuple[str, list[str]]]()
    for _ in range(groups):
        reference = [draw() for _ in range(words)]
        candidates = [" ".join(w if rng.random() < 0.7 else draw() for w in reference) for _ in range(size)]
        made.append((" ".join(reference), candidates))
    return made


def microseconds(compare: Compare, groups: list[tuple[str, list[str]]]) -> float:
    start = time.perf_counter()
    count = 0
    for reference, candidates in groups:
        for candidate in candidates:
            compare(candidate, reference)
            count += 1
    return (time.perf_counter() - start) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=10)
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--words", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    groups = make_groups(options.groups, options.size, options.words, seed=0)

    def bleu_new(candidate: str, reference: str) -> float:
        bleu._reference_counts.cache_clear()
        return bleu.sentence_bleu(candidate, [reference], **bleu.SACREBLEU)

    pairs: dict[str, tuple[Compare, Compare]] = {
        "BLEU, shared": (
            lambda c, r: bleu.sentence_bleu(c, [r], **bleu.SACREBLEU),
            lambda c, r: sacrebleu.sentence_bleu(c, [r]).score / 100,
        ),
        "BLEU, new": (bleu_new, lambda c, r: sacrebleu.sentence_bleu(c, [r]).score / 100),
        "chrF, shared": (
            lambda c, r: chrf.sentence_chrf(c, [r]),
            lambda c, r: sacrebleu.sentence_chrf(c, [r]).score / 100,
        ),
    }
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        print("rouge-score is not installed: no row for ROUGE-L")
    else:
        scorer = RougeScorer(["rougeL"])
        pairs["ROUGE-L, shared"] = (
            lambda c, r: rouge.sentence_rouge(c, [r]),
            lambda c, r: scorer.score(r, c)["rougeL"].fmeasure,
        )

    rows = dict[str, dict[str, float]]()
    for name, (ours, theirs) in pairs.items():
        # ROUGE-L of rouge-score takes tens of milliseconds a sentence.
        texts = [(r, cs[:1]) for r, cs in groups[:3]] if name.startswith("ROUGE") else groups
        difference = max(abs(ours(c, r) - theirs(c, r)) for r, cs in texts for c in cs)
        if difference > 1e-6:
            raise SystemExit(f"{name}: values differ by {difference}")
        # The two take turns, so that both meet the same load of the machine.
        times = [(microseconds(ours, texts), microseconds(theirs, texts)) for _ in range(options.repeats)]
        fast, slow = (min(column) for column in zip(*times, strict=True))
        rows[name] = {"us": fast, "reference_us": slow, "ratio": slow / fast, "max_difference": difference}

    print(f"{options.words} words, microseconds a sentence, best of {options.repeats}")
    print(f"{'':16} {'guerdon':>9} {'reference':>10} {'ratio':>7} {'max diff':>9}")
    for name, row in rows.items():
        print(
            f"{name:16} {row['us']:9.1f} {row['reference_us']:10.1f} {row['ratio']:6.1f}x {row['max_difference']:9.0e}"
        )
    print(json.dumps({"benchmark": "overlap", "words": options.words, "rows": rows}))


if __name__ == "__main__":
    main()
