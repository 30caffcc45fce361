"""The service's counters for Prometheus; one registry per service."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0, 5.0)


class _CountersCollector(Collector):
    """Makes one metric anew at every collection."""

    def __init__(self, make: Callable[[], Metric]) -> None:
        self._make = make

    def collect(self) -> Iterable[Metric]:
        """Return the metric as it is now."""
        yield self._make()


class ServiceCounters:
    """The counters of one service."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        by_route = ("route", "status")
        self.requests = Histogram(
            "easq_http_request_seconds",
            "Time of HTTP requests by route and status.",
            by_route,
            registry=r,
            buckets=_SECONDS,
        )
        self.rankings = Counter("easq_rankings", "Rankings served.", registry=r)
        self.shadow_rankings = Counter(
            "easq_shadow_rankings", "Rankings made beside what the caller showed.", registry=r
        )
        self.tied = Counter("easq_tied_rankings", "Rankings whose candidates all have one score.", registry=r)
        self.candidates = Counter("easq_candidates", "Candidates scored.", registry=r)
        self.unlogged = Counter("easq_unlogged_rankings", "Rankings served without a log.", registry=r)
        self.accepted = Counter("easq_events_accepted", "Events accepted.", ("type",), registry=r)
        self.refused = Counter(
            "easq_events_refused", "Events refused by kind of reason.", ("reason",), registry=r
        )
        self.puts = Counter("easq_puts", "Items and viewers put.", ("side", "outcome"), registry=r)
        self.offers = Counter(
            "easq_offers",
            "Views put to the questionnaire, by the gate that was closed.",
            ("gate",),
            registry=r,
        )
        self.tokens_refused = Counter(
            "easq_tokens_refused", "Calls about asks refused by reason.", ("reason",), registry=r
        )
        self.log_failures = Counter(
            "easq_log_failures", "Failures of the log by what was tried.", ("doing",), registry=r
        )
        for doing in ("append", "follow"):
            self.log_failures.labels(doing)

    def add_gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is read at every collection."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def add_counter(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a counter whose value something else keeps."""
        self.registry.register(_CountersCollector(lambda: CounterMetricFamily(name, text, value=value())))

    def add_info(self, name: str, text: str, label: str, value: Callable[[], str]) -> None:
        """Add a text that is read at every collection."""
        self.registry.register(
            _CountersCollector(lambda: InfoMetricFamily(name, text, value={label: value()}))
        )

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a name that carry these labels."""
        samples = [sample for metric in self.registry.collect() for sample in metric.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    def text(self) -> bytes:
        """Return all values in the text format."""
        return generate_latest(self.registry)
