"""Samples of `bench_verify.py`: groups of 8 completions of one prompt, made from real records."""

from __future__ import annotations

import gzip
import json
import os
import random
from functools import cache
from pathlib import Path
from typing import Any

from guerdon.core.messages import message_text
from guerdon.core.samples import Chat
from guerdon.lab.text_to_sql import TextToSql

GROUP = 8
DATA = Path(os.environ.get("GUERDON_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
LABELS = ("support", "partial_support", "not_support")


def skip_without_data() -> None:
    """End the process with a line and exit status 0 where there are no records to run on."""
    if not DATA.is_dir():
        print("skipped: there is no shared/data beside the checkout; GUERDON_SHARED may name its folder")
        raise SystemExit(0)


def records(name: str) -> list[dict[str, Any]]:
    """Records of a file of `shared/data`."""
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@cache
def questions() -> list[dict[str, Any]]:
    return [record for record in records("qa_feedback") if record["passages"]]


def clean(text: str) -> str:
    """Text without what would be read as a tag, or as a separator in a query."""
    return text.replace("<", "(").replace(">", ")")


@cache
def search(n: int) -> tuple[Chat, ...]:
    """Trajectories of a search agent over retrieved passages, whose answer is the title of one of them."""
    rng = random.Random(0)
    return tuple(trajectory(i, rng) for i in range(n))


def trajectory(i: int, rng: random.Random) -> Chat:
    record = questions()[i // GROUP % len(questions())]
    passages = [(clean(title), clean(" ".join(body))) for title, *body in record["passages"]]
    aliases = [passages[0][0], passages[0][0].split(" (")[0], f"the {passages[-1][0]}"]
    turns, retrieved = list[str](), list[list[int]]()
    for _ in range(rng.randint(1, 3)):
        found = rng.choice(passages)[1]
        thought = clean(record[f"prediction {rng.randint(1, 4)}"])
        query = clean(record["question"]).replace(":", " ")
        turns.append(
            f"<think>{thought}</think>\n<search>{rng.choice(('qwen', 'llama-8b', 'gpt'))}: {query}</search>\n"
            f"<information>{found}</information>\n<judge>{rng.choice(('Yes', 'No', 'maybe'))}</judge>"
        )
        retrieved.append(rng.sample(range(12), 5))
    answer = rng.choice([*aliases, rng.choice(passages)[0] + " band", f"it is the {aliases[1]}", ""])
    ending = "" if rng.random() < 0.05 else f"\n<answer>{answer}</answer>"
    return Chat(
        record["question"],
        f"{chr(10).join(turns)}{ending}",
        reference=aliases,
        extra={"retrieved": retrieved, "cost": rng.randint(0, 4000)},
    )


def answers(n: int) -> list[Chat]:
    """Long answers beside the one that people wrote."""
    rng = random.Random(1)
    chosen = [questions()[i // GROUP % len(questions())] for i in range(n)]
    return [
        Chat(r["question"], dropped(r[f"prediction {rng.randint(1, 4)}"], rng), r["gold"]) for r in chosen
    ]


def dropped(text: str, rng: random.Random) -> str:
    """The text without some of its words, so that no two completions are the same."""
    return " ".join(word for word in text.split() if rng.random() < 0.95)


def labelled(n: int) -> list[Chat]:
    """Labels of ten nuggets, in four layouts, after some reasoning."""
    rng = random.Random(2)
    return [labels(i, rng) for i in range(n)]


def labels(i: int, rng: random.Random) -> Chat:
    record = questions()[i // GROUP % len(questions())]
    gold = random.Random(i // GROUP).choices(LABELS, k=10)
    given = [label if rng.random() < 0.8 else rng.choice(LABELS) for label in gold]
    given = given[: 9 if rng.random() < 0.1 else 10]
    layout = rng.choice(("json", "csv", "numbered", "markdown"))
    written = {
        "json": json.dumps(given),
        "csv": ",".join(given),
        "numbered": "\n".join(f"{k}. {label}" for k, label in enumerate(given, 1)),
        "markdown": "\n".join(f"* {label}" for label in given),
    }[layout]
    text = f"<reasoning>{clean(record['prediction 1'])}</reasoning>\n{written}"
    return Chat(record["question"], text, gold, extra={"prompt_format_hint": layout})


def steps(n: int) -> list[Chat]:
    """Reasoning in named steps, every third of which searches."""
    rng = random.Random(3)
    samples = list[Chat]()
    for i in range(n):
        record = questions()[i // GROUP % len(questions())]
        bodies = [" ".join(body) for _, *body in record["passages"]][: rng.randint(1, 6)]
        kinds = [rng.choice(("tool: Search", "normal", "normal")) for _ in bodies]
        written = [
            f"- Step {k}: Look (again) at it ({kind})\n{clean(body)}"
            for k, (kind, body) in enumerate(zip(kinds, bodies, strict=True), 1)
        ]
        text = "\n".join([*written, f"### Final Response\n{record['prediction 1']}"])
        samples.append(Chat(record["question"], text))
    return samples


@cache
def programs(n: int) -> tuple[Chat, ...]:
    """Trajectories of ToRA on grade-school problems and of Qwen2.5-Math on competition problems, in turns."""
    grade_school = [Chat(r["question"], r["code"][0], str(r["gt"])) for r in records("tora_gsm8k_tora_70b")]
    boxed = [Chat(r["question"], code, str(r["gt"])) for r in records("math_rm_at_8") for code in r["code"]]
    both = [*grade_school, *boxed]
    return tuple(both[i % len(both)] for i in range(n))


def bandits(n: int) -> list[Chat]:
    """A choice among five arms after some thoughts."""
    rng = random.Random(4)
    arms = ["red", "blue", "green", "white", "black"]
    samples = list[Chat]()
    for i in range(n):
        record = questions()[i // GROUP % len(questions())]
        own = random.Random(i // GROUP)
        counts = (
            [own.randint(0, 9) for _ in arms] if own.random() < 0.2 else [own.randint(1, 9) for _ in arms]
        )
        reference = {
            "arms": arms,
            "means": [own.random() for _ in arms],
            "counts": counts,
            "sums": [own.random() * count for count in counts],
        }
        text = f"{clean(record['prediction 1'])}\n<answer>{rng.choice([*arms, 'pink'])}</answer>"
        samples.append(Chat(record["question"], text, reference))
    return samples


@cache
def calls(n: int) -> tuple[Chat, ...]:
    """Trajectories of two to six tool calls with the calls of real reference turns, some of them damaged."""
    rng = random.Random(5)
    turns = [record["output"] for record in records("rlla_dialogues")]
    turns = [turn for turn in turns if turn.count("<tool_call>") == turn.count("\n<tool_call>\n{") == 1]
    known = [
        json.loads(line)
        for turn in turns
        for line in turn.partition("<tool_call>")[2].partition("</tool_call>")[0].strip().split("\n")
    ]
    thoughts = [turn.partition("</think>")[0] + "</think>" for turn in turns]
    samples = list[Chat]()
    for i in range(n):
        own = random.Random(i // GROUP)
        gold = [own.choice(known) for _ in range(own.randint(2, 6))]
        written = [
            f"{rng.choice(thoughts)}\n<tool_call>\n{damaged(call, i, rng)}\n</tool_call>"
            for call in gold
            if rng.random() < 0.9
        ]
        samples.append(Chat(f"task {i // GROUP}", "\n".join(written), gold))
    return tuple(samples)


def damaged(call: dict[str, Any], i: int, rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.1:
        return json.dumps(call)[:-1]
    if chance < 0.2:
        return json.dumps({**call, "name": "another"})
    if chance < 0.4:
        return json.dumps({**call, "parameters": {**call["parameters"], "page": i}})
    return json.dumps(call)


@cache
def queries(n: int) -> tuple[Chat, ...]:
    """Queries on small databases: the right one, one for all of a table, one with a mistake."""
    rng = random.Random(6)
    tasks = [task for level in (1, 2, 3) for task in TextToSql(level).tasks(-(-n // GROUP), seed=level)]
    samples = list[Chat]()
    for i in range(n):
        task = tasks[i // GROUP]
        solution = message_text(task.solution[0])
        query = str(task.reference)
        given = rng.choice(
            (query, f"{query} LIMIT {i}", query.replace("SELECT", "SELECT DISTINCT"), f"{query} WHERE")
        )
        samples.append(task.chat(solution.replace(query, given)))
    return tuple(samples)
