"""The state of each recent viewer, for as long as it matters."""

from collections import OrderedDict

from easq.ask.policy import NOT_ASKED, Rule, Viewer, advance, ask_elsewhere, draw
from easq.log.events import Asked, Offered


class RecentViewers:
    """Viewers in the order in which they were last seen.

    Of a viewer not seen for so long that all gates are open again, only the times of asks are kept, while
    those are remembered. Forgetting the rest changes no decision and no probability.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._active: OrderedDict[str, Viewer] = OrderedDict()
        self._rested: OrderedDict[str, Viewer] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of viewers."""
        return len(self._active) + len(self._rested)

    def get(self, user_id: str) -> Viewer | None:
        """Return a viewer as last seen."""
        return self._active.get(user_id) or self._rested.get(user_id)

    def at(self, user_id: str, now_ms: int, session: str = "") -> Viewer:
        """Return a viewer at a view of now, before its draw. Changes nothing."""
        return advance(self._rule, self.get(user_id), now_ms, session)

    def draw(self, offered: Offered) -> None:
        """Move a viewer on by a decision."""
        viewer = self.at(offered.user_id, offered.ts, offered.session)
        self.put(offered.user_id, draw(self._rule, viewer, offered.rate, is_asked=not offered.gate))

    def ask_elsewhere(self, asked: Asked) -> None:
        """Move a viewer on by an ask of the platform's own questionnaire."""
        viewer = self.at(asked.user_id, asked.ts)
        self.put(asked.user_id, ask_elsewhere(self._rule, viewer))

    def put(self, user_id: str, viewer: Viewer) -> None:
        """Store a viewer that was just seen."""
        self._rested.pop(user_id, None)
        self._active[user_id] = viewer
        self._active.move_to_end(user_id)

    def state(self) -> tuple[list[tuple[str, Viewer]], list[tuple[str, Viewer]]]:
        """Return the active and the rested viewers, each in the order in which they were last seen."""
        return list(self._active.items()), list(self._rested.items())

    def restore(self, active: list[tuple[str, Viewer]], rested: list[tuple[str, Viewer]]) -> None:
        """Store what `state` returned."""
        self._active.update(active)
        self._rested.update(rested)

    def forget(self, now_ms: int) -> None:
        """Forget what has no effect any more."""
        settled, memory = self._rule.settled_ms, self._rule.memory_ms
        while self._active and now_ms - (viewer := next(iter(self._active.values()))).seen > settled:
            user_id, _ = self._active.popitem(last=False)
            if viewer.asks:
                self._rested[user_id] = Viewer(viewer.seen, "", NOT_ASKED, {NOT_ASKED: 1.0}, viewer.asks)
        while self._rested and now_ms - next(iter(self._rested.values())).seen > memory:
            self._rested.popitem(last=False)
