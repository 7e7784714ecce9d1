"""What an operator watches: numbers of the service, in the words of Prometheus."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from srcnn_mlflow.serving.guests import Guests
from srcnn_mlflow.serving.service import ScaleService

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# A small picture takes a tenth of a second, and no request more than its deadline.
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)


class Metrics:
    """What was asked and answered, and what the services are at the moment."""

    def __init__(self, services: Mapping[int, ScaleService], guests: Guests) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            *("srcnn_requests", "Requests by their place and the status of the answer."),
            labelnames=("place", "code"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            *("srcnn_request_seconds", "From a request's first byte to its answer."),
            labelnames=("place",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(_Present(services, guests))

    def note(self, place: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(place, str(status)).inc()
        self._seconds.labels(place).observe(seconds)

    def text(self) -> bytes:
        """All numbers as they are now."""
        return generate_latest(self._registry)


class _Present(Collector):
    """Reads each service when it is asked."""

    def __init__(self, services: Mapping[int, ScaleService], guests: Guests) -> None:
        self._services, self._guests = services, guests

    def describe(self) -> Iterator[Metric]:
        """Say nothing in advance, when no model is loaded yet."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Give a family for each thing that a service can be asked."""
        version = InfoMetricFamily("srcnn_model", "The version that is served.", labels=["scale"])
        waiting = GaugeMetricFamily(
            "srcnn_requests_waiting", "Requests that wait for a process.", labels=["scale"]
        )
        pixels = CounterMetricFamily(
            "srcnn_output_pixels", "Pixels of enlarged pictures.", labels=["scale"]
        )
        swaps = CounterMetricFamily(
            "srcnn_model_swaps", "Versions that have taken over.", labels=["scale"]
        )
        refused = CounterMetricFamily(
            "srcnn_model_swaps_refused", "Versions that could not be run.", labels=["scale"]
        )
        memory = GaugeMetricFamily(
            "srcnn_worker_resident_bytes",
            "Memory of a model's processes: for all requests, small ones or other versions.",
            labels=["scale", "takes"],
        )
        for scale, service in self._services.items():
            named = [str(scale)]
            version.add_metric(named, {"version": service.label})
            waiting.add_metric(named, service.pool.waiting)
            pixels.add_metric(named, service.pixels)
            swaps.add_metric(named, service.swaps)
            refused.add_metric(named, service.refusals)
            for small_only, takes in ((False, "all"), (True, "small")):
                workers = [one for one in service.pool.workers if one.small_only is small_only]
                memory.add_metric([*named, takes], sum(one.resident_bytes() for one in workers))
            others = [worker.resident_bytes() for worker in self._guests.workers(scale)]
            memory.add_metric([*named, "other versions"], sum(others))
        yield from (version, waiting, pixels, swaps, refused, memory)
