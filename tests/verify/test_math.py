"""`math`: verdicts of TRL where it is asked for them, of the record on real solutions, and a clear status on bad input."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guerdon.core.registry import create
from guerdon.core.samples import Chat
from guerdon.core.signal import Status
from guerdon.verify.math import MathAnswer
from guerdon.verify.math_numbers import plain_number, same_number


def verdict(completion: Any, reference: Any, **options: Any) -> float | str:
    """The outcome, or the reason why there is none."""
    signal = MathAnswer(**options)([Chat("", completion, reference=reference)])
    return float(signal.outcome[0]) if signal.status[0] == Status.OK else signal.reasons[0]


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


# -- verdicts of TRL ---------------------------------------------------------------------------------------------------

PLAIN = [
    "18",
    "-18",
    "018",
    "18.0",
    "18.",
    "+18",
    "1,234",
    "1234",
    "0,123",
    "12,34",
    "2.5",
    "2.50",
    ".5",
    "0.333333",
]
PLAIN += [
    "0.3333333",
    "2.0000001",
    "1/3",
    "2/6",
    "-1/3",
    "1/0",
    "18%",
    "18\\%",
    "0.18",
    "1e5",
    "1 234",
    "",
    " ",
    "−7",
]
FORMULAS = [
    r"\frac{1}{3}",
    r"\frac{2}{6}",
    r"-\frac{1}{3}",
    r"\dfrac{1}{3}",
    r"\frac13",
    r"1\frac{1}{2}",
    r"\sqrt{2}",
]
FORMULAS += [
    "4a-2",
    "-2+4a",
    "x=5",
    "5",
    r"7\pi",
    "(1,2)",
    "1,2",
    r"\{1,2\}",
    r"\text{yes}",
    "yes",
    r"5 \text{ cm}",
    "3!",
]
FORMULAS += [r"\frac{1}{0}", r"\infty", r"\boxed{5}", "\ud800", "A", "x^2+1", r"\$18", "1{,}234"]
ANSWERS = st.sampled_from(PLAIN + FORMULAS)
PLACES = [
    r"\boxed{%s}",
    r"$\boxed{%s}$",
    r"\(\boxed{%s}\)",
    r"\[ x = \boxed{%s} \]",
    "$%s$",
    "answer: $%s$",
    "%s",
]
PLACES += [
    "The final answer is $%s$. I hope it is correct.",
    r"$$\boxed{%s}$$",
    r"\fbox{%s}",
    r"\boxed %s",
    r"\boxed{%s",
]
BETWEEN = [
    "",
    " ",
    "\n",
    "$",
    r"\)",
    r"\]",
    "%",
    "}",
    " and ",
    ", ",
    " percent",
    ".",
    "costs $2 ",
    "\n\nSo, ",
    "= ",
    " [",
]
BETWEEN += [
    " I hope it is correct.",
    "\n a longer stretch of text that keeps two boxes more than seventy characters apart ",
]
PLACED = st.builds(lambda place, answer: place.replace("%s", answer), st.sampled_from(PLACES), ANSWERS)
TEXTS = st.lists(st.one_of(PLACED, st.sampled_from(BETWEEN)), min_size=1, max_size=6).map("".join)
CERTAIN = st.builds(
    lambda head, place, answer: head + place.replace("%s", answer),
    TEXTS,
    st.sampled_from(PLACES[:4]),
    ANSWERS,
)


def trl_verdict(completion: str, reference: str) -> float | None:
    rewards = pytest.importorskip("trl.rewards")
    return rewards.accuracy_reward([[{"role": "assistant", "content": completion}]], [reference])[0]


def assert_as_trl(completion: str, reference: str) -> None:
    signal = MathAnswer(extract="latex")([Chat("", completion, reference=reference)])
    assert signal.status[0] != Status.FAILED, signal.reasons
    ours = None if signal.status[0] == Status.ABSTAINED else float(signal.outcome[0])
    assert ours == trl_verdict(completion, reference)


@settings(max_examples=250, deadline=None)
@given(st.one_of(TEXTS, CERTAIN), st.one_of(ANSWERS, TEXTS))
def test_latex_says_what_trl_says(completion: str, reference: str) -> None:
    assert_as_trl(completion, reference)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from(PLACES[:4]), ANSWERS)
def test_latex_says_what_trl_says_of_the_reference_itself(head: str, place: str, answer: str) -> None:
    assert_as_trl(head + place.replace("%s", answer), answer)


@pytest.mark.parametrize(
    "completion",
    [
        r"$\boxed{3}$ and $\boxed{5}$",
        r"\boxed{3}, \boxed{5}",
        r"\boxed{5} \boxed{5}",
        "\\[\\boxed{3}\n is one more of the long lines that stand between two boxes of one formula \\boxed{5}\\]",
        "$$\\boxed{3}\n is one more of the long lines that stand between two boxes of one formula \\boxed{5}$$",
        "$\\boxed{3}$,\n" + " " * 80 + "$\\boxed{5}$",
        "\\boxed{3}\n is wrong, and after some more lines of thought, which are long enough, we find \\boxed{5}",
        r"\boxed{3}. The final answer is $5$. I hope it is correct.",
        r"$\boxed{5}$% of all",
        r"$\boxed{5}$ is 100% right",
        r"\boxed{\boxed{5}}",
        r"\boxed{5} and then {a} brace",
        "\\boxed{3}\n\\boxed{5}",
        r"$\fbox{3} \boxed{5}$",
        r"The final answer is $3$. I hope it is correct. \boxed{5} \boxed{5}",
    ],
)
@pytest.mark.parametrize("reference", ["5", r"$\{3,5\}$", "3", "0.05"])
def test_latex_picks_the_place_that_trl_picks(completion: str, reference: str) -> None:
    assert_as_trl(completion, reference)


@pytest.mark.parametrize(
    ("completion", "reference"),
    [
        (r"\boxed{-7}", "-007"),
        (r"\boxed{-1/2}", "-01/2"),
        (r"\boxed{20\%}", "20"),
        (r"\boxed{-20\%}", "-20"),
        (r"\boxed{2,000\%}", "2000"),
        (r"\boxed{50.0\%}", "50"),
        (r"\boxed{100\%}", "1"),
        (r"\boxed{4\%}", r"\frac{4}{1}"),
    ],
)
def test_latex_reads_odd_numbers_as_trl_reads_them(completion: str, reference: str) -> None:
    assert_as_trl(completion, reference)


WHOLE = st.integers(-(10**6), 10**6)
DECIMALS = st.builds(lambda n, places: f"{Decimal(n).scaleb(-places):f}", WHOLE, st.integers(1, 9))
FRACTIONS = st.builds(lambda top, bottom: f"{top}/{bottom}", WHOLE, st.integers(1, 999))
NUMBERS = st.one_of(WHOLE.map(str), WHOLE.map("{:,}".format), DECIMALS, FRACTIONS)


@st.composite
def close_numbers(draw: st.DrawFn) -> tuple[str, str]:
    """A number, and one of equal or nearly equal value in another form."""
    gold = draw(NUMBERS)
    value = Fraction(gold.replace(",", "")) + draw(
        st.sampled_from([0, 0, Fraction(1, 10**6), Fraction(1, 10**7), 1])
    )
    forms = [f"{value.numerator}/{value.denominator}", f"{3 * value.numerator}/{3 * value.denominator}"]
    forms += [
        f"{float(value):.6f}",
        f"{float(value):.8f}",
        f"{value.numerator:,}",
        f"{float(value) * 100:.4f}%",
    ]
    return gold, draw(st.one_of(st.sampled_from(forms), NUMBERS))


@settings(max_examples=200, deadline=None)
@given(close_numbers())
def test_plain_numbers_are_compared_as_trl_compares_them(pair: tuple[str, str]) -> None:
    gold, answer = pair
    assert_as_trl(rf"\boxed{{{answer}}}", gold)


@settings(max_examples=200, deadline=None)
@given(close_numbers(), st.integers(0, 6))
def test_exact_comparison_is_math_verifys_at_any_rounding(pair: tuple[str, str], places: int) -> None:
    from math_verify import parse, verify

    gold, answer = map(plain_number, pair)
    if gold is None or answer is None:
        return
    same = same_number(gold, answer, places)
    if same is not None:
        boxed = [parse(rf"\boxed{{{text}}}", parsing_timeout=0) for text in pair]
        assert same == verify(*boxed, float_rounding=places, timeout_seconds=0)


# -- verdicts of the record --------------------------------------------------------------------------------------------

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def test_agrees_with_every_recorded_grade_school_solution(shared_data: Path) -> None:
    records = rows(shared_data / "gsm8k_model_solutions.jsonl.gz")
    samples = [
        Chat(r["question"], r[m]["solution"], reference=r["ground_truth"]) for r in records for m in MODELS
    ]
    signal = create("math")(samples)
    assert len(samples) == 4 * 660
    assert signal.outcome.tolist() == [float(r[m]["is_correct"]) for r in records for m in MODELS]


@pytest.mark.parametrize("column", ["gt", "gt_cot"])
def test_agrees_with_every_recorded_competition_solution(shared_data: Path, column: str) -> None:
    records = rows(shared_data / "math_rm_at_8.jsonl.gz")
    samples = [Chat(r["question"], code, reference=r[column]) for r in records for code in r["code"]]
    assert MathAnswer()(samples).outcome.tolist() == [float(right) for r in records for right in r["score"]]


def test_agrees_with_every_recorded_program(shared_data: Path) -> None:
    records = rows(shared_data / "tora_gsm8k_tora_70b.jsonl.gz")
    samples = [Chat(r["question"], r["code"][0], reference=r["gt"]) for r in records]
    right = [float(r["gt"].replace(",", "") == r["pred"][0].replace(",", "")) for r in records]
    assert MathAnswer()(samples).outcome.tolist() == right


def test_latex_says_what_trl_says_of_recorded_solutions(shared_data: Path) -> None:
    for r in rows(shared_data / "math_rm_at_8.jsonl.gz")[::5]:
        for code in r["code"]:
            assert_as_trl(code, r["gt"])
    for r in rows(shared_data / "tora_gsm8k_tora_70b.jsonl.gz")[::40]:
        assert_as_trl(r["code"][0], r["gt"])


# -- places ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("completion", "reference"),
    [
        ("42", "42"),
        ("**42**", 42),
        ("Let me see.\nA: 42", "Steps with 7 numbers.\nA: 42"),
        ("so 6 * 7 = 42\n#### 42", "6 * 7 = <<6*7=42>>42\n#### 42"),
        ("The answer is 42. I checked it with 7.", "42"),
        ("## Final Answer:\n\n**42**", "42"),
        ("<think>41?</think><answer> 42 </answer>", "42"),
        ("```python\nprint(42)\n```\n```output\n42.0\n```\nForty-two.", "42"),
        ("Answer: $1,234.50", "1234.5"),
        ("A: 18 dollars a day.", "$18"),
        ("The answer is $\\frac{1}{2}$, as $1+1=2$.", "0.5"),
        ("A:\n$$\n\\frac{1}{2}\n$$", "1/2"),
        (r"\boxed{-2+4a}", "4a-2"),
        ("The answer is 4a - 2.", "4a-2"),
        (r"\boxed{12 \frac{3}{5}}", r"12\frac{3}{5}"),
        (r"\boxed{35.0\%}", "35"),
        (r"\boxed{35\%}", "0.35"),
        (r"\boxed{2.5}", r"2.5\%"),
        (r"\boxed{\text{Evelyn}}", "Evelyn"),
        (r"\boxed{(1,2)}", "(1,2)"),
        (r"\boxed{5}. A: 6", "5"),
        ("The answer is 5.\nNo, the answer is 6.", "6"),
    ],
)
def test_auto_finds_the_answer(completion: str, reference: str) -> None:
    assert verdict(completion, reference) == 1.0


@pytest.mark.parametrize(
    ("completion", "reference"),
    [
        ("", "42"),
        ("I had 42 of them, then 7.", "42"),
        ("A: 41", "42"),
        ("A:", "42"),
        ("A: 42 and then it breaks off\nA: ", "42"),
        ("A: -1.8 billion", "-1.8"),
        ("The answer is not 42", "42"),
        ("The answer is 42 million.", "42"),
        ("The answer is between 41 and 42.", "42"),
        (r"\boxed{4}", "4a-2"),
        (r"\boxed{0.5\%}", "50%"),
        (r"\boxed{5000\%}", "50%"),
        (r"\boxed{\frac{3}{5}}", r"12\frac{3}{5}"),
        ("A: " + "1+" * 400 + "1", "401"),
        (r"\boxed{42} then \boxed{41}", "42"),
    ],
)
def test_auto_takes_nothing_else_for_the_answer(completion: str, reference: str) -> None:
    assert verdict(completion, reference) == 0.0


def test_latex_needs_latex() -> None:
    assert verdict("A: 42", "42", extract="latex") == 0.0
    assert verdict(r"A: \boxed{42}", "42", extract="latex") == 1.0


def test_the_last_turn_answers() -> None:
    turns = [{"role": "assistant", "content": r"\boxed{1}"}, {"role": "user", "content": "Sure?"}]
    assert verdict([*turns, {"role": "assistant", "content": r"\boxed{2}"}], "2") == 1.0
    assert verdict([*turns, {"role": "assistant", "content": None}], "1") == 0.0


def test_float_rounding_says_how_many_decimals_count() -> None:
    assert verdict(r"\boxed{0.3333}", "0.333333") == 0.0
    assert verdict(r"\boxed{0.3333}", "0.333333", float_rounding=3) == 1.0
    assert verdict(r"\boxed{0.33}", r"\frac{1}{3}", float_rounding=2) == 1.0


def test_window_bounds_what_is_searched() -> None:
    assert verdict(r"\boxed{5}" + " and so on" * 10, "5", window=50) == 0.0
    assert verdict("and so on " * 10 + r"\boxed{5}", "5", window=50) == 1.0


# -- references --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [7, 7.0, np.int64(7), np.float32(7), Decimal("7.0"), Fraction(14, 2), "7", ["8", 7], ("7", "x")],
)
def test_a_reference_is_text_a_number_or_a_list_of_right_ones(reference: Any) -> None:
    assert verdict(r"\boxed{7}", reference) == 1.0
    assert verdict(r"\boxed{9}", reference) == 0.0


def test_small_floats_are_not_read_as_their_mantissa() -> None:
    assert verdict(r"\boxed{1}", 1e-7) == 0.0
    assert verdict(r"\boxed{0.00025}", 2.5e-4) == 1.0


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (None, "missing"),
        ([], "empty list"),
        ({"answer": 7}, "or a list of those, got dict"),
        (True, "got bool"),
        (["7", None], "got NoneType"),
        (b"7", "got bytes"),
        pytest.param(10**5000, "4300 digits", id="huge"),
        (float("nan"), "expected a finite number, got nan"),
        (float("inf"), "expected a finite number, got inf"),
        (np.float64("nan"), "expected a finite number, got nan"),
        (Decimal("NaN"), "expected a finite number, got NaN"),
        ("", "no answer can be read"),
        (" \n ", "no answer can be read"),
        (["", " "], "no answer can be read"),
    ],
)
@pytest.mark.parametrize("completion", [r"\boxed{7}", "no idea at all"])
def test_abstains_where_the_reference_is_no_answer(completion: str, reference: Any, reason: str) -> None:
    signal = MathAnswer()([Chat("", completion, reference=reference)])
    assert signal.status[0] == Status.ABSTAINED
    assert reason in signal.reasons[0]


def test_an_unreadable_reference_among_readable_ones_is_passed_over() -> None:
    assert verdict(r"\boxed{7}", ["", "7"]) == 1.0
    assert verdict(r"\boxed{8}", ["", "7"]) == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extract": "boxed"}, "math.extract: expected one of auto, latex, got 'boxed'"),
        ({"float_rounding": -1}, "math.float_rounding: expected an integer of at least 0, got -1"),
        ({"window": 0}, "math.window: expected an integer of at least 1, got 0"),
        ({"window": True}, "math.window"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MathAnswer(**options)


# -- nasty input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extract", ["auto", "latex"])
@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (r"\boxed{" * 10_000 + "5" + "}" * 10_000, 1.0),
        (r"\boxed{" * 10_000, 0.0),
        ("}" * 10_000 + "{" * 10_000, 0.0),
        ("x" * 10_000_000 + r"\boxed{5}", 1.0),
        ("$" * 10_000_000, 0.0),
        ("answer is " * 1_000_000, 0.0),
        ("7" * 10_000_000, 0.0),
        (r"\boxed{" + "7" * 5_000 + "}", 0.0),
        ("\ud800\\boxed{5}\udfff", 1.0),
        ("\x00", 0.0),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_nasty_completions_get_a_clear_verdict(completion: str, expected: float, extract: str) -> None:
    assert verdict(completion, "5", extract=extract) == expected


@pytest.mark.parametrize("bracket", ["{", "(", "[ "])
def test_brackets_that_no_parser_ends_fail_with_a_reason(bracket: str) -> None:
    assert "over 12 brackets" in str(verdict(r"\boxed{" + bracket * 5_000 + "5}", "5"))
    assert "over 12 brackets" in str(verdict(r"\boxed{5}", bracket * 100 + "x"))


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60), st.text(max_size=20))
def test_any_text_is_scored_or_abstained_on(completion: str, reference: str) -> None:
    signal = MathAnswer()([Chat("", completion, reference=reference)])
    assert signal.status[0] in (Status.OK, Status.ABSTAINED), signal.reasons


def run_python(code: str) -> tuple[str, str]:
    """What a fresh process printed and complained of."""
    lines = "from guerdon.core.samples import Chat\nfrom guerdon.verify.math import MathAnswer\n" + code
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr


def test_works_off_the_main_thread_and_says_nothing() -> None:
    printed, complaints = run_python(
        "import threading\n"
        "pairs = [(r'\\boxed{(x+1)^2}', '$x^2+2x+1$'), ('answer: $1,2$%', '$3$'), (r'\\boxed{}}', r'$\\sqrt{$')]\n"
        "samples = [Chat('', completion, reference=reference) for completion, reference in pairs]\n"
        "thread = threading.Thread(target=lambda: print(MathAnswer()(samples).outcome.tolist()))\n"
        "thread.start(); thread.join()"
    )
    assert (printed, complaints) == ("[1.0, 0.0, 0.0]", "")


def test_plain_numbers_need_no_computer_algebra() -> None:
    printed, _ = run_python(
        "import sys\n"
        "samples = [Chat('', r'so \\boxed{18}', reference='18'), Chat('', 'A: 7', reference='x\\nA: 8')]\n"
        "print(MathAnswer()(samples).outcome.tolist(), 'sympy' in sys.modules, 'math_verify' in sys.modules)"
    )
    assert printed == "[1.0, 0.0] False False"
