"""A mark of what a log holds up to some offsets: another log, or one that was changed, has another mark."""

import hashlib
from collections.abc import Sequence

from easq.log.base import EventLog

_SAMPLES = 8


def log_mark(log: EventLog, topic: str, until: Sequence[int]) -> str:
    """Return the mark of a log: a digest of a few events of each partition, from its start to `until`.

    Raises LogError if the log cannot be read.
    """
    return _digest(b"".join(_sampled(log, topic, until)))


def time_mark(log: EventLog, topic: str, until: Sequence[int]) -> str:
    """Return a mark that an erasure does not change: of the times of these events alone.

    Raises LogError if the log cannot be read.
    """
    places = _places(log, topic, until)
    return _digest(repr([[e.ts for e in log.read(topic, p, offset, 1)] for p, offset in places]).encode())


def _sampled(log: EventLog, topic: str, until: Sequence[int]) -> list[bytes]:
    return [b"".join(log.read_encoded(topic, p, offset, 1)) for p, offset in _places(log, topic, until)]


def _places(log: EventLog, topic: str, until: Sequence[int]) -> list[tuple[int, int]]:
    """Return partitions and offsets spread evenly, with the first and the last event of each partition."""
    starts = log.start_offsets(topic)
    return [
        (partition, start + (end - 1 - start) * number // (_SAMPLES - 1))
        for partition, (start, end) in enumerate(zip(starts, until, strict=True))
        if end > start
        for number in range(_SAMPLES)
    ]


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()
