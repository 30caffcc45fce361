"""A sum whose past fades by half every half-life."""

import msgspec


class DecayedSum(msgspec.Struct):
    """The sum as of the time `ts`, in milliseconds; read after the last addition with the same half-life."""

    ts: int = 0
    value: float = 0.0
    half_life_ms: float = 1.0

    def add(self, ts: int, amount: float, half_life_ms: float) -> None:
        """Add an amount of a time; one of before the last addition has faded already."""
        self.half_life_ms = half_life_ms
        if ts >= self.ts:
            self.value = self.at(ts) + amount
            self.ts = ts
        else:
            self.value += amount * 0.5 ** ((self.ts - ts) / half_life_ms)

    def at(self, ts: int) -> float:
        """Return the sum as of a time; before the last addition as of that."""
        faded: float = self.value * 0.5 ** (max(0, ts - self.ts) / self.half_life_ms)
        return faded
