"""Reward for programs: do they pass the tests?"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from guerdon.core.checks import check_choice
from guerdon.core.context import Context
from guerdon.core.registry import register
from guerdon.core.reward import Reward
from guerdon.core.samples import Chat
from guerdon.core.signal import Abstain, Score
from guerdon.engine.sandbox import Execution, Limits, ProcessSandbox, Sandbox
from guerdon.verify.programs import fenced_programs

Take: TypeAlias = Literal["last", "first", "all", "text"]
Reduce: TypeAlias = Literal["all", "fraction"]
Compare: TypeAlias = Literal["lines", "tokens", "exact"]

_START_SECONDS = 5.0


class Case(NamedTuple):
    """What a program reads from stdin, and what it has to print."""

    input: str
    output: str


@register("code_tests", example="{reward: code_tests, reduce: fraction, seconds: 5}")
class CodeTests(Reward):
    """1 where the program of the completion passes every test of the reference, else 0.

        outcome = 1[all tests pass]                   reduce="all"
        outcome = (tests that pass) / (tests)         reduce="fraction", in [0, 1]

    **The program** stands in the last assistant turn: in the last fence that opens with ```` ```python ````
    (`take="last"`), the `first`, or `all` of them joined; with `take="text"` the whole turn is the program. A turn
    without one scores 0, with a note.

    **The reference** is one of

    - assertions, as text or as a list of texts. In one text, each `assert` at its top level is a test, which runs behind
      everything else that stands before it; a text without one (`check(solution)`), and each text of a list, is one
      test. It passes where nothing is raised. The program is a module named `solution` in whose namespace the test
      runs, so that its `if __name__ == "__main__"` part doesn't;
    - a list of `{"input": …, "output": …}`: what the program, run as a script, gets on stdin and must print, with exit
      code 0. `compare`: `lines` (default) ignores white space at the end of lines and empty lines at the end, `tokens`
      all differences in white space, `exact` nothing;
    - `{"fail_to_pass": …, "pass_to_pass": …}`, each of them one of the above: tests that the change has to make pass, and
      tests that it must not break. All of them count alike.

    **Each test is run by itself**, in a process with the program run afresh, so that one which fails, hangs or crashes
    doesn't hide the others. With `reduce="all"` the first that fails ends it. `seconds` is the limit of one test, and
    `memory` (bytes) that of its process; a program that passes a limit fails the test. `sandbox`: where programs run, a
    `ProcessSandbox` by default, which says what that protects against. The note tells the first test that failed and why.

    Abstains where the reference is missing, has no tests, or a test isn't Python; a sandbox that can't start fails the
    sample. The engine's time limit should allow for tests × `seconds`.

    **Gaming.** The verdict doesn't depend on the exit code, on printed text, or on a file: ending the process early
    (`sys.exit(0)`, `os._exit(0)`), printing success, replacing builtins, tracing, and killing the test runner all fail the test.
    An input/output case can't be forged: the expected output never enters the sandbox. An assertion is evaluated by
    the process of the program, so these remain possible: an object that equals everything (`__eq__` returns True),
    patching a module that the assertion uses, reading the expected value out of the frames of the test, and finding the
    test runner's socket and speaking its protocol. Prefer cases where a policy trains on it for long.

    Jeff Da et al., "Agent-RLVR: Training Software Engineering Agents via Guidance and Environment Rewards",
    arXiv:2506.11425, for the tests that must come to pass and those that must stay so; assertions as tests as in Jacob
    Austin et al., "Program Synthesis with Large Language Models", arXiv:2108.07732.
    """

    name = "code_tests"
    uses_context = False

    def __init__(
        self,
        reduce: Reduce = "all",
        take: Take = "last",
        compare: Compare = "lines",
        seconds: float = 10.0,
        memory: int = 2 << 30,
        sandbox: Sandbox | None = None,
    ) -> None:
        check_choice(reduce, "reduce", get_args(Reduce))
        check_choice(take, "take", get_args(Take))
        check_choice(compare, "compare", get_args(Compare))
        self.reduce: Reduce = reduce
        self.take: Take = take
        self.compare: Compare = compare
        self.limits = Limits(seconds=seconds, memory=memory)
        self._sandbox: Sandbox = sandbox or ProcessSandbox()

    def score(self, sample: Chat, context: Context) -> float | Score:
        assertions, cases = read_tests(sample.reference)
        program = self._program(sample.final)
        if not program.strip():
            return Score(0.0, note="the completion has no program")
        stop = self.reduce == "all"
        reasons = self._check_assertions(program, assertions, stop) if assertions else []
        if not (stop and any(reasons)):
            for case in cases:
                reasons.append(self._check_case(program, case))
                if stop and reasons[-1]:
                    break
        total = len(assertions) + len(cases)
        failed = next((i for i, reason in enumerate(reasons) if reason), None)
        if failed is None:
            return 1.0
        outcome = 0.0 if stop else reasons.count("") / total
        return Score(outcome, note=f"test {failed + 1} of {total}: {reasons[failed]}")

    def _program(self, text: str) -> str:
        if self.take == "text":
            return text
        programs = fenced_programs(text)
        if self.take == "all":
            return "".join(programs)
        return "".join(programs[:1] if self.take == "first" else programs[-1:])

    def _check_assertions(self, program: str, tests: Sequence[str], stop: bool) -> list[str]:
        """Why each test fails, empty where it passes; with `stop` up to the first that fails."""
        task = {"program": program, "tests": tests, "seconds": self.limits.seconds, "stop": stop}
        limits = replace(self.limits, seconds=len(tests) * self.limits.seconds + _START_SECONDS)
        execution = self._sandbox.run(_checks(), stdin=json.dumps(task), limits=limits)
        if execution.status != "ok":
            return [f"the test runner was ended by the program: {_how(execution)}"] + ["not run"] * (
                len(tests) - 1
            )
        return json.loads(execution.stdout)

    def _check_case(self, program: str, case: Case) -> str:
        execution = self._sandbox.run(program, stdin=case.input, limits=self.limits)
        if execution.status != "ok":
            return _how(execution)
        if _normal(execution.stdout, self.compare) != _normal(case.output, self.compare):
            return f"it prints {_shown(execution.stdout)}, expected {_shown(case.output)}"
        return ""


def read_tests(reference: Any) -> tuple[list[str], list[Case]]:
    """The assertions and the cases of a reference, see `CodeTests`. Raises `Abstain` where it has none or is malformed."""
    if reference is None:
        raise Abstain("reference: missing")
    if isinstance(reference, Mapping) and not _is_case(reference):
        if not reference or set(reference) - {"fail_to_pass", "pass_to_pass"}:
            raise Abstain(
                f"reference: expected the keys fail_to_pass and pass_to_pass, got {', '.join(map(repr, reference))}"
            )
        parts = [_tests(tests, f"reference[{key!r}]") for key, tests in reference.items()]
    else:
        parts = [_tests(reference, "reference")]
    assertions = [test for part in parts for test in part[0]]
    cases = [case for part in parts for case in part[1]]
    if not assertions and not cases:
        raise Abstain("reference: expected at least one test, got none")
    return assertions, cases


def _is_case(value: Mapping[Any, Any]) -> bool:
    return set(value) == {"input", "output"}


def _tests(tests: Any, where: str) -> tuple[list[str], list[Case]]:
    if isinstance(tests, str):
        return _split(tests, where), []
    if not isinstance(tests, (list, tuple)):
        raise Abstain(f"{where}: expected text or a list of tests, got {type(tests).__name__}")
    assertions, cases = list[str](), list[Case]()
    for i, test in enumerate(tests):
        if isinstance(test, str):
            _parse(test, f"{where}[{i}]")
            assertions.append(test)
        elif isinstance(test, Mapping) and _is_case(test) and all(isinstance(v, str) for v in test.values()):
            cases.append(Case(test["input"], test["output"]))
        else:
            raise Abstain(
                f"{where}[{i}]: expected an assertion as text, or a mapping of texts input and output"
            )
    return assertions, cases


def _split(text: str, where: str) -> list[str]:
    """Each top-level assertion behind what else stands before it; the whole text where there is none."""
    preparation, tests = list[ast.stmt](), list[str]()
    for statement in _parse(text, where).body:
        if isinstance(statement, ast.Assert):
            tests.append(ast.unparse(ast.Module([*preparation, statement], [])))
        else:
            preparation.append(statement)
    if tests or not preparation:
        return tests
    return [text]


def _parse(test: str, where: str) -> ast.Module:
    try:
        return ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Abstain(f"{where}: not Python: {error}") from None


@lru_cache(maxsize=1)
def _checks() -> str:
    return Path(__file__).with_name("assertion_checks.py").read_text("utf-8")


def _normal(text: str, compare: Compare) -> str | list[str]:
    if compare == "tokens":
        return text.split()
    if compare == "exact":
        return text
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip()


def _how(execution: Execution) -> str:
    last = execution.stderr.rstrip().rpartition("\n")[2][:300]
    return f"{execution.status} (exit code {execution.exit_code}){last and f': {last}'}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:100]}…")
