"""A platform with a known truth: who answers, how often, and how behavior follows from answers."""

from collections.abc import Callable, Iterator

import numpy as np

from easq.log.events import Answered, Asked, Behavior, Event, Request
from easq.log.packing import pack_floats, pack_ids
from easq.recipe.read import decode_recipe
from easq.recipe.recipe import Recipe

HOUR, START = 3_600_000, 1_700_000_000_000
OPTIONS = ("dissatisfied", "uncertain", "satisfied")

RECIPE: Recipe = decode_recipe(
    {
        "name": "known",
        "features": [
            {"name": "age", "kind": "numeric", "side": "viewer", "boundaries": [0.0]},
            {"name": "device", "kind": "categorical", "side": "viewer", "rows": 8},
            {"name": "item_id", "kind": "categorical", "side": "candidate", "rows": 64},
        ],
        "behaviors": [{"name": "like"}],
        "method": {"rank": 2},
        "evaluation": {"replicates": 200},
    }
)


def request(key: str, user: str, ts: int, age: float = 0.0, device: int = 1, num: int = 2) -> Request:
    items = [f"i{n}" for n in range(num)]
    return Request(
        event_id=key,
        user_id=user,
        ts=ts,
        items=items,
        viewer={"age": pack_floats([age]), "device": pack_ids([device])},
        candidates={"item_id": pack_ids(list(range(num)))},
    )


def behavior(of: Request, liked: list[float]) -> Behavior:
    return Behavior(
        event_id=f"{of.event_id}b",
        user_id=of.user_id,
        ts=of.ts + 1000,
        request_id=of.event_id,
        items=of.items,
        values={"like": pack_floats(liked)},
    )


def asked(of: Request, place: int = 0, order: tuple[str, ...] = (), propensity: float = 0.5) -> Asked:
    return Asked(
        event_id=f"{of.event_id}q",
        user_id=of.user_id,
        ts=of.ts + 2000,
        request_id=of.event_id,
        item_id=of.items[0],
        question="satisfaction",
        propensity=propensity,
        place=place,
        order=list(order),
    )


def answered(ask: Asked, option: str, took_ms: int = 3000) -> Answered:
    return Answered(
        event_id=f"{ask.event_id}a",
        user_id=ask.user_id,
        ts=ask.ts + took_ms,
        request_id=ask.request_id,
        item_id=ask.item_id,
        question=ask.question,
        option=option,
        propensity=ask.propensity,
        ask_id=ask.event_id,
        took_ms=took_ms,
    )


def platform(
    seed: int,
    num_viewers: int,
    requests_each: int,
    answers: Callable[[float, int, np.random.Generator], str],
    factor: Callable[[str], float] = lambda _: 1.0,
    ask_rate: float = 0.3,
    age_of: Callable[[np.random.Generator], float] = lambda random: random.normal(),
) -> Iterator[Event]:
    """Yield events: a request every three hours for each viewer, likes at .2 times what the last answer does.

    `answers` says what a viewer of an age answers to an ask of a number, nothing if empty; `factor` what
    an option does to likes for 24 hours.
    """
    random = np.random.default_rng(seed)
    age_U = [age_of(random) for _ in range(num_viewers)]
    answer_of: dict[int, tuple[int, str]] = {}
    asks = dict.fromkeys(range(num_viewers), 0)
    for n in range(requests_each):
        for user in range(num_viewers):
            ts = START + n * 3 * HOUR + user * 10
            made = request(f"r{n}.{user}", f"u{user}", ts, age_U[user], user % 3)
            yield made
            rate = 0.2
            if user in answer_of and ts - answer_of[user][0] <= 24 * HOUR:
                rate *= factor(answer_of[user][1])
            yield behavior(made, (random.random(2) < rate).astype(float).tolist())
            if random.random() < ask_rate:
                ask = asked(made, asks[user])
                asks[user] += 1
                yield ask
                if option := answers(age_U[user], asks[user], random):
                    say = answered(ask, option)
                    answer_of[user] = (say.ts, option)
                    yield say
