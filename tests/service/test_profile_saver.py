"""Profiles are saved beside the serving, one save after the other, and the last one is not lost."""

from pathlib import Path

import pytest

from easq.features.profiles import Profiles
from easq.features.profiles.store import ProfileStore
from easq.log.packing import pack_ids
from easq.service.profile_saver import ProfileSaver
from tests.support.profile_platform import PARTITIONS, apply, item, nothing

FAR = [1 << 40] * (2 * PARTITIONS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "profiles.db"


def loaded(path: Path) -> Profiles:
    profiles = nothing()
    with ProfileStore(path) as store:
        assert store.load(profiles, FAR) is None
    return profiles


def test_saves_are_written_in_their_order_and_the_last_one_is_waited_for(path: Path) -> None:
    profiles = nothing()
    with ProfileStore(path) as store, ProfileSaver(store) as saver:
        store.load(profiles, FAR)
        for n in range(5):
            apply(profiles, item("i0", author=pack_ids([n])), *(item(f"i{n}{m}") for m in range(2000)))
            saver.save(profiles)
    back = loaded(path)
    assert back.offsets == profiles.offsets
    assert back.item_values("i0") == profiles.item_values("i0") == {"author": pack_ids([4])}
    assert back.item_values("i41999") is not None


def test_a_save_that_fails_is_made_up_for_by_the_next(path: Path) -> None:
    profiles, store = nothing(), ProfileStore(path)
    store.load(profiles, FAR)
    with ProfileSaver(store) as saver:
        store.close()  # nothing can be written now
        apply(profiles, item("i0", author=pack_ids([7])))
        saver.save(profiles)
    store._open(nothing(), FAR)
    with ProfileSaver(store) as saver:
        saver.save(profiles)
    store.close()
    assert loaded(path).item_values("i0") == {"author": pack_ids([7])}


def test_writing_pauses_every_few_rows(path: Path) -> None:
    profiles, pauses = nothing(), 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1

    with ProfileStore(path) as store:
        store.load(profiles, FAR)
        apply(profiles, *(item(f"i{n}") for n in range(2560)))
        store.write(store.snapshot(profiles), pause)
    assert pauses == 2 * 10  # when they are packed, and when they are written
