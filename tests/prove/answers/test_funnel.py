"""The questionnaire's funnel: every step counted once, however often and wherever a reading stops."""

from pathlib import Path

import msgspec

from easq.log.events import EVENTS, Answered, Asked, Dismissed, Event, Offered
from easq.log.sqlite import SqliteLog
from easq.prove.answers.funnel import Funnel, read_funnel
from easq.prove.report.board_figures import funnel_bars, funnel_steps
from tests.support.small_worlds import small_recipe

RECIPE = small_recipe()


def about(number: int, kind: str) -> dict[str, object]:
    return {
        "event_id": f"{kind}{number}",
        "user_id": f"u{number}",
        "ts": number,
        "request_id": f"r{number}",
        "item_id": "i",
        "propensity": 0.5,
    }


def asked_events(number: int, option: str = "") -> list[Event]:
    """Return a view that was offered, asked, shown and answered, or dismissed."""
    name = RECIPE.question.name
    events: list[Event] = [
        Offered(**about(number, "o"), rate=0.5, question=name),  # type: ignore[arg-type]
        Asked(**about(number, "a"), question=name),  # type: ignore[arg-type]
    ]
    if option:
        return [*events, Answered(**about(number, "s"), question=name, option=option)]  # type: ignore[arg-type]
    return [*events, Dismissed(**about(number, "d"), question=name, ask_id=f"a{number}")]  # type: ignore[arg-type]


def gated(number: int, gate: str) -> list[Event]:
    return [Offered(**about(number, "o"), rate=0.5, gate=gate)]  # type: ignore[arg-type]


def test_each_step_is_counted_also_when_a_reading_continues_another(tmp_path: Path) -> None:
    first = [*asked_events(1, "satisfied"), *asked_events(2), *gated(3, "cool_down")]
    then = [*asked_events(4, "dissatisfied"), *gated(5, "cool_down"), *gated(6, "sampling")]
    with SqliteLog(tmp_path / "log") as log:
        log.append(EVENTS, first)
        before = msgspec.json.decode(msgspec.json.encode(read_funnel(RECIPE, log)), type=Funnel)
        log.append(EVENTS, then)
        result = read_funnel(RECIPE, log, before)
        assert result == read_funnel(RECIPE, log)
    assert [num for _, num, *_ in funnel_steps(result)][:4] == [6, 3, 3, 2]
    assert result.gates == {"cool_down": 2, "sampling": 1}
    assert result.answers == {"dissatisfied": 1, "uncertain": 0, "satisfied": 1}
    assert result.steps["dismissed"] == 1


def test_big_counts_are_written_with_their_share() -> None:
    answers = {"dissatisfied": 20_000_000, "uncertain": 1, "satisfied": 79_999_999}
    steps = {"offered": 10**12, "drawn": 5 * 10**9, "asked": 5 * 10**9, "answered": 10**8}
    drawn = funnel_bars(Funnel([], steps, {}, answers))
    texts = [note.text for note in drawn.layout.annotations]
    assert texts[1] == "5,000,000,000: 0.5 % of eligible"
    assert texts[3:5] == ["100,000,000: 2 % of shown", "79,999,999: 80 % of answers"]


def test_no_view_is_no_figure() -> None:
    assert funnel_bars(Funnel([], {}, {}, {"satisfied": 0})) is None
