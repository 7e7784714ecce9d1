"""`reproduce`: the report's experiment with the report's settings, beside the report's numbers."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from srcnn_mlflow.commands.evaluate import evaluate
from srcnn_mlflow.commands.train import train
from srcnn_mlflow.commands.train_data import make_ready
from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.machine.text import as_markdown, short_dataset
from srcnn_mlflow.measuring.evaluation import Summary, check_sizes
from srcnn_mlflow.measuring.tables import TableRow, markdown_table, table_rows
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.store_writer import Prepared
from srcnn_mlflow.tracking import active_run, runs
from srcnn_mlflow.tracking.decisions import Decisions, find_decisions
from srcnn_mlflow.training.distributed import choose_device

ARTIFACTS = "reproduction"

logger = logging.getLogger(__name__)

# DIV2K, 100 validation images, 9-5-5, 50 epochs, as the report states them; it chose its best
# epoch on the images it reported on.
REPORTED = {
    2: Summary(
        bicubic_psnr=32.65,
        srcnn_psnr=34.98,
        psnr_gain=34.98 - 32.65,
        bicubic_ssim=0.9135,
        srcnn_ssim=0.9407,
        ssim_gain=0.9407 - 0.9135,
        mse_reduction_percent=0.0,
        images=100,
    ),
    4: Summary(
        bicubic_psnr=28.21,
        srcnn_psnr=29.44,
        psnr_gain=29.44 - 28.21,
        bicubic_ssim=0.7882,
        srcnn_ssim=0.8252,
        ssim_gain=0.8252 - 0.7882,
        mse_reduction_percent=0.0,
        images=100,
    ),
}


# The same pictures as the report split them; other data sets have one split only.
REPORT_SPLITS = {"div2k": "div2k-report"}


@dataclass(frozen=True)
class Reproduction:
    """A scale on the pictures that chose the epoch, and on pictures that did not."""

    scale: int
    validation: Summary
    test: Summary

    @property
    def optimism(self) -> float:
        """How much larger the PSNR gain is where the epoch was chosen, in dB."""
        return self.validation.psnr_gain - self.test.psnr_gain


@dataclass(frozen=True)
class Chosen:
    """What the validation and the test pictures have chosen, in this store."""

    validation: Decisions
    test: Decisions

    def facts(self) -> dict[str, object]:
        """Of each, by name."""
        return {"validation": self.validation.facts(), "test": self.test.facts()}


def reproduce(request: TrainRequest, device: str) -> list[Reproduction]:
    """Train and judge at each of the report's scales, in one run with nested runs.

    On DIV2K each scale is trained twice: as the report split the pictures, which shows its own
    numbers, and as this project does, where the same 100 pictures have chosen nothing.

    Args:
        request: the settings; its scale is replaced by each of the report's.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        SrcnnError: with a message for the person who asked.
    """
    parameters = request.logged(device)
    for name in ("scale", "resume", "init_from"):
        del parameters[name]
    report_dataset = REPORT_SPLITS.get(request.dataset, request.dataset)
    as_reported = {
        scale: replace(request, scale=scale, dataset=report_dataset) for scale in REPORTED
    }

    def check() -> dict[int, Prepared]:
        choose_device(device)
        prepared = {scale: make_ready(wanted) for scale, wanted in as_reported.items()}
        # Told before the trainings, and not after them.
        test = load_dataset(request.dataset).split("test")
        check_sizes(test.photos, max(REPORTED), max(REPORTED))
        return prepared

    with runs.track_after(
        check, "reproduce", None, parameters, f"reproduce {short_dataset(request.dataset)}"
    ) as prepared:
        found = []
        for scale in REPORTED:
            trained = train(as_reported[scale], device, prepared=prepared[scale])
            version = str(trained.version)
            validation = evaluate(scale, version, report_dataset, "valid", None)
            if report_dataset != request.dataset:
                version = str(train(replace(request, scale=scale), device).version)
            test = evaluate(scale, version, request.dataset, "test", None)
            found.append(Reproduction(scale, validation.summary, test.summary))
            active_run.log_inputs([], [validation.model_id, test.model_id])
            active_run.log_metrics({f"optimism_x{scale}": found[-1].optimism})
        # The pictures are the same at every scale, and have chosen by now what they are to choose.
        chosen = Chosen(*(find_decisions(one.digest) for one in (validation, test)))
        page = describe(found, request.dataset, chosen, write=as_markdown)
        active_run.log_text(page, f"{ARTIFACTS}/table.md")
        active_run.log_json(_as_json(found), f"{ARTIFACTS}/table.json")
        active_run.log_json(chosen.facts(), f"{ARTIFACTS}/decisions.json")
        logger.info(describe(found, request.dataset, chosen))
    return found


def describe(
    found: Sequence[Reproduction],
    dataset: str,
    chosen: Chosen,
    write: Callable[[str], str] = str,
) -> str:
    """The report's table three times: as reported, on validation, and on test pictures.

    Args:
        found: at every scale.
        dataset: names the photographs.
        chosen: what either set of pictures has chosen.
        write: puts a sentence into the language of whoever shows it.
    """

    def table(summaries: Sequence[tuple[int, Summary]]) -> str:
        rows: list[TableRow] = []
        for scale, summary in summaries:
            rows += table_rows(scale, summary)
        return markdown_table(rows)

    optimism = ", ".join(f"{one.optimism:+.3f} dB at x{one.scale}" for one in found)
    pictures, report_dataset = found[0], REPORT_SPLITS.get(dataset, dataset)
    what = "this training" if report_dataset == dataset else f"a training on the split of {dataset}"
    return "\n\n".join(
        text
        for text in [
            "The report (DIV2K, 100 pictures, which also chose the best epoch):",
            table([(one.scale, REPORTED[one.scale]) for one in found]),
            write(
                f"Here, on the {pictures.validation.images} validation pictures of "
                f"{report_dataset}, which chose the best epoch:"
            ),
            table([(one.scale, one.validation) for one in found]),
            chosen.validation.sentence(),
            write(
                f"Here, on the {pictures.test.images} test pictures of {dataset}, which chose "
                f"nothing of {what}:"
            ),
            table([(one.scale, one.test) for one in found]),
            chosen.test.sentence(),
            f"The gain in PSNR is larger where the epoch was chosen by {optimism}.",
        ]
        if text
    )


def _as_json(found: Sequence[Reproduction]) -> list[dict[str, object]]:
    return [
        {
            "scale": one.scale,
            **{
                name: [row.cells() for row in table_rows(one.scale, summary)]
                for name, summary in (
                    ("report", REPORTED[one.scale]),
                    ("validation", one.validation),
                    ("test", one.test),
                )
            },
            "optimism": one.optimism,
        }
        for one in found
    ]
