"""ASGI middleware about pages of other sites: what they may call, with and without keys.

A service without keys trusts whoever reaches it, and every page that a browser on this machine opens reaches
it. So it answers under a name of this machine alone, not under a page's own name that was made to lead here,
and only to its own pages and those that the recipe allows to ask.
"""

import ipaddress
from collections.abc import Iterable

from litestar.types import Receive, Scope, Send

from easq.service.http.error_replies import Refusal, send_refusal
from easq.service.http.keys import Keys
from easq.service.http.load_shedder import LoadShedder


class Origins:
    """Lets pages of `allowed` origins call the `beacons` and nothing else; other callers are not told apart.

    `guarded` are the paths that need a key once there is one.
    """

    def __init__(
        self,
        app: LoadShedder,
        keys: Keys,
        guarded: Iterable[str],
        beacons: Iterable[str],
        allowed: Iterable[str],
    ) -> None:
        self.app, self._keys = app, keys
        self._guarded, self._beacons = frozenset(guarded), frozenset(beacons)
        self._is_allowed = AllowedOrigins(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        path = scope.get("path")
        host = origin = b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
        # A browser's question whether a page may call is answered by the app, and changes nothing.
        if path in self._guarded and self._keys.is_open and scope.get("method") != "OPTIONS":
            may_ask = path in self._beacons and self._is_allowed(origin)
            if (refusal := _why_not(host, origin, may_ask)) is not None:
                await send_refusal(refusal, send)
                return
        if origin and path not in self._beacons:
            # Without it nothing is answered that would let a page of another origin read the reply.
            headers = [(name, value) for name, value in scope["headers"] if name != b"origin"]
            scope = {**scope, "headers": headers}  # type: ignore[assignment]
        await self.app(scope, receive, send)


class AllowedOrigins:
    """Whether an origin is one of a recipe's: `https://*.example` are all below it, `*` is every one."""

    def __init__(self, allowed: Iterable[str]) -> None:
        names = [origin.encode() for origin in allowed]
        self._exact = frozenset(name for name in names if b"*" not in name)
        parts = [name.partition(b"*") for name in names if b"*" in name]
        self._around = [(before, after) for before, _, after in parts]

    def __call__(self, origin: bytes) -> bool:
        """Return whether pages of this origin may ask."""
        return origin in self._exact or any(
            origin.startswith(before) and origin.endswith(after) and len(origin) > len(before + after)
            for before, after in self._around
        )


def is_loopback(host: str) -> bool:
    """Return whether a name or an address, as it is listened on, is this machine's own alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _why_not(host: bytes, origin: bytes, may_ask: bool) -> Refusal | None:
    text = host.decode("latin-1")
    name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    way_out = "make a key with `easq keys create`"
    if host and not is_loopback(name.lower().removesuffix(".")):
        got = f"host: got {text[:100]!r}; a service without keys answers under localhost or 127.0.0.1 alone"
        return Refusal(403, "forbidden", f"{got}; {way_out}")
    if (
        origin
        and not may_ask
        and origin.lower() not in (b"http://" + host.lower(), b"https://" + host.lower())
    ):
        got = (
            f"origin: got {origin[:100].decode('latin-1')!r}; a service without keys answers to its own pages"
        )
        return Refusal(403, "forbidden", f"{got}, and pages of ask.origins may ask; {way_out}")
    return None
