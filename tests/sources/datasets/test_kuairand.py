import math
from collections import Counter
from pathlib import Path

import msgspec
import polars as pl
import pytest

from easq.errors import InputError
from easq.features.columns import UNKNOWN
from easq.log.events import Behavior, Request
from easq.log.ids import stable_id
from easq.log.packing import unpack_counts
from easq.sources.datasets.kuairand import FLAGS, load_kuairand
from easq.sources.datasets.request_cutter import GAP_MS
from tests.support.small_datasets import (
    DAY_MS,
    KUAIRAND_LOG,
    MINUTE,
    NOON,
    data_folder,
    events_of,
    floats_in,
    ids_in,
    kuairand,
    kuairand_features,
    kuairand_view,
    requests_of,
    short,
    write_csv,
)


def test_views_become_requests_behaviors_and_answers_in_event_time(tmp_path: Path) -> None:
    views = [
        kuairand_view(2, 11, NOON + 1000, is_hate=1, play_time_ms=0),
        kuairand_view(1, 11, NOON + 2 * MINUTE, play_time_ms=20000, long_view=1, is_click=1, is_like=1),
        kuairand_view(1, 10, NOON, is_comment=1),
    ]
    loaded = load_kuairand(kuairand(tmp_path, views))
    assert [short(event) for event in events_of(loaded)] == [
        ("request", "1", NOON, ["10", "11"]),
        ("request", "2", NOON + 1000, ["11"]),
        ("behavior", "2", NOON + 1000, ["11"], {}),
        ("answered", "2", NOON + 1000, "11", "dissatisfied", 1.0),
        ("behavior", "1", NOON + 5000, ["10"], {"play_ms": 5000.0, "play_ratio": 0.5, "comment": 1.0}),
        (
            *("behavior", "1", NOON + 2 * MINUTE + 20000, ["11"]),
            {"play_ms": 20000.0, "play_ratio": 2.0, "click": 1.0, "long_view": 1.0},
        ),
        ("answered", "1", NOON + 2 * MINUTE + 20000, "11", "satisfied", 1.0),
    ]
    requests = [event.event_id for event in events_of(loaded) if isinstance(event, Request)]
    assert requests == [f"kuairand:{NOON}:1:10:request", f"kuairand:{NOON + 1000}:2:11:request"]
    assert [e.request_id for e in events_of(loaded) if isinstance(e, Behavior)] == [
        *requests[::-1],
        requests[0],
    ]


def test_features_are_those_known_before_the_view(tmp_path: Path) -> None:
    views = [kuairand_view(1, 10, NOON, duration_ms=12500), kuairand_view(1, 11, NOON + 1, tab=0)]
    (request,) = requests_of(load_kuairand(kuairand(tmp_path, views)))
    assert ids_in(request, "user_id") == [1]
    assert ids_in(request, "user_active_degree") == [stable_id("full_active")]
    assert ids_in(request, "onehot_feat3") == [0]
    assert (ids_in(request, "hour"), ids_in(request, "weekday")) == ([12], [1])
    assert ids_in(request, "video_id") == [10, 11]
    assert ids_in(request, "author_id") == [110, 111]
    assert ids_in(request, "music_id") == [9107419068] * 2
    assert ids_in(request, "video_type") == [stable_id("NORMAL")] * 2
    assert ids_in(request, "tag") == [12, 65, 12, 65]
    assert unpack_counts(request.lengths["tag"]).tolist() == [2, 2]
    assert ids_in(request, "tab") == [1, 0]
    assert floats_in(request, "duration_s") == [12.5, 10.0]
    assert floats_in(request, "age_days") == [14.0, 14.0]
    outcomes = {"like", "hate", "play_ms", "play_ratio", *FLAGS}
    assert not outcomes & (request.viewer.keys() | request.candidates.keys())


def test_what_the_feature_files_do_not_hold_is_missing(tmp_path: Path) -> None:
    (request,) = requests_of(load_kuairand(kuairand(tmp_path, [kuairand_view(77, 999, NOON, tab="")])))
    assert ids_in(request, "user_id") == [77]
    assert ids_in(request, "user_active_degree") == [UNKNOWN]
    assert ids_in(request, "author_id") == ids_in(request, "tab") == [UNKNOWN]
    assert ids_in(request, "tag") == []
    assert unpack_counts(request.lengths["tag"]).tolist() == [0]
    assert floats_in(request, "age_days") == [None]
    assert floats_in(request, "duration_s") == [10.0]


def test_age_is_unknown_before_the_upload(tmp_path: Path) -> None:
    (request,) = requests_of(load_kuairand(kuairand(tmp_path, [kuairand_view(1, 10, NOON - 20 * DAY_MS)])))
    assert floats_in(request, "age_days") == [None]


def test_rejected_rows_are_counted_and_written_with_their_values(tmp_path: Path) -> None:
    views = [
        kuairand_view(1, 10, NOON),
        kuairand_view(1, 10, NOON),
        kuairand_view(1, 11, NOON, play_time_ms=-1),
        kuairand_view(1, 11, NOON, duration_ms=0),
        kuairand_view(1, 11, ""),
        kuairand_view(1, 11, "soon"),
        kuairand_view(1, 11, NOON * 1000),
        kuairand_view("", 11, NOON),
        kuairand_view(1, "x", NOON),
        kuairand_view(1, 11, NOON, is_click="yes"),
        kuairand_view(1, 11, NOON, is_follow=-124),
        kuairand_view(1, 11, NOON, is_comment=1e39),
        kuairand_view(1, 11, NOON, play_time_ms=10**9),
        kuairand_view(1, 12, NOON + 1, is_like=1, is_hate=1),
        kuairand_view(1, 12, NOON + 2, is_like="maybe"),
    ]
    file = tmp_path / "out" / "rejects.jsonl"
    loaded = load_kuairand(kuairand(tmp_path / "data", views), file)
    assert loaded.rejects.rows == {
        "duplicate": 1,
        "bad_play_time_ms": 2,
        "bad_duration_ms": 1,
        "missing_time_ms": 1,
        "bad_time_ms": 1,
        "in_the_future_time_ms": 1,
        "missing_user_id": 1,
        "bad_video_id": 1,
        "bad_is_click": 1,
        "bad_is_follow": 1,
        "bad_is_comment": 1,
    }
    assert loaded.rejects.answers == {"like_and_hate": 1, "bad_is_like": 1}
    assert (loaded.rejects.read, loaded.rejects.used) == (15, 3)
    lines = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    assert [line["row"] for line in lines] == list(range(2, 16))
    assert {line["source"] for line in lines} == {"data/log_standard_x.csv"}
    assert lines[1]["reason"] == "bad_play_time_ms"
    assert lines[1]["values"]["play_time_ms"] == "-1"
    assert not any(short(event)[0] == "answered" for event in events_of(loaded))


def test_of_repeated_rows_the_longest_play_stays_whatever_the_order(tmp_path: Path) -> None:
    views = [kuairand_view(1, 10, NOON, play_time_ms=play) for play in (3000, 9000, 5000)]
    there = load_kuairand(kuairand(tmp_path / "a", views))
    back = load_kuairand(kuairand(tmp_path / "b", views[::-1]))
    assert events_of(there) == events_of(back)
    assert short(events_of(there)[1])[4]["play_ms"] == 9000.0
    assert there.rejects.rows == {"duplicate": 2}


def test_a_request_ends_at_a_pause_at_twenty_items_and_at_a_repeated_item(tmp_path: Path) -> None:
    pause = [
        kuairand_view(1, 10, NOON),
        kuairand_view(1, 11, NOON + GAP_MS - 1),
        kuairand_view(1, 12, NOON + 2 * GAP_MS),
    ]
    many = [kuairand_view(2, 100 + n, NOON + n) for n in range(45)]
    repeated = [kuairand_view(3, video, NOON + n) for n, video in enumerate((10, 11, 10, 12, 11, 10))]
    requests = requests_of(load_kuairand(kuairand(tmp_path, pause + many + repeated)))
    items = {user: [r.items for r in requests if r.user_id == user] for user in "123"}
    assert items["1"] == [["10", "11"], ["12"]]
    assert [len(part) for part in items["2"]] == [20, 20, 5]
    assert items["3"] == [["10", "11"], ["10", "12", "11"], ["10"]]


def test_ids_written_as_floats_and_columns_that_are_new_do_no_harm(tmp_path: Path) -> None:
    view = kuairand_view("1.0", "10.0", f"{NOON}.0", is_like="", is_click="1.0", extra="x")
    kuairand_features(tmp_path)
    write_csv(tmp_path / "log_random_x.csv", [*KUAIRAND_LOG, "extra"], [view])
    loaded = load_kuairand(tmp_path)
    assert [short(event)[:4] for event in events_of(loaded)] == [
        ("request", "1", NOON, ["10"]),
        ("behavior", "1", NOON + 5000, ["10"]),
    ]
    assert ids_in(requests_of(loaded)[0], "author_id") == [110]


def parquet(root: Path, views: list[dict[str, object]], **sequences: list[object]) -> Path:
    kuairand_features(root)
    (root / "processed" / "splits").mkdir(parents=True)
    pl.DataFrame(views).write_parquet(root / "processed" / "splits" / "val.parquet")
    if sequences:
        pl.DataFrame(sequences).write_parquet(root / "processed" / "user_sequences.parquet")
    return root


def test_histories_begin_with_what_was_watched_before_the_logs(tmp_path: Path) -> None:
    views = [kuairand_view(user, 10, NOON) for user in (1, 2, 3)] + [
        kuairand_view(1, 11, NOON + GAP_MS, long_view=1)
    ]
    views.append(kuairand_view(1, 12, NOON + 2 * GAP_MS))
    root = parquet(
        tmp_path,
        views,
        user_id=[1, 2, 5],
        last_time_ms=[NOON - 1, NOON, NOON - 1],
        watch_seq=[[7, 8], [9], [9]],
        long_watch_seq=[[8], [9], []],
    )
    requests = requests_of(load_kuairand(root))
    recent = [(r.user_id, ids_in(r, "recent_videos"), ids_in(r, "long_viewed")) for r in requests]
    assert recent == [
        ("1", [7, 8], [8]),
        ("2", [], []),
        ("3", [], []),
        ("1", [7, 8, 10], [8]),
        ("1", [7, 8, 10, 11], [8, 11]),
    ]


def test_empty_sequences_and_no_sequences_are_the_same(tmp_path: Path) -> None:
    views = [kuairand_view(1, 10, NOON)]
    empty: dict[str, list[object]] = {name: [] for name in ("user_id", "last_time_ms", "watch_seq")}
    assert events_of(load_kuairand(parquet(tmp_path / "a", views, **empty))) == events_of(
        load_kuairand(parquet(tmp_path / "b", views))
    )


def test_sequences_of_another_kind_are_refused(tmp_path: Path) -> None:
    root = parquet(
        tmp_path, [kuairand_view(1, 10, NOON)], user_id=[1], last_time_ms=[1], watch_seq=["[7, 8]"]
    )
    with pytest.raises(InputError, match=r"user_sequences\.parquet cannot be read"):
        load_kuairand(root)


def test_where_both_forms_are_there_only_the_original_logs_are_read(tmp_path: Path) -> None:
    parquet(tmp_path, [kuairand_view(1, 10, NOON)], user_id=[1], last_time_ms=[1], watch_seq=[[7]])
    write_csv(tmp_path / "data" / "log_standard_x.csv", KUAIRAND_LOG, [kuairand_view(1, 11, NOON)])
    (request,) = requests_of(load_kuairand(tmp_path))
    assert request.items == ["11"]
    assert ids_in(request, "recent_videos") == []


def test_an_unfinished_play_is_not_in_the_history(tmp_path: Path) -> None:
    views = [
        kuairand_view(1, 10, NOON, long_view=1, play_time_ms=GAP_MS + 1),
        kuairand_view(1, 11, NOON + GAP_MS),
        kuairand_view(1, 12, NOON + 3 * GAP_MS),
    ]
    requests = requests_of(load_kuairand(kuairand(tmp_path, views)))
    assert [ids_in(r, "long_viewed") for r in requests] == [[], [], [10]]
    assert [ids_in(r, "recent_videos") for r in requests] == [[], [], [10, 11]]


def test_no_rows_make_no_events(tmp_path: Path) -> None:
    loaded = load_kuairand(kuairand(tmp_path, []))
    assert events_of(loaded) == []
    assert loaded.rejects.read == 0


def test_wrong_paths_and_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"nowhere does not exist; expected a folder with log_standard_\*\.csv"
    ):
        load_kuairand(tmp_path / "nowhere")
    (tmp_path / "x.txt").touch()
    with pytest.raises(InputError, match=r"holds no logs; expected .* found x\.txt"):
        load_kuairand(tmp_path)
    kuairand(tmp_path, [kuairand_view(1, 10, NOON)])
    (tmp_path / "data" / "user_features_1k.csv").touch()
    with pytest.raises(InputError, match="holds several user_features"):
        load_kuairand(tmp_path)
    for file in (tmp_path / "data").glob("user_features*"):
        file.unlink()
    with pytest.raises(InputError, match=r"holds no user_features\*\.csv"):
        load_kuairand(tmp_path)
    write_csv(tmp_path / "data" / "user_features_x.csv", ["user_id", "age"], [])
    with pytest.raises(
        InputError, match=r"user_features_x\.csv lacks user_active_degree, .*; its columns are user_id, age"
    ):
        load_kuairand(tmp_path)


def test_unreadable_logs_are_named(tmp_path: Path) -> None:
    kuairand(tmp_path, [])
    log = tmp_path / "data" / "log_standard_x.csv"
    log.write_text("")
    with pytest.raises(InputError, match=r"log_standard_x\.csv cannot be read: empty CSV"):
        load_kuairand(tmp_path)
    log.write_text(",".join(KUAIRAND_LOG) + "\n" + "1," * 40 + "\n")
    with pytest.raises(InputError, match=r"log_standard_x\.csv cannot be read: found more fields"):
        load_kuairand(tmp_path)


def test_the_real_logs_are_used_to_the_last_row(tmp_path: Path) -> None:
    folder = data_folder("kuairand_pure")
    loaded = load_kuairand(folder, tmp_path / "rejects.jsonl")
    rejects = loaded.rejects
    lost = Counter[str]()
    for line in (tmp_path / "rejects.jsonl").read_bytes().splitlines():
        lost[msgspec.json.decode(line)["reason"]] += 1
    assert lost == rejects.rows + rejects.answers
    counts: Counter[str] = Counter()
    last, seen = 0, set[str]()
    for chunk in loaded:
        assert len(chunk) < 5000
        for event in chunk:
            assert event.ts >= last
            last = event.ts
            seen.add(event.event_id)
            counts[type(event).__name__] += 1
            if isinstance(event, Request):
                assert len(set(event.items)) == len(event.items) <= 20
                assert len(event.candidates["video_id"]) == 8 * len(event.items)
    assert len(seen) == sum(counts.values())
    assert counts["Behavior"] == rejects.used
    assert rejects.read == rejects.used + rejects.rows.total()
    assert math.isclose(rejects.used / rejects.read, 0.95, abs_tol=0.05)
