import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from easq.errors import InputError
from easq.features.columns import UNKNOWN
from easq.log.events import Answered, Request
from easq.log.ids import stable_id
from easq.sources.datasets.eeg_svrec import load_eeg_svrec
from tests.support.small_datasets import (
    MINUTE,
    NOON,
    data_folder,
    eeg_svrec,
    eeg_view,
    events_of,
    floats_in,
    ids_in,
    requests_of,
    short,
)


def test_every_rated_view_is_asked_and_answered_when_it_ends(tmp_path: Path) -> None:
    views = {
        "10": eeg_view(NOON + MINUTE, 28, satisf=3, like=1, like_time=NOON),
        "11": eeg_view(NOON, 39, satisf=1),
    }
    loaded = load_eeg_svrec(eeg_svrec(tmp_path, {"01": views}))
    done = {"play_ms": 39000.0, "play_ratio": pytest.approx(0.975), "long_view": 1.0, "finish": 1.0}
    then = {"play_ms": 28000.0, "play_ratio": pytest.approx(0.7), "long_view": 1.0, "like": 1.0}
    assert [short(event) for event in events_of(loaded)] == [
        ("request", "1", NOON, ["11", "10"]),
        ("behavior", "1", NOON + 39000, ["11"], done),
        ("asked", "1", NOON + 39000, "11", 1.0),
        ("answered", "1", NOON + 39000, "11", "dissatisfied", 1.0),
        ("behavior", "1", NOON + MINUTE + 28000, ["10"], then),
        ("asked", "1", NOON + MINUTE + 28000, "10", 1.0),
        ("answered", "1", NOON + MINUTE + 28000, "10", "uncertain", 1.0),
    ]


def test_features_are_those_known_before_the_view(tmp_path: Path) -> None:
    views = {
        "10": eeg_view(NOON, preference="random", session_mode="mixed", video_order=4),
        "99": eeg_view(NOON + MINUTE, video_tag=8, session_mode="mixed"),
    }
    (request,) = requests_of(load_eeg_svrec(eeg_svrec(tmp_path, {"01": views})))
    assert [ids_in(request, name) for name in ("user_id", "gender", "usage", "hour")] == [[1], [2], [4], [12]]
    assert floats_in(request, "age") == [23.0]
    assert ids_in(request, "session_mode") == [stable_id("mixed")]
    assert ids_in(request, "item_id") == [10, 99]
    assert ids_in(request, "video_tag") == [7, 8]
    assert ids_in(request, "preference") == [stable_id("random"), UNKNOWN]
    assert ids_in(request, "audio_category") == [stable_id("Music"), UNKNOWN]
    assert floats_in(request, "duration_s") == [40.0, 40.0]
    assert floats_in(request, "video_order") == [4.0, 1.0]
    assert floats_in(request, "music_tempo") == [120.5, None]
    assert floats_in(request, "entropy") == [None, None]
    names = request.viewer.keys() | request.candidates.keys()
    assert not {"immersion", "valance", "arousal", "satisf", "visual", "auditory", "like"} & names


def test_a_viewer_who_is_not_among_the_participants_is_kept(tmp_path: Path) -> None:
    (request,) = requests_of(load_eeg_svrec(eeg_svrec(tmp_path, {"31": {"10": eeg_view(NOON)}})))
    assert request.user_id == "31"
    assert ids_in(request, "gender") == [UNKNOWN]
    assert floats_in(request, "age") == [None]


def test_histories_of_items_and_tags_span_sessions(tmp_path: Path) -> None:
    views = {
        "10": eeg_view(NOON, session_id=1),
        "11": eeg_view(NOON + MINUTE, session_id=2, video_tag=8),
        "12": eeg_view(NOON + 2 * MINUTE, session_id=3),
    }
    requests = requests_of(load_eeg_svrec(eeg_svrec(tmp_path, {"01": views})))
    assert [r.items for r in requests] == [["10"], ["11"], ["12"]]
    assert [ids_in(r, "recent_items") for r in requests] == [[], [10], [10, 11]]
    assert [ids_in(r, "recent_tags") for r in requests] == [[], [7], [7, 8]]


def test_interest_stands_for_satisfaction_where_that_is_absent(tmp_path: Path) -> None:
    view = eeg_view(NOON, interest=5)
    del view["satisf"]
    loaded = load_eeg_svrec(eeg_svrec(tmp_path, {"01": {"10": view}}))
    assert [e.option for e in events_of(loaded) if isinstance(e, Answered)] == ["satisfied"]


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    text = ",".join(
        f'"{item}": {json.dumps(view)}'
        for item, view in [
            ("10", eeg_view(NOON)),
            ("10", eeg_view(NOON)),
            ("10", eeg_view(NOON + MINUTE)),
            ("11", eeg_view(NOON, satisf=7)),
            ("12", eeg_view(NOON, satisf=None)),
            ("13", eeg_view(NOON, seconds=-1)),
            ("14", eeg_view(NOON, video_duration=0)),
            ("16", eeg_view(NOON, seconds=90_000)),
            ("17", eeg_view(NOON, like=1e13)),
            ("15", None),
            ("x", eeg_view(NOON)),
        ]
    )
    loaded = load_eeg_svrec(eeg_svrec(tmp_path, {"01": f"{{{text}}}"}))
    assert loaded.rejects.rows == {
        "duplicate": 1,
        "ends_before_start": 1,
        "bad_end_time": 1,
        "bad_like": 1,
        "bad_video_duration": 1,
        "missing_start_time": 1,
        "bad_item_id": 1,
    }
    assert loaded.rejects.answers == {"bad_satisf": 1}
    assert (loaded.rejects.read, loaded.rejects.used) == (11, 4)
    kinds = Counter(short(event)[0] for event in events_of(loaded))
    assert kinds == {"request": 2, "behavior": 4, "asked": 2, "answered": 2}


def test_wrong_paths_and_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no does not exist; expected a folder with \*_behavior_MAES\.json"):
        load_eeg_svrec(tmp_path / "no")
    with pytest.raises(InputError, match=r"holds no \*_behavior_MAES\.json; .* found nothing"):
        load_eeg_svrec(tmp_path)
    view = {key: value for key, value in eeg_view(NOON).items() if key not in ("satisf", "end_time")}
    with pytest.raises(InputError, match=r"lacks end_time, satisf; its columns are .*start_time"):
        load_eeg_svrec(eeg_svrec(tmp_path, {"01": {"10": view}}))
    with pytest.raises(InputError, match="must hold one object"):
        load_eeg_svrec(eeg_svrec(tmp_path, {"01": []}))
    with pytest.raises(InputError, match=r"01_behavior_MAES\.json is not JSON"):
        load_eeg_svrec(eeg_svrec(tmp_path, {"01": "{"}))
    with pytest.raises(InputError, match="must begin with the viewer's number"):
        load_eeg_svrec(eeg_svrec(tmp_path / "b", {"xx": {"10": eeg_view(NOON)}}))


def test_every_real_view_is_asked_and_answered() -> None:
    loaded = load_eeg_svrec(data_folder("eeg_svrec"))
    events = events_of(loaded)
    counts = Counter(type(event).__name__ for event in events)
    assert counts["Behavior"] == counts["Asked"] == counts["Answered"] == loaded.rejects.used
    assert loaded.rejects.read == loaded.rejects.used + loaded.rejects.rows.total()
    assert all(a.ts <= b.ts for a, b in pairwise(events))
    assert max(len(event.items) for event in events if isinstance(event, Request)) <= 20
