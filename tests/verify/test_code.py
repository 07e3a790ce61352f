"""`code_tests`: forms of the reference, how programs fail, and the ways in which one might cheat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guerdon
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.engine.sandbox import Execution, Limits, SandboxError
from guerdon.verify.code import CodeTests, read_tests

TESTS = ["assert f(1) == 2", "assert f(2) == 3"]
GOOD = "def f(x):\n    return x + 1\n"
CASES = [{"input": "1\n", "output": "2"}, {"input": "5", "output": "6\n"}]


def fenced(*programs: str) -> str:
    return "\n".join(f"Text.\n```python\n{program}\n```" for program in programs)


def verdict(program: str, reference: Any, *, whole: bool = False, **options: Any) -> tuple[float | str, str]:
    """The outcome, or the reason why there is none, and the note."""
    sample = Chat("", program if whole else fenced(program), reference=reference)
    signal = CodeTests(**{"seconds": 3.0, **options})([sample])
    outcome = float(signal.outcome[0]) if signal.status[0] == Status.OK else signal.reasons[0]
    return outcome, (signal.notes or {}).get(0, "")


# -- forms of the reference --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [
        TESTS,
        tuple(TESTS),
        "\n".join(TESTS),
        "import math\nassert f(math.floor(1.5)) == 2",
        "def check(g):\n    assert g(1) == 2\ncheck(f)",
        "from solution import f as g\nassert g(1) == 2",
        {"fail_to_pass": TESTS, "pass_to_pass": ["assert callable(f)"]},
        {"fail_to_pass": TESTS},
    ],
)
def test_assertions(reference: Any) -> None:
    assert verdict(GOOD, reference) == (1.0, "")
    assert verdict("def f(x):\n    return 7", reference)[0] == 0.0


def test_each_assertion_of_a_text_is_a_test() -> None:
    text = "y = 1\nassert f(y) == 2\ny = 2\nassert f(y) == 0\nassert f(y) == 3\nassert f(y) == 4"
    assert read_tests(text)[0][1] == "y = 1\ny = 2\nassert f(y) == 0"
    assert verdict(GOOD, text, reduce="fraction") == (0.5, "test 2 of 4: AssertionError:")


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("print(int(input()) + 1)", 1.0),
        ("print(int(input()) + 1, '  \\n\\n')", 1.0),
        ("if __name__ == '__main__': print(int(input()) + 1)", 1.0),
        ("print(2)", 0.5),
        ("print(int(input()) + 1); raise SystemExit(1)", 0.0),
        ("while True: print('2')", 0.0),
        ("import os; os._exit(0)", 0.0),
    ],
)
def test_cases(program: str, outcome: float) -> None:
    assert verdict(program, CASES, reduce="fraction")[0] == outcome
    assert verdict(program, CASES)[0] == float(outcome == 1.0)


def test_how_outputs_are_compared() -> None:
    case = [{"input": "", "output": "a b\nc"}]
    modes = ("exact", "lines", "tokens")

    def outcomes(program: str) -> list[float | str]:
        return [verdict(program, case, compare=mode)[0] for mode in modes]

    assert outcomes("print(end='a b\\nc')") == [1, 1, 1]
    assert outcomes("print('a b \\nc\\n')") == [0, 1, 1]
    assert outcomes("print('a\\nb  c')") == [0, 0, 1]
    assert outcomes("print(' a b\\nd')") == [0, 0, 0]


def test_tests_that_must_come_to_pass_and_stay_so() -> None:
    change = {"fail_to_pass": ["assert f(1) == 2"], "pass_to_pass": ["assert f(0) == 0", CASES[0]]}
    program = "def f(x):\n    return 2 * x\nif __name__ == '__main__': print(2)"
    assert verdict(program, change)[0] == 1.0
    assert verdict(GOOD, change) == (0.0, "test 2 of 3: AssertionError:")


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (None, "reference: missing"),
        ([], "at least one test"),
        ("", "at least one test"),
        ("# nothing", "at least one test"),
        ({}, "fail_to_pass"),
        ({"tests": TESTS}, "'tests'"),
        ({"fail_to_pass": [], "pass_to_pass": []}, "at least one test"),
        ({"fail_to_pass": 5}, r"reference['fail_to_pass']: expected text or a list"),
        (5, "got int"),
        ([5], "reference[0]"),
        ([{"input": "1"}], "reference[0]"),
        ([{"input": 1, "output": "2"}], "reference[0]"),
        ("assert (", "not Python"),
        ([*TESTS, "assert f("], "reference[2]: not Python"),
        (["assert f('\ud800')"], "reference[0]: not Python"),
        (["\0"], "not Python"),
        ("(" * 10_000, "not Python"),
    ],
)
def test_a_reference_that_is_no_test_abstains(reference: Any, reason: str) -> None:
    outcome, _ = verdict(GOOD, reference)
    assert isinstance(outcome, str)
    assert reason in outcome
    assert CodeTests()([Chat("", GOOD, reference=reference)]).status[0] == Status.ABSTAINED


# -- where the program stands ------------------------------------------------------------------------------------------


def test_which_fence_is_taken() -> None:
    text = fenced("def f(x):\n    return 0", GOOD)
    assert verdict(text, TESTS, whole=True)[0] == 1.0
    assert verdict(text, TESTS, whole=True, take="first")[0] == 0.0
    assert verdict(fenced("y = 1", "def f(x): return x + y"), TESTS, whole=True, take="all")[0] == 1.0
    assert verdict(GOOD, TESTS, whole=True, take="text")[0] == 1.0


@pytest.mark.parametrize("text", ["", "No program.", "```\ndef f(x): return x + 1\n```", "```python\n```"])
def test_no_program_is_wrong(text: str) -> None:
    assert verdict(text, TESTS, whole=True) == (0.0, "the completion has no program")


def test_the_last_turn_counts() -> None:
    turns = [
        {"role": "assistant", "content": fenced(GOOD)},
        {"role": "tool", "content": "ok"},
        {"role": "assistant", "content": fenced("def f(x): return x")},
    ]
    assert CodeTests()([Chat("", turns, reference=TESTS)]).outcome.tolist() == [0.0]


# -- programs that fail ------------------------------------------------------------------------------------------------


def test_one_bad_test_does_not_hide_the_others() -> None:
    program = (
        "import os\ndef f(x):\n    if x == 0: os._exit(0)\n    if x == 1:\n        while True: pass\n"
        "    if x == 2: os.kill(os.getpid(), 11)\n    if x == 3: raise KeyboardInterrupt\n    return x\n"
    )
    tests = [f"assert f({i}) == {i}" for i in range(6)]
    outcome, note = verdict(program, tests, reduce="fraction", seconds=1.0)
    assert outcome == pytest.approx(2 / 6)
    assert note == "test 1 of 6: the program ends before the test does"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("while True: pass", "it takes too long"),
        ("def f(x):\n    while True: pass", "it takes too long"),
        ("def (", "SyntaxError"),
        ("x = 1\0", "SyntaxError"),
        ("x = '\ud800'", "UnicodeEncodeError"),
        ("def f(x): return bytearray(10 << 30)", "MemoryError"),
        ("def f(x): return input()", "EOFError"),
        ("def g(x): return 1", "NameError"),
        ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", ""),
        ("class E(Exception):\n    def __str__(self): raise self\nraise E", "the program ends before"),
    ],
)
def test_a_program_that_fails_is_wrong_with_a_note(program: str, why: str) -> None:
    outcome, note = verdict(program, TESTS, seconds=1.5)
    assert outcome == 0.0
    assert why in note
    assert note.startswith("test 1 of 2: ")


@settings(max_examples=10, deadline=None)
@given(st.text())
def test_any_text_is_a_wrong_program(text: str) -> None:
    assert verdict(text, ["assert guerdon_has_this_name == 1"], whole=True, take="text")[0] == 0.0


# -- programs that cheat -----------------------------------------------------------------------------------------------

PARENT = "[line.split()[1] for line in open('/proc/self/status') if line.startswith('PPid')][0]"

CHEATS = {
    "leaves with success": "import sys\nsys.exit(0)",
    "leaves at once with success": "import os\nos._exit(0)",
    "leaves when tested": "import os\ndef f(x): os._exit(0)",
    "raises SystemExit when tested": "def f(x): raise SystemExit(0)",
    "prints success": "print('[\"\", \"\"]')\nprint('OK')\ndef f(x): return 0",
    "prints success at exit": 'import atexit\natexit.register(print, \'["", ""]\')\ndef f(x): return 0',
    "replaces what runs tests": (
        "import builtins\nbuiltins.exec = builtins.compile = lambda *a, **k: None\ndef f(x): return 0"
    ),
    "replaces the error": "import builtins\nbuiltins.AssertionError = type('E', (Exception,), {})\ndef f(x): return 0",
    "replaces system calls": (
        "import os\nos.write = lambda *a: 0\nos.read = lambda *a: b'x'\nos._exit = lambda *a: None\ndef f(x): return 0"
    ),
    "writes to every descriptor": (
        'import os\nfor n in range(3, 200):\n    try: os.write(n, b\'?\\n["", ""]\\n\')\n    except OSError: pass\n'
        "def f(x): return 0"
    ),
    "kills the runner": "import os\nos.kill(os.getppid(), 9)\ndef f(x): return 0",
    "stops the runner": "import os\nos.kill(os.getppid(), 19)\ndef f(x): return 0",
    "prints in the place of the runner": (
        f"import os\nopen('/proc/' + {PARENT} + '/fd/1', 'w').write('[\"\", \"\"]')\ndef f(x): return 0"
    ),
    "looks for tests on disk": (
        "import glob\nf = {1: 2, 2: 3}.__getitem__ if any('assert' in open(p).read() and 'f(1)' in open(p).read()"
        " for p in glob.glob('*') if p != 'main.py') else None"
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_cheating_does_not_pay(cheat: str) -> None:
    outcome, note = verdict(CHEATS[cheat], TESTS, reduce="fraction", seconds=1.0)
    assert outcome == 0.0, note


def test_a_tracer_cannot_jump_over_an_assertion() -> None:
    program = (
        "import sys\ndef skip(frame, event, argument):\n"
        "    if frame.f_code.co_filename == 'test' and event == 'line' and frame.f_lineno == 1: frame.f_lineno = 2\n"
        "    return skip\nsys.settrace(skip)\ndef f(x): return 0"
    )
    assert verdict(program, ["assert f(1) == 2\nx = 1"])[0] == 0.0


def test_replaced_builtins_do_not_reach_the_test() -> None:
    program = (
        "import builtins\nbuiltins.len = lambda x: 3\nbuiltins.sorted = lambda x: [1]\ndef f(): return [9, 9]"
    )
    assert (
        verdict(program, ["assert len(f()) == 3", "assert sorted(f()) == [1]"], reduce="fraction")[0] == 0.0
    )


@pytest.mark.parametrize("program", ["print('2')\nimport os; os._exit(0)", "print(open('main.py').read())"])
def test_cases_cannot_be_read_from_the_sandbox(program: str) -> None:
    assert verdict(program, [{"input": "", "output": "secret 42"}])[0] == 0.0


# -- running -----------------------------------------------------------------------------------------------------------


class Broken:
    """A sandbox that can't start."""

    def run(
        self,
        program: str,
        *,
        stdin: str = "",
        files: Mapping[str, str | bytes] | None = None,
        limits: Limits | None = None,
    ) -> Execution:
        raise SandboxError("no room")


@pytest.mark.parametrize("reference", [TESTS, CASES])
def test_a_sandbox_that_cannot_start_is_a_failure(reference: Any) -> None:
    signal = CodeTests(sandbox=Broken())([Chat("", fenced(GOOD), reference=reference)])
    assert signal.status[0] == Status.FAILED
    assert signal.reasons[0] == "SandboxError: no room"


def test_workers_agree_with_one_process() -> None:
    programs = [GOOD, "def f(x): return x", "import os; os._exit(0)", "def f(x): return 2"] * 2
    samples = [Chat("", fenced(program), reference=TESTS) for program in programs]
    reward = guerdon.load_reward("code_tests", reduce="fraction", seconds=3)
    alone = guerdon.score(reward, samples)
    assert alone.outcome.tolist() == [1.0, 0.0, 0.0, 0.5] * 2
    assert guerdon.score(reward, samples, workers=2, timeout=60).outcome.tolist() == alone.outcome.tolist()


@pytest.mark.parametrize(
    "options", [{"reduce": "mean"}, {"take": "second"}, {"compare": "fuzzy"}, {"seconds": 0}, {"memory": -1}]
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        CodeTests(**options)
