"""The report: one file, no request, equal bytes, and words where there is nothing to draw."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from easq.prove.report.write import write_report
from tests.support.run_result import plain_result, point, result, silent


class Page(HTMLParser):
    """The tags of a page, what it would fetch, and its text outside scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str | None] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [v for k, v in attrs if k in ("src", "href", "srcset", "data", "action", "poster")]

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.text += data


def read(results: list[dict[str, Any]], folder: Path) -> Page:
    path = folder / "report.html"
    write_report(results, path)
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return page


def test_report_is_one_file_that_asks_for_nothing(tmp_path: Path) -> None:
    page = read([result()], tmp_path)
    assert page.fetched == []
    assert not {"link", "img", "iframe"} & set(page.tags)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    content = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in content
    assert "@import" not in content[: content.index("</style>")]
    assert content.count("plotly.js v") == 1


def test_report_holds_the_numbers(tmp_path: Path) -> None:
    text = read([result()], tmp_path).text
    assert "EASQ on world" in text
    assert "Are you satisfied?" in text
    for number in (
        "12,000",
        "720",
        "600.0",
        "0.6423",
        "0.6323 to 0.6523",
        "0.7000",
        "4,321",
        "9,876",
        "+46.0",
    ):
        assert number in text
    assert "6.25\xa0%" in text
    assert "10.0 points over 12,375 pairs" in text
    assert "goes 36\xa0% of the way" in text


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.html", tmp_path / "second.html"
    write_report([result("behavior"), result()], first)
    write_report([result("behavior"), result()], second)
    assert first.read_bytes() == second.read_bytes()


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = '</script><img src="https://example.org/x" onerror=alert(1)>'
    question = {"name": "q", "text": evil, "options": [evil, "good"]}
    curve = [{**point("easq", n), f"said.{evil}": 40.0, f"shown.{evil}": 90.0} for n in range(12)]
    metrics = {**plain_result()["metrics"], f"auc/{evil}": {"value": 0.5, "low": 0.4, "high": 0.6}}
    validity = {
        f"validity/{o}/{b}": {"value": 2.0, "low": 1.0, "high": 3.0} for o in (evil, "good") for b in (evil,)
    }
    changes = {"name": evil, "question": question, "behaviors": [evil], "curve": curve, "validity": validity}
    collisions = {evil: {"rows": 1, "taken": 1, "lookups": 1, "collided_share": 0.0}}
    hostile = result(**changes, metrics=metrics, collisions=collisions, counts={evil: 3})
    page = read([hostile, result("behavior")], tmp_path)
    assert page.fetched == []
    assert "img" not in page.tags
    assert evil in page.text
    assert page.tags.count("script") == page.tags.count("figure") + 2


def test_runs_stand_side_by_side(tmp_path: Path) -> None:
    page = read([result("behavior"), result()], tmp_path)
    assert "Behavior only and EASQ on world" in page.text
    assert "Behavior only has no satisfaction experts" in page.text
    assert "Behavior only claims nothing" in page.text
    assert "0.6123" in page.text
    assert "0.6423" in page.text
    assert "Take care" not in page.text
    alone = read([result()], tmp_path)
    assert page.tags.count("figure") == alone.tags.count("figure")


def test_runs_of_different_logs_get_a_warning(tmp_path: Path) -> None:
    page = read([result("behavior"), result(views=5, name="other")], tmp_path)
    assert "Take care" in page.text
    assert "What viewers answered: EASQ" in page.text


def test_runs_with_different_references_get_a_warning(tmp_path: Path) -> None:
    metrics = plain_result()["metrics"]
    metrics["popularity/sat/auc"]["value"] += 0.1
    other = result(metrics=metrics)
    assert "Take care" in read([result("behavior"), other], tmp_path).text


def test_an_empty_log_is_reported_in_words(tmp_path: Path) -> None:
    page = read([silent()], tmp_path)
    assert "figure" not in page.tags
    assert page.text.count("too few to see") == 1
    for words in (
        "Nobody can say",
        "holds no answers",
        "led to no step",
        "claimed nothing",
        "no hashed features",
    ):
        assert words in page.text


def test_a_log_without_answers_keeps_its_behavior(tmp_path: Path) -> None:
    without = (
        "answers",
        "said.satisfied",
        "said.dissatisfied",
        "said.uncertain",
        "answer_pairs",
        "answer_pairs_right",
    )
    curve = [{**point("behavior", n), **dict.fromkeys(without, 0.0)} for n in range(12)]
    metrics = {n: m for n, m in plain_result("behavior", truth=False)["metrics"].items() if "sat/" not in n}
    page = read([result("behavior", curve=curve, metrics=metrics, validity={}, answers=0)], tmp_path)
    assert "no ranking can be held against them" in page.text
    assert "answers cannot be held against behavior" in page.text
    assert "Against what viewers did" in page.text
    assert "figure" in page.tags


@pytest.mark.parametrize("empty", [None, float("0.62")])
def test_a_metric_without_interval_is_shown(tmp_path: Path, empty: float | None) -> None:
    metrics = {**plain_result()["metrics"], "sat/auc": {"value": empty, "low": None, "high": None}}
    text = read([result(metrics=metrics)], tmp_path).text
    assert ("no interval" in text) == (empty is not None)


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one run"):
        write_report([], tmp_path / "report.html")


def test_a_dead_answer_path_is_said(tmp_path: Path) -> None:
    dead = {"signal.pairs": 3.0, "signal_steps.pairs": 1.0, "signal.spread": 0.0, "signal_steps.spread": 1.0}
    page = read([result(curve=[{**point("easq", n), **dead} for n in range(12)])], tmp_path)
    assert "EASQ is not trained: The satisfaction score is the same for every row" in page.text
    assert "Is the answer path alive?" not in read([result()], tmp_path).text
