"""ToolRL: the finer a reward for tool calls looks at them, the sooner a policy makes the right ones.

Cheng Qian, Emre Can Acikgoz, Qi He, Hongru Wang, Xiusi Chen, Dilek Hakkani-Tür, Gokhan Tur, Heng Ji, "ToolRL: Reward is
All Tool Learning Needs", arXiv 2504.13958, repository qiancheng0/ToolRL.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guerdon.claims.harness.claim import Claim, Expect, Points, Run, Setting, Tuning
from guerdon.core.recipe import load_reward
from guerdon.core.signal import Signal
from guerdon.credit import grpo
from guerdon.lab.tabular import Decision, Practice, Rollout, TabularPolicy, practise
from guerdon.lab.tool_tasks import MAX_CALLS, ToolTasks
from guerdon.lab.toy_tools import REQUESTS, TOOLS
from guerdon.lab.world import Task

FINE, INTERMEDIATE, COARSE, EQUAL = "fine", "intermediate", "coarse", "equal scale"
RECIPES = {
    FINE: "toolrl",
    INTERMEDIATE: "toolrl-intermediate",
    COARSE: "toolrl-coarse",
    EQUAL: "toolrl-equal-scale",
}
TRAINING, FRESH = 100, 300  # tasks of each number of calls
STEPS, WINDOW, GROUPS, GROUP_SIZE = 150, 5, 12, 4
OFFERED, INVENTED = 4, "unknown"  # values to choose from for a parameter, filled up with an invented one
WARM = 1.5  # logit by which the untrained policy prefers what is sensible
LAYOUTS = (
    "<think>One call a request.</think>\n<tool_call>\n{calls}\n</tool_call>",
    "<tool_call>\n{calls}\n</tool_call>",
    "<think>One call a request.</think>\n<tool_call>{calls}</tool_call>",
    "<think>One call a request.</think>\n{calls}",
)
PARAMETERS = {tool.__name__: tuple(inspect.signature(tool).parameters) for tool in TOOLS}
NAMES = tuple(PARAMETERS)
PHRASES = {phrase: name for name, phrases in REQUESTS.items() for phrase in phrases}
_PATTERNS = {phrase: re.compile(re.sub(r"\\\{\w+\\\}", "(.+)", re.escape(phrase))) for phrase in PHRASES}
WORLD = ToolTasks(style="tags")


class Need(NamedTuple):
    """One sentence of a request: how it is put, and the values that it names, in their order."""

    phrase: str
    values: tuple[Any, ...]


class Request(NamedTuple):
    """A task and its sentences."""

    task: Task
    needs: Sequence[Need]


def read(sentence: str) -> Need:
    """Take a sentence apart."""
    phrase, found = next((p, m) for p, pattern in _PATTERNS.items() if (m := pattern.fullmatch(sentence)))
    return Need(phrase, tuple(int(value) if value.isdigit() else value for value in found.groups()))


def requests(each: int, seed: int) -> list[Request]:
    """So many of one, of two and of three calls."""
    worlds = [ToolTasks(calls, style="tags") for calls in range(1, MAX_CALLS + 1)]
    tasks = [task for world in worlds for task in world.tasks(each, seed)]
    return [
        Request(task, [read(s) for s in re.split(r"(?<=[.?]) ", task.prompt[-1]["content"])])
        for task in tasks
    ]


def prior(state: Any, options: int) -> NDArray[np.float64]:
    """The untrained policy leans to the right layout and values, and to both tools of the right pair."""
    logits = np.zeros(options)
    match state:
        case ("tool", phrase):
            pair = NAMES.index(PHRASES[phrase]) // 2
            logits[2 * pair : 2 * pair + 2] = WARM
        case ("value", phrase, parameter):
            blanks = re.findall(r"\{(\w+)\}", phrase)
            if parameter in blanks:
                logits[blanks.index(parameter)] = WARM
        case _:
            logits[0] = WARM
    return logits


def play(request: Request, policy: TabularPolicy, rng: np.random.Generator) -> Rollout:
    """Choose a layout, a tool for each sentence, and what each of its parameters is."""
    decisions = list[Decision]()

    def choose(state: tuple[str, ...], options: int) -> int:
        decisions.append(Decision(state, policy.choose(state, options, rng)))
        return decisions[-1].choice

    layout, lines = LAYOUTS[choose(("layout",), len(LAYOUTS))], list[str]()
    for phrase, values in request.needs:
        name = NAMES[choose(("tool", phrase), len(NAMES))]
        offered = [*values, *[INVENTED] * (OFFERED - len(values))]
        parameters = {key: offered[choose(("value", phrase, key), OFFERED)] for key in PARAMETERS[name]}
        lines.append(json.dumps({"name": name, "parameters": parameters}))
    return Rollout(request.task.chat(layout.format(calls="\n".join(lines))), decisions)


def exact(rollouts: Sequence[Rollout]) -> float:
    """Share of turns with exactly the calls that are needed."""
    return float(np.mean([WORLD.check(rollout.sample).solved for rollout in rollouts]))


def windows(values: Sequence[float]) -> Points:
    """Means of 5 steps, each at its last step."""
    return [(s + WINDOW, float(np.mean(values[s : s + WINDOW]))) for s in range(0, STEPS, WINDOW)]


def steps_to(curve: Points, level: float) -> float:
    """The first step at which a curve is there; the whole training where it never is."""
    return next((step for step, value in curve if value >= level), float(STEPS))


def experiment(arm: str, setting: Setting, seed: int) -> Run:
    """Train one policy on 300 tasks and measure it, by the same yardstick for all arms."""
    policy, measure = TabularPolicy(prior), load_reward(RECIPES[FINE])
    found: Mapping[str, list[float]] = {name: [] for name in ("exact", "format", "correctness", "silent")}

    def note(step: int, rollouts: list[Rollout], signal: Signal) -> None:
        parts = measure([rollout.sample for rollout in rollouts]).parts
        found["exact"].append(exact(rollouts))
        for name in ("format", "correctness"):
            found[name].append(float(parts[name].outcome.mean()))
        spread = np.ptp(signal.outcome.reshape(GROUPS, GROUP_SIZE), axis=1)
        found["silent"].append(float((spread == 0).mean()))

    practice = Practice(
        steps=STEPS, groups=GROUPS, group_size=GROUP_SIZE, learning_rate=setting["learning_rate"]
    )
    reward, credit = load_reward(RECIPES[arm]), grpo(epsilon=1e-6)
    practise(policy, requests(TRAINING, seed), play, reward, practice, credit=credit, seed=seed, on_step=note)
    rng = np.random.default_rng([seed, 1])
    curves = {name: windows(found[name]) for name in ("exact", "format", "correctness")}
    to_exact, to_format = steps_to(curves["exact"], 0.8), steps_to(curves["format"], 0.95)
    return Run(
        {
            "steps to 80 %": to_exact,
            "steps to format": to_format,
            "format lead": to_exact - to_format,
            "exact": exact([play(request, policy, rng) for request in requests(FRESH, seed + 1)]),
            "exact while training": float(np.mean(found["exact"])),
            "correctness": float(np.mean(found["correctness"])),
            "silent groups": float(np.mean(found["silent"])),
        },
        curves,
    )


CLAIM = Claim(
    slug="toolrl",
    says="A reward that matches names, parameters and values of tool calls one by one teaches tool use faster than one "
    "for whole calls or for the whole turn, and correctness should weigh more than format.",
    hypothesis="Fine matching reaches 80 % exact calls no later than matching of whole calls, and that sooner than all or "
    "nothing; the format is learned well before the calls; with correctness in [-1, 1] calls are learned less well.",
    setup="Requests of one to three sentences, each for one call of one of eight tools with one to three parameters; 300 "
    "train. A softmax chooses a layout of four, for each phrase a tool, and for each parameter one of the values of the "
    "sentence or an invented one; the turn of text that this makes is what is scored. At first it leans to the right "
    "layout and values, and to both tools of the right pair. GRPO with groups of 4, 150 steps of 12 groups. The arms are "
    "the recipes toolrl, toolrl-intermediate, toolrl-coarse and toolrl-equal-scale.",
    arms=(FINE, INTERMEDIATE, COARSE, EQUAL),
    metrics={
        "steps to 80 %": "training step at which 80 % of the turns of 5 steps are exactly right; 150 where never",
        "steps to format": "the same for 95 % in the right layout",
        "format lead": "steps between the two",
        "exact": "share of 900 turns on fresh requests with exactly the calls that are needed, in the right layout",
        "exact while training": "the same over all turns of training",
        "correctness": "mean R_correct of fine matching over all turns of training, whatever the arm, -3 to 3",
        "silent groups": "share of groups in training in which all four turns got the same reward",
    },
    expect=(
        Expect("steps to 80 %", FINE, "no_higher", INTERMEDIATE, margin=10),
        Expect("steps to 80 %", INTERMEDIATE, "lower", COARSE, margin=5),
        Expect("format lead", FINE, "higher", 0.0, margin=5),
        Expect("correctness", EQUAL, "lower", FINE, margin=0.06),
    ),
    experiment=experiment,
    seeds=10,
    tuning=Tuning([{"learning_rate": rate} for rate in (0.3, 1.0, 3.0, 10.0)], "steps to 80 %", "lower"),
    axes={
        "exact": ("training step", "share of turns exactly right"),
        "format": ("training step", "share of turns in the right layout"),
        "correctness": ("training step", "R_correct of fine matching"),
    },
    remark="That fine matching is no slower and that the format comes first shows; the rest does not. Between whole-call "
    "matching and all or nothing the seeds scatter too widely to say. On three other seeds at the same rate, whole-call "
    "matching ended with the wrong values for some phrases, and all or nothing did so on two, with the wrong tool, too; "
    "fine matching, looked at on one, did not. A likely reason, not tested here: whole-call matching pays for the right "
    "tool whatever its values, so values that came along by chance are reinforced. A lower rate might spare that, but each "
    "arm's was chosen by the speed that is compared. Correctness in [-1, 1] does no harm: GRPO divides by the standard "
    "deviation, so only the weight of the format changes, and that is learned within 15 steps in all arms. The margins were "
    "fixed after one trial an arm at rates 0.3 and 1, on a seed that isn't reported; the run chose 3 for all.",
)
