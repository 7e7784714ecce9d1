"""The page for a model's reader: what it is, what it has, what it was tried against, its limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from srcnn_mlflow.machine.text import as_markdown
from srcnn_mlflow.measuring.evaluation import describe_protocol
from srcnn_mlflow.measuring.tables import aligned_table

# Of a training's parameters, those that a reader asks for.
RECIPE = (
    *("epochs", "max_minutes", "optimizer", "lr", "schedule", "batch_size", "patch_size"),
    *("sampling", "loss", "residual", "padding", "precondition", "augment", "seed", "init_from"),
)


@dataclass(frozen=True)
class SetScore:
    """What a model has on one set of pictures; PSNR in dB.

    Attributes:
        dataset: its name.
        digest: of the pictures.
        images: how many were compared.
        bicubic_psnr: a mean over them, as those that follow.
        srcnn_psnr: see there.
        bicubic_ssim: see there.
        srcnn_ssim: see there.
        interval: in which the mean gain in PSNR over such pictures lies, 95 % of the time; None
            where it was not measured.
    """

    dataset: str
    digest: str
    images: int
    bicubic_psnr: float
    srcnn_psnr: float
    bicubic_ssim: float
    srcnn_ssim: float
    interval: tuple[float, float] | None = None

    def cells(self) -> dict[str, str]:
        """By column title."""
        low, high = self.interval or (None, None)
        return {
            "Set": as_markdown(self.dataset),
            "Digest": self.digest[:8],
            "Pictures": str(self.images),
            "Bicubic": f"{self.bicubic_psnr:.2f} / {self.bicubic_ssim:.4f}",
            "This model": f"{self.srcnn_psnr:.2f} / {self.srcnn_ssim:.4f}",
            "Gain": f"{self.srcnn_psnr - self.bicubic_psnr:+.2f}",
            "95 % interval": "" if low is None else f"{low:+.2f} to {high:+.2f}",
        }


@dataclass(frozen=True)
class RunPage:
    """Where MLflow's UI shows a run, from any of its pages.

    Attributes:
        experiment_id: of the run.
        run_id: of the run.
    """

    experiment_id: str
    run_id: str

    @property
    def address(self) -> str:
        """Of its page."""
        return f"#/experiments/{self.experiment_id}/runs/{self.run_id}"

    def picture(self, path: str, words: str) -> str:
        """Markdown that shows a picture among its artifacts, and leads to it."""
        source = f"get-artifact?path={quote(path, safe='')}&run_uuid={self.run_id}"
        return f"[![{words}]({source})]({self.address}/artifacts/{path})"


@dataclass(frozen=True)
class Contest:
    """A promotion or a comparison in which a version was measured beside others.

    Attributes:
        day: on which it began, as 2026-01-31.
        kind: `promotion` or `comparison`.
        dataset: the photographs.
        of: the version that was to be promoted, or all that were compared.
        verdict: of a promotion; empty where none was given.
        page: of its run.
    """

    day: str
    kind: str
    dataset: str
    of: str
    verdict: str
    page: RunPage

    def line(self) -> str:
        """One item of a list in Markdown."""
        verdict = f": {self.verdict}" if self.verdict else ""
        told = as_markdown(f"of {self.of} on {self.dataset}{verdict}")
        return f"- {self.day}, [{self.kind}]({self.page.address}) {told}"


@dataclass(frozen=True)
class CardFacts:
    """All that is known of a version.

    Attributes:
        model: the registered model, such as `srcnn-x4`.
        version: its number.
        scale: 2, 3 or 4.
        tags: of the version.
        parameters: of the run that made it.
        scores: on each set measured so far.
        verdict: the table of its promotion with the rule, in Markdown; empty where there was none.
        contests: all promotions and comparisons that it took part in, the newest first.
        evaluation: the run that has its newest pictures; None where there are none.
    """

    model: str
    version: int
    scale: int
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    scores: tuple[SetScore, ...]
    verdict: str
    contests: tuple[Contest, ...] = ()
    evaluation: RunPage | None = None


def model_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    name, tags = f"{facts.model} version {facts.version}", facts.tags
    network = as_markdown(tags.get("architecture", "of an unknown architecture"))
    colours = tags.get("channels", "y") != "y"
    works_on = "its colours" if colours else "its luma; colour is bicubic's"
    shown = "The picture that it makes most of, beside bicubic and the original"
    picture = [facts.evaluation.picture("evaluation/best.png", shown)] if facts.evaluation else []
    parts = [
        # No heading: lists of versions show the first line as it stands.
        f"{name}: SRCNN {network} makes a picture {facts.scale} times as large by bicubic "
        f"interpolation, and sharpens {works_on}.",
        "## Scores",
        _scores(facts),
        f"PSNR in dB / SSIM. {describe_protocol(None)} Intervals are Student's, over pictures.",
        *picture,
        "## What it was tried against",
        f"{as_markdown(tags.get('verdict', 'Nothing yet.'))}\n\n{facts.verdict}".strip(),
        "## How it was made",
        "\n".join(_made(facts)),
        "## Limits",
        f"It enlarges by {facts.scale} and by nothing else. It has learned from pictures that were "
        "made small by bicubic interpolation with antialias: it removes neither noise, nor blur, "
        "nor what compression leaves behind, and may sharpen them.",
        "## How to call it",
        f"    mlflow models serve -m models:/{facts.model}/{facts.version} --env-manager local\n"
        f"    srcnn-mlflow upscale --scale {facts.scale} --model {facts.version} --input photo.jpg",
        f"From Python, `mlflow.pyfunc.load_model('models:/{facts.model}/{facts.version}')` takes "
        "and gives a frame with the column `image`: files in base64, PNG in the answer.",
        "## Licence",
        "The code that comes with it has the MIT licence. The pictures that it has learned from "
        "are their authors', and what they allow holds for what is made of them.",
    ]
    if facts.contests:
        # Last, because MLflow shows so many characters and no more.
        lines = "\n".join(contest.line() for contest in facts.contests)
        parts += ["## All promotions and comparisons that it took part in", lines]
    return "\n\n".join(parts) + "\n"


def _scores(facts: CardFacts) -> str:
    """The table, or what the version was registered with."""
    if facts.scores:
        return aligned_table([score.cells() for score in facts.scores], text_columns=2)
    tags = facts.tags
    if not {"psnr", "psnr_gain", "ssim", "measured_on"} <= set(tags):
        return "Nothing was measured yet."
    return (
        f"On {as_markdown(tags['measured_on'])}: {tags['psnr']} dB, "
        f"{float(tags['psnr_gain']):+.2f} over bicubic, SSIM {tags['ssim']}."
    )


def _made(facts: CardFacts) -> list[str]:
    """How it was made, a line each thing."""
    tags, given = facts.tags, facts.parameters
    lines = {
        "Imported from": tags.get("imported_from"),
        "Pictures": tags.get("dataset"),
        "Their digest": tags.get("dataset_digest"),
        "Recipe": _recipe(given) if "optimizer" in given else None,
        "Commit": tags.get("git_commit"),
    }
    return [f"- {title}: {as_markdown(text)}" for title, text in lines.items() if text]


def _recipe(given: Mapping[str, str]) -> str:
    # Minutes decide where they are given, and epochs are what would have been without them.
    unlimited = given.get("max_minutes", "none").lower() == "none"
    left_out = "max_minutes" if unlimited else "epochs"
    return ", ".join(f"{key}={given[key]}" for key in RECIPE if key in given and key != left_out)
