"""What is told of a study: its table, its two figures, and what has to stand beside them."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from math import prod

from optuna.trial import FrozenTrial

from srcnn_mlflow.commands.study_cells import Bench
from srcnn_mlflow.commands.train_state import best_weights
from srcnn_mlflow.commands.trials import STEPS
from srcnn_mlflow.machine.git import git_commit
from srcnn_mlflow.machine.text import as_markdown
from srcnn_mlflow.measuring.evaluation import (
    Summary,
    Upscale,
    describe_protocol,
    score_photos,
    summarize,
)
from srcnn_mlflow.measuring.seeds import RULE
from srcnn_mlflow.measuring.study_results import SeedResult, SettingResult, as_facts, study_table
from srcnn_mlflow.network.upscaler import Upscaler
from srcnn_mlflow.pictures.colour import each_plane
from srcnn_mlflow.pictures.datasets import Split
from srcnn_mlflow.pictures.imaging import upscale_to_eight_bit
from srcnn_mlflow.pictures.photos import Photo
from srcnn_mlflow.showing import curves_figure, frontier_figure
from srcnn_mlflow.tracking import active_run
from srcnn_mlflow.tracking.active_run import Measured
from srcnn_mlflow.tracking.decisions import find_decisions
from srcnn_mlflow.tracking.run_search import adopt, get_run, metric_by_step
from srcnn_mlflow.tracking.seen_pictures import recognize, seen_by_run
from srcnn_mlflow.tracking.study import RUN_ID
from srcnn_mlflow.training.networks import network_of
from srcnn_mlflow.training.study_tables import StudySetting, plain_name

ARTIFACTS = "study"

logger = logging.getLogger(__name__)


def write_report(bench: Bench, test: Split, failed: Mapping[str, str]) -> None:
    """Measure what is done, log it, and tell it.

    The test pictures are looked at when no training is to come any more, and not before.

    Args:
        bench: the study.
        test: the test pictures.
        failed: why trainings have failed, by what decides them.
    """
    for line in bench.table.describe_running():
        logger.info(line)
    done = bench.table.done(bench.cells.keys())
    if not done:
        logger.info("no training is done, so there is nothing to show")
        return
    to_come = len(bench.cells) - len(done) - len(failed.keys() - done.keys())
    measure = _Measure(bench, test if not to_come else None)
    results = [measure.setting(one, done) for one in bench.request.name.settings]
    run_ids = [seed.run_id for one in results for seed in one.seeds]
    if not to_come:
        adopt(run_ids, active_run.run_id())
    _log(results, bench.grounds[results[0].name].prepared.valid, test)
    about = [
        *([_to_come(to_come, len(bench.cells), test)] if to_come else []),
        *(f"{bench.cells[key]} failed: {reason}" for key, reason in failed.items()),
        *_sentences(bench, results, test, not to_come, measure),
    ]
    _write(bench, results, test, about)


class _Measure:
    """Scores of a study's networks, and what they are held against."""

    def __init__(self, bench: Bench, test: Split | None) -> None:
        """Take the study, and the test pictures if they are to be looked at."""
        self._bench, self._test = bench, test
        self._scale = bench.request.scale
        self.valid = bench.grounds[bench.request.name.settings[0].name].prepared.valid
        settings = bench.request.name.settings
        trained = [bench.request.training(one, 0).settings for one in settings]
        # As soon as one works on colours, all are measured on them.
        self.in_colour = any(network_of(one).channels != "y" for one in trained)
        self._bicubic: dict[str, Summary] = {}

    def setting(self, setting: StudySetting, done: Mapping[str, FrozenTrial]) -> SettingResult:
        """What has come of a setting."""
        request = self._bench.request
        network = network_of(request.training(setting, 0).settings)
        published = setting.published
        stated = published.psnr.get((request.test, request.scale)) if published else None
        return SettingResult(
            name=setting.name,
            values=setting.values,
            weights=network.weights,
            # Every kernel is used once a pixel.
            multiply_adds=sum(prod(shape) for shape in network.shapes.values() if len(shape) == 4),
            published=stated,
            source=published.source if published and stated is not None else None,
            seeds=tuple(
                self._seed(setting, self._bench.cells[key].seed, done[key].user_attrs[RUN_ID])
                for key, cell in self._bench.cells.items()
                if cell.setting == setting.name and key in done
            ),
        )

    def is_comparable(self, setting: str) -> bool:
        """Whether a setting was trained on none of the first one's validation pictures."""
        train = self._bench.grounds[setting].prepared.train
        learned = {photo.identity for photo in train.photos}
        return not any(photo.identity in learned for photo in self.valid.photos)

    def bicubic(self, split: Split) -> Summary:
        """What bicubic interpolation makes of photographs."""
        if split.digest not in self._bicubic:
            enlarge = partial(each_plane, function=partial(upscale_to_eight_bit, scale=self._scale))
            self._bicubic[split.digest] = self._score(split.photos, enlarge)
        return self._bicubic[split.digest]

    def bicubic_in_words(self, split: Split) -> str:
        """Its PSNR on photographs."""
        found = self.bicubic(split)
        in_colour = found.bicubic_rgb_psnr
        more = "" if in_colour is None else f", {in_colour:.3f} dB over red, green and blue"
        return f"bicubic {found.bicubic_psnr:.3f} dB{more}."

    def _seed(self, setting: StudySetting, seed: int, run_id: str) -> SeedResult:
        request = self._bench.request.training(setting, seed)
        network = network_of(request.settings)
        onnx = network.export(best_weights(run_id), self._scale)
        upscale = Upscaler(onnx).upscale_pixels
        comparable = self.is_comparable(setting.name)
        valid = self._score(self.valid.photos, upscale, network.channels) if comparable else None
        tested = self._score(self._test.photos, upscale, network.channels) if self._test else None
        run = get_run(run_id)
        seconds = metric_by_step(run_id, "epoch_seconds")
        own = self.bicubic(self._bench.grounds[setting.name].prepared.valid).bicubic_psnr
        gains = [psnr - own for psnr in metric_by_step(run_id, "val_psnr").values()]
        return SeedResult(
            seed=seed,
            run_id=run_id,
            valid_psnr=valid.srcnn_psnr if valid else None,
            valid_ssim=valid.srcnn_ssim if valid else None,
            test_psnr=tested.srcnn_psnr if tested else None,
            test_ssim=tested.srcnn_ssim if tested else None,
            best_epoch=int(run.data.metrics["best_epoch"]),
            steps=int(run.data.tags[STEPS]),
            seconds=sum(seconds.values()),
            curve=tuple(zip(accumulate(seconds.values()), gains, strict=True)),
            valid_rgb_psnr=valid.srcnn_rgb_psnr if valid else None,
            test_rgb_psnr=tested.srcnn_rgb_psnr if tested else None,
        )

    def _score(self, photos: Sequence[Photo], upscale: Upscale, channels: str = "y") -> Summary:
        scored = score_photos(photos, self._scale, self._scale, upscale, channels, self.in_colour)
        return summarize(score for _, score in scored)


def _log(results: Sequence[SettingResult], valid: Split, test: Split) -> None:
    """Log each number, by setting and with the seed as its step, with its pictures."""
    active_run.log_inputs([valid, test])
    for one in results:
        name = plain_name(one.name)
        for seed in one.seeds:
            for kind, split in (("valid", valid), ("test", test)):
                measured = {
                    f"{kind}_{what}/{name}": getattr(seed, f"{kind}_{what}")
                    for what in ("psnr", "ssim", "rgb_psnr")
                }
                values = {name: value for name, value in measured.items() if value is not None}
                if values:
                    active_run.log_measured(Measured(values, split, None, seed.seed))


def _write(
    bench: Bench, results: Sequence[SettingResult], test: Split, about: Sequence[str]
) -> None:
    request = bench.request
    table = study_table(results)
    of_test = any(one.test for one in results)
    pictures = test.label if of_test else bench.grounds[results[0].name].prepared.valid.label
    title = f"Study {request.name.name} at x{request.scale}, {request.length} a training"
    contents = {
        "study": str(request.name),
        "about": request.name.about,
        "scale": request.scale,
        "length": request.length,
        "test": {"name": test.label, "digest": test.digest, "looked_at": of_test},
        "settings": as_facts(results),
        "told": list(about),
        "commit": git_commit(),
    }
    with active_run.artifact_folder(ARTIFACTS) as folder:
        figures = []
        if any(one.test if of_test else one.valid for one in results):
            frontier_figure.draw_frontier(
                results, title, pictures, of_test, folder / "frontier.png"
            )
            figures.append(("frontier.png", frontier_figure.in_words(results, of_test)))
        curves_figure.draw_curves(results, title, folder / "curves.png")
        figures.append(("curves.png", curves_figure.in_words(results)))
        pages = [
            as_markdown(title),
            table,
            *map(as_markdown, about),
            *(f"![{as_markdown(words)}]({name})" for name, words in figures),
        ]
        (folder / "table.md").write_text("\n\n".join(pages) + "\n", encoding="utf-8")
        (folder / "table.json").write_text(json.dumps(contents, indent=2), encoding="utf-8")
    active_run.describe("\n\n".join([table, *map(as_markdown, about)]))
    logger.info(table)
    for sentence in about:
        logger.info(sentence)
    address = active_run.place_of_artifacts(ARTIFACTS)
    logger.info("table and figures: %s", address)
    for line in active_run.how_to_see_below("all trainings in each chart", "best_val_psnr"):
        logger.info(line)


def _to_come(count: int, of: int, test: Split) -> str:
    return (
        f"{count} of {of} trainings are still to come, so {test.label} was not looked at; whoever "
        "ends the last of them writes the whole table."
    )


def _sentences(
    bench: Bench,
    results: Sequence[SettingResult],
    test: Split,
    tested: bool,
    measure: _Measure,
) -> Iterator[str]:
    """What has to stand beside the table for its numbers to mean something."""
    request, valid = bench.request, measure.valid
    if request.name.about:
        yield request.name.about
    yield f"\N{PLUS-MINUS SIGN} is the standard deviation over seeds. {RULE}"
    yield " ".join(
        [
            f"Validation: {len(valid.photos)} pictures, {valid.label} (digest {valid.digest}), "
            "which choose the epoch where they are a setting's own; "
            f"{measure.bicubic_in_words(valid)}",
            find_decisions(valid.digest).sentence("This set"),
        ]
    ).strip()
    yield from _others_validation(bench, results, measure)
    if tested:
        seen = _seen(results, test)
        nothing = "" if seen["valid"] else ", of which they chose nothing"
        yield " ".join(
            [
                f"Test: {len(test.photos)} pictures, {test.label} (digest {test.digest}), looked "
                f"at after all trainings{nothing}; {measure.bicubic_in_words(test)}",
                find_decisions(test.digest).sentence("This set"),
            ]
        ).strip()
        yield from (*seen["train"], *seen["valid"])
    for source in dict.fromkeys(one.source for one in results if one.source):
        names = ", ".join(one.name for one in results if one.source == source)
        yield f"Published ({names}): {source}."
    yield f"{describe_protocol(None, measure.in_colour)} Commit {git_commit()}."


def _others_validation(
    bench: Bench, results: Sequence[SettingResult], measure: _Measure
) -> Iterator[str]:
    """Which settings had their epoch chosen by other pictures than the first one's."""
    for one in results:
        own = bench.grounds[one.name].prepared.valid
        if own.digest == measure.valid.digest:
            continue
        instead = (
            f"the column has those of {measure.valid.label} all the same"
            if measure.is_comparable(one.name)
            else f"it has learned from some of {measure.valid.label}, so its column is empty"
        )
        yield (
            f"The epoch of {one.name} was chosen on {len(own.photos)} pictures, {own.label}; "
            f"{instead}."
        )


def _seen(results: Sequence[SettingResult], test: Split) -> dict[str, list[str]]:
    """What settings had to do with test pictures, or with copies of them, in sentences.

    Returns:
        Of `train`, what was learned from; of `valid`, what chose an epoch.
    """
    told: dict[str, dict[str, list[str]]] = {"train": {}, "valid": {}}
    for one in results:
        seen = seen_by_run(one.seeds[0].run_id) if one.seeds else None
        for split, by_names in told.items():
            of_split = [picture for picture in seen or () if picture.split == split]
            names = ", ".join(photo.name for photo in recognize(of_split, test.photos))
            if names:
                by_names.setdefault(names, []).append(one.name)
    how = {"train": "learned from", "valid": "had the epoch chosen by"}
    return {
        split: [
            f"{', '.join(settings)} {how[split]} pictures that show what {names} of {test.label} "
            "shows."
            for names, settings in by_names.items()
        ]
        for split, by_names in told.items()
    }
