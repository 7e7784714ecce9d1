"""The models that have a score on a set of pictures, the best first, as MLflow has them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Metric
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList

from srcnn_mlflow.tracking.registry import model_name

Item = TypeVar("Item")

# What is measured begins so, and what bicubic has of the same.
_OURS, _BICUBIC = "srcnn_", "bicubic_"


@dataclass(frozen=True)
class Placed:
    """A model with its score on a set of pictures.

    Attributes:
        model: its versions with their aliases, as `srcnn-x4/3 (champion)`; or its id, where it is
            not registered.
        score: the newest.
        gain: over bicubic, of the same run; None where the metric is not held against bicubic.
        images: how many pictures that run has measured; None where it does not say.
        run_id: of the run that has measured it.
    """

    model: str
    score: float
    gain: float | None
    images: int | None
    run_id: str


def rank_models(scale: int, metric: str, digest: str) -> Iterator[Placed]:
    """All models of a scale that have a score on pictures, the highest first.

    Args:
        scale: 2, 3 or 4.
        metric: its name, such as `srcnn_psnr`; higher is better.
        digest: of the pictures.
    """
    names = _names(scale)
    models = takewhile(
        lambda model: _on(model, metric, digest), _search_models(scale, metric, digest)
    )
    for model in models:
        newest = max(_on(model, metric, digest), key=lambda one: (one.timestamp, one.step))
        beside = {one.key: one.value for one in model.metrics or () if _is_beside(one, newest)}
        bicubic = beside.get(metric.replace(_OURS, _BICUBIC)) if _OURS in metric else None
        yield Placed(
            names.get(f"models:/{model.model_id}", str(model.model_id)),
            newest.value,
            None if bicubic is None else newest.value - bicubic,
            int(beside["images"]) if "images" in beside else None,
            str(newest.run_id),
        )


def _search_models(scale: int, metric: str, digest: str) -> Iterator[LoggedModel]:
    """The logged models of a scale, in any experiment; those without the score are the last."""
    order = {"field_name": f"metrics.{metric}", "ascending": False, "dataset_digest": digest}
    experiments = _experiments()
    return pages(
        lambda token: MlflowClient().search_logged_models(
            experiments,
            filter_string=f"params.scale = '{scale}'",
            order_by=[order],
            page_token=token,
        )
    )


def _on(model: LoggedModel, metric: str, digest: str) -> list[Metric]:
    """Every score of a model by one name on the pictures of a digest."""
    return [
        one for one in model.metrics or () if one.key == metric and one.dataset_digest == digest
    ]


def _is_beside(one: Metric, other: Metric) -> bool:
    """Whether two numbers were measured together."""
    return (one.run_id, one.step, one.dataset_digest, one.timestamp) == (
        *(other.run_id, other.step, other.dataset_digest, other.timestamp),
    )


def _experiments() -> list[str]:
    found = pages(lambda token: MlflowClient().search_experiments(page_token=token))
    return [experiment.experiment_id for experiment in found]


def _names(scale: int) -> Mapping[str, str]:
    """The versions of a registered model with their aliases, by the URI of their logged model."""
    client, name = MlflowClient(), model_name(scale)
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    names: dict[str, str] = {}
    for version in pages(
        lambda token: client.search_model_versions(f"name = '{name}'", page_token=token)
    ):
        own = sorted(a for a, number in aliases.items() if str(number) == str(version.version))
        label = f"{name}/{version.version}" + (f" ({', '.join(own)})" if own else "")
        others = names.get(str(version.source))
        names[str(version.source)] = f"{others}, {label}" if others else label
    return names


def pages(ask: Callable[[str | None], PagedList[Item]]) -> Iterator[Item]:
    """All that a search finds, a page at a time, and only as far as it is looked at.

    Args:
        ask: searches; given where a page begins, None for the first.
    """
    page = ask(None)
    yield from page
    while page.token:
        page = ask(page.token)
        yield from page
