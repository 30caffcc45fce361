"""A sum that halves every half-life."""

import msgspec


class DecayedSum(msgspec.Struct):
    """A sum as of the time `ts` in milliseconds. Reads use the half-life of the last addition."""

    ts: int = 0
    value: float = 0.0
    half_life_ms: float = 1.0

    def add(self, ts: int, amount: float, half_life_ms: float) -> None:
        """Add an amount at a time. If that is before the last addition, the amount has decayed since."""
        self.half_life_ms = half_life_ms
        if ts >= self.ts:
            self.value = self.at(ts) + amount
            self.ts = ts
        else:
            self.value += amount * 0.5 ** ((self.ts - ts) / half_life_ms)

    def at(self, ts: int) -> float:
        """Return the sum as of a time. For times before the last addition, return it as of that addition."""
        decayed: float = self.value * 0.5 ** (max(0, ts - self.ts) / self.half_life_ms)
        return decayed
