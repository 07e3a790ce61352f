"""Rewards as one writes them from their definition in a hurry: the peers of `bench_verify.py`.

One sample at a time, nothing prepared for a batch and nothing remembered; regular expressions are those that Python
itself keeps compiled. Only well-formed references are handled, and there are no reasons and no statuses. Each takes
the completion as text, the reference and the extra columns of a sample, and returns its reward.
"""

from __future__ import annotations

import json
import math
import re
import string
from collections import Counter, deque
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

Extra = dict[str, Any]
Labels = ("support", "partial_support", "not_support")


def squad(text: str) -> str:
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def last_answer(text: str) -> str | None:
    found = re.findall(r"<answer>(.*?)</answer>", text, re.DOTALL)
    return found[-1] if found else None


def exact(text: str, reference: list[str], extra: Extra) -> float:
    answer = last_answer(text)
    return float(answer is not None and any(squad(answer) == squad(alias) for alias in reference))


def f1(text: str, reference: list[str], extra: Extra) -> float:
    answer = last_answer(text)
    if answer is None:
        return 0.0
    best = 0.0
    for alias in reference:
        predicted, gold = squad(answer).split(), squad(alias).split()
        same = sum((Counter(predicted) & Counter(gold)).values())
        if same:
            precision, recall = same / len(predicted), same / len(gold)
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def igpo(text: str, reference: list[str], extra: Extra) -> float:
    text = text.lower()
    for tag in ("code", "tool_call", "think", "answer"):
        if text.count(f"<{tag}>") != text.count(f"</{tag}>"):
            return -2.0
        if text.rfind(f"<{tag}>") > text.rfind(f"</{tag}>"):
            return -2.0
    answer = re.search(r"<answer>(.*?)</answer>", text, re.DOTALL)
    if answer is None:
        return -2.0
    predicted, best = spaced(answer[1]), 0.0
    for alias in reference:
        gold = spaced(alias)
        if common := len(predicted & gold):
            best = max(best, 2 * common / (len(predicted) + len(gold)))
    return best


def spaced(text: str) -> set[str]:
    return set("".join(" " if c in string.punctuation else c for c in text.lower()).split())


FAMILIES = ("qwen", "palmyra", "creative", "llama", "mistral", "mixtral", "granite", "gemma")


def routing_form(text: str) -> float:
    text = text.strip()
    tags = ("think", "search", "information", "answer")
    if not (text.startswith("<think>") and text.endswith("</answer>")):
        return -1.0
    if any(text.count(f"<{tag}>") != text.count(f"</{tag}>") for tag in tags):
        return -1.0
    found = {tag: re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in tags}
    if any(re.search(r"</?(think|search|information|answer)>", body) for b in found.values() for body in b):
        return -1.0
    if not found["think"] or any(body.strip() in ("", "...") for body in found["think"]):
        return -1.0
    if len(found["answer"]) != 1 or len(found["search"]) != len(found["information"]):
        return -1.0
    for body in found["search"]:
        if body.count(":") != 1 or "llm-name" in body.lower() or "your-query" in body.lower():
            return -1.0
        name, query = body.lower().split(":")
        if not query.strip() or name.strip() in query or not routed(name):
            return -1.0
    return 0.0


def routed(name: str) -> bool:
    for family in FAMILIES:
        if family in name:
            return family != "llama" or any(size in name for size in ("70b", "51b", "49b", "8b"))
    return False


def router(text: str, reference: list[str], extra: Extra) -> float:
    form = routing_form(text)
    return form if form < 0 else exact(text, reference, extra)


class RouterWithCost:
    """Cost on the scale of the last 1,000, weight 0.6."""

    def __init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=1000)

    def __call__(self, text: str, reference: list[str], extra: Extra) -> float:
        root = math.sqrt(extra["cost"])
        self.recent.append(root)
        low, high = np.percentile(list(self.recent), [5, 95])
        cheap = 0.5 if high - low < 1e-8 else 1 - min(max((root - low) / (high - low), 0), 1)
        form, right = routing_form(text), exact(text, reference, extra)
        return form if form < 0 else (0.4 * right + 0.6 * float(cheap) if right else 0.0)


def reseek(text: str, reference: list[str], extra: Extra) -> float:
    answer = (last_answer(text) or "").strip()
    if not answer:
        return 0.0
    correct = any(squad(answer) == squad(alias) for alias in reference)
    total = 0.0
    for block in re.finditer(r"<information>(.*?)</information>", text, re.DOTALL):
        judge = re.search(r"<judge>(yes|no)</judge>", text[block.end() :], re.IGNORECASE)
        information = block[1].strip().lower()
        if judge is None or not information:
            continue
        useful = any(alias.strip().lower() in information for alias in reference)
        if judge[1].lower() == "yes":
            total += 0.4 if correct else 0.3 if useful else -0.6
        else:
            total += -0.3 if useful else 0.4 if correct else 0.3
    hacked = max(text.count("<answer>"), text.count("</answer>")) > 10
    return total + (0.25 if hacked else 1.0) * correct


def search_quality(text: str, reference: list[str], extra: Extra) -> float:
    seen, bad = set[int](), 0
    for documents in extra["retrieved"]:
        if len([d for d in documents if d in seen]) > 2:
            bad += 1
        seen |= set(documents)
    return -bad / len(extra["retrieved"])


def nuggets(text: str, reference: list[str], extra: Extra) -> float:
    labels_text = text.split("</reasoning>")[-1].strip()
    labels = read_labels(labels_text)
    if len(labels) != len(reference) or text.count("<reasoning>") > 1:
        return 0.0
    scores = []
    for label in Labels:
        tp = sum(p == label and g == label for p, g in zip(labels, reference, strict=True))
        fp = sum(p == label and g != label for p, g in zip(labels, reference, strict=True))
        fn = sum(p != label and g == label for p, g in zip(labels, reference, strict=True))
        scores.append(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0)
    macro = sum(scores) / 3
    if macro == 0:
        return 0.0
    reasoning = re.search(r"<reasoning>(.*?)</reasoning>", text, re.DOTALL)
    reasoned = 0.0 if reasoning is None else 1.0 if reasoning[1].strip() else 0.5
    return 0.35 * macro + 0.35 * (labels == reference) + 0.2 * reasoned + 0.1 * looks(labels_text, extra)


def read_labels(text: str) -> list[str]:
    try:
        value = json.loads(text)
    except ValueError:
        if "," in text:
            return [part.strip() for part in text.split(",") if part.strip() in Labels]
        lines = [re.sub(r"^([*-]|\d+\.)\s*", "", line.strip()) for line in text.split("\n")]
        return [line for line in lines if line in Labels]
    return [label for label in value if label in Labels]


def looks(text: str, extra: Extra) -> bool:
    kind = extra["prompt_format_hint"]
    lines = [line for line in text.split("\n") if line.strip()]
    if kind == "json":
        return text.startswith("[") and isinstance(json.loads(text), list)
    if kind == "csv":
        return "," in text and not text.startswith("[")
    if kind == "numbered":
        return all(re.match(r"\d+\.\s\w", line) for line in lines)
    return all(line.startswith("* ") for line in lines)


def tool_steps(text: str, reference: Any, extra: Extra) -> float:
    count = 0
    for step in re.split(r"\n- Step", "\n" + text.split("### Final Response")[0])[1:]:
        header = step.split("\n")[0]
        kind = re.search(r"\(([^()]*)\)?[^(]*$", header)
        count += ":" in header and kind is not None and kind[1].startswith("tool:")
    return float(count)


def boxed(text: str) -> str | None:
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for i in range(start + 6, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return text[start + 7 : i]
    return None


def last_boxed(text: str, reference: str, extra: Extra) -> float:
    answer = boxed(text[-100:])
    return 1.0 if answer is not None and answer == reference else -1.0


def bandit_means(text: str, reference: Extra, extra: Extra) -> float:
    arm, means = arm_in(text, reference), reference["means"]
    return 0.0 if arm is None else (means[arm] - min(means)) / (max(means) - min(means))


def bandit_ucb(text: str, reference: Extra, extra: Extra) -> float:
    counts, sums = np.array(reference["counts"]), np.array(reference["sums"])
    if (counts == 0).any():
        best = int(np.argmin(counts))
    else:
        best = int(np.argmax(sums / counts + np.sqrt(np.log(counts.sum()) / counts)))
    return float(arm_in(text, reference) == best)


def arm_in(text: str, reference: Extra) -> int | None:
    for answer in reversed(re.findall(r"<answer>(.*?)</answer>", text, re.DOTALL)):
        if answer.strip() in reference["arms"]:
            return reference["arms"].index(answer.strip())
    return None


def otc_ppo(text: str, reference: list[str], extra: Extra) -> float:
    calls = len(re.findall(r"<information>.*?</information>", text, re.DOTALL))
    return math.cos(calls * math.pi / (2 * calls + 4)) * exact(text, reference, extra)


def calls_in(text: str) -> list[Extra | None]:
    calls = list[Extra | None]()
    for body in re.findall(r"<tool_call>(.*?)</tool_call>", text, re.DOTALL):
        try:
            value = json.loads(body)
        except ValueError:
            calls.append(None)
            continue
        calls += value if isinstance(value, list) else [value]
    return calls


def calls_f1(text: str, reference: list[Extra], extra: Extra) -> float:
    calls = calls_in(text)
    free, hits = list(calls), 0
    for gold in reference:
        if gold in free:
            free.remove(gold)
            hits += 1
    return hits / ((len(reference) + len(calls)) / 2)


def calls_partial(text: str, reference: list[Extra], extra: Extra) -> float:
    calls = calls_in(text)
    values = np.zeros((len(reference), len(calls)))
    for i, gold in enumerate(reference):
        for j, call in enumerate(calls):
            if call is not None and call["name"] == gold["name"]:
                wanted, given = gold["parameters"], call["parameters"]
                agreed = sum(k in given and given[k] == v for k, v in wanted.items())
                values[i, j] = (1 + agreed) / (1 + len(set(wanted) | set(given)))
    rows, columns = linear_sum_assignment(-values)
    return float(values[rows, columns].sum()) / ((len(reference) + len(calls)) / 2)


def calls_ordered(text: str, reference: list[Extra], extra: Extra) -> float:
    calls = calls_in(text)
    return longest_common(reference, calls) / max(len(reference), len(calls))


def longest_common(a: list[Any], b: list[Any]) -> int:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, left in enumerate(a):
        for j, right in enumerate(b):
            if left == right:
                table[i + 1][j + 1] = table[i][j] + 1
            else:
                table[i + 1][j + 1] = max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]
