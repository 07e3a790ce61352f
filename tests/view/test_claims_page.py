import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from guerdon.claims import run_claim
from guerdon.view.claims import plot, write_claims_page
from tests.claims.worlds import claim, slow


@pytest.fixture(scope="module")
def result():
    return run_claim(claim(remark="Only <two> numbers."), workers=1)


def test_the_page_shows_every_claim_with_verdict_numbers_and_plot(result, tmp_path):
    result.write(tmp_path)
    page = write_claims_page(tmp_path).read_text("utf-8")
    text = re.sub(r"<[^>]+>", " ", page)
    for expected in ("The method is better", "holds", "score: method higher than baseline + 0.5", "4 seeds"):
        assert expected in text
    assert page.count("<svg ") == 1
    assert "Only &lt;two&gt; numbers." in page
    assert "arxiv.org/abs/2504.14870" in page
    HTMLParser().feed(page)


def test_the_page_loads_nothing(result, tmp_path):
    result.write(tmp_path)
    page = write_claims_page(tmp_path, tmp_path / "out.html").read_text("utf-8")
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#|https://arxiv\.org/abs/)[^"]*://', page)


def test_a_claim_without_trials_is_still_on_the_page(tmp_path):
    run_claim(claim(slow, seeds=20), budget=0.01, workers=1).write(tmp_path)
    page = write_claims_page(tmp_path).read_text("utf-8")
    assert "No verdict:" in page
    assert "<svg" not in page


def test_a_plot_has_one_form_and_the_colour_of_the_page(result):
    assert plot(result) == plot(result)
    assert "currentColor" in plot(result)
    assert plot(result).startswith("<svg ")


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="guerdon claims run"):
        write_claims_page(tmp_path)


def test_a_curve_that_an_arm_lacks_is_drawn_for_the_others(result):
    arms = {
        name: replace(arm, curves={"score": [[(0.0, 1.0), (1.0, 2.0)] if name == "method" else []] * 4})
        for name, arm in result.arms.items()
    }
    drawn = plot(replace(result, arms=arms, axes={"score": ("step", "score over steps")}))
    assert "score over steps" in drawn
