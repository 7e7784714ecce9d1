"""Scores under several protocols as pages in Markdown, and as what JSON can hold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from srcnn_mlflow.machine.text import as_markdown, printable
from srcnn_mlflow.measuring.ledger import Step, Tally, in_words, step_between
from srcnn_mlflow.measuring.protocols import MAKING, MEASURING, NAMED, OURS, OWN, SOURCES, Protocol
from srcnn_mlflow.measuring.scoring import Average, Mark, Subject
from srcnn_mlflow.measuring.tables import aligned_table

_ABSENT = "–"


@dataclass(frozen=True)
class Scorecard:
    """What has come of a scoring.

    Attributes:
        heading: what was scored, in a sentence.
        names: the protocols that were asked for.
        originals: the files of those that were scored.
        tallies: of the results, of bicubic, and of a network where one was given.
        network: what it is called, where one was given.
        remarks: what a person has to know of these pictures, one sentence each.
    """

    heading: str
    names: tuple[str, ...]
    originals: tuple[Path, ...]
    tallies: Mapping[Subject, Tally]
    network: str | None
    remarks: tuple[str, ...]

    @property
    def subjects(self) -> list[tuple[Subject, str]]:
        """What was scored, and what it is called."""
        titles = {
            Subject.RESULT: "results",
            Subject.BICUBIC: "bicubic",
            Subject.NETWORK: "model",
        }
        return [(subject, titles[subject]) for subject in self.tallies]


def protocol_table(card: Scorecard) -> str:
    """The scores under every protocol, side by side."""
    return aligned_table([_row(card, name) for name in card.names], text_columns=1)


def table_page(card: Scorecard) -> str:
    """The page with the scores, and what each protocol is."""
    choices = [
        f"- **{name}**: {', '.join(_choices(NAMED[name]))}. {as_markdown(SOURCES[name])}"
        for name in card.names
    ]
    remarks = [f"- {as_markdown(remark)}" for remark in card.remarks]
    parts = [
        as_markdown(card.heading),
        protocol_table(card),
        _legend(card),
        "\n".join(choices),
        "\n".join(remarks),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def ledger_page(card: Scorecard) -> str:
    """What each choice is worth, and the way to each protocol."""
    parts = ["# What each choice is worth", as_markdown(card.heading)]
    for subject, title in card.subjects:
        tally = card.tallies[subject]
        parts += [f"## {title.capitalize()}", _explained(card, subject)]
        start = tally.average(OURS)
        parts.append(f"Under srcnn-mlflow: {_in_short(start)}. One choice at a time from there:")
        parts.append(_steps_table(tally.one_at_a_time()))
        for name in card.names:
            if name != OWN:
                parts += [f"### To {name}", _way(tally, name)]
    return "\n\n".join(parts) + "\n"


def contents(card: Scorecard) -> dict[str, Any]:
    """Everything, as JSON can hold it."""
    return {
        "heading": card.heading,
        "pictures": [printable(path.name) for path in card.originals],
        "remarks": list(card.remarks),
        "protocols": {name: asdict(NAMED[name]) | {"source": SOURCES[name]} for name in card.names},
        "scores": {
            subject.value: {
                name: {
                    **_numbers(tally.average(NAMED[name])),
                    "by_picture": [_numbers(mark) for mark in tally.marks(NAMED[name])],
                }
                for name in card.names
            }
            for subject, tally in card.tallies.items()
        },
        "one_at_a_time": {
            subject.value: [asdict(step) for step in tally.one_at_a_time()]
            for subject, tally in card.tallies.items()
        },
        "ways": {
            subject.value: {name: _steps(tally, name) for name in card.names}
            for subject, tally in card.tallies.items()
        },
    }


def _row(card: Scorecard, name: str) -> dict[str, str]:
    cells = {"Protocol": name}
    for subject, title in card.subjects:
        tally = card.tallies[subject]
        found, ours = tally.average(NAMED[name]), tally.average(OURS)
        head = "" if subject is Subject.RESULT else f"{title} "
        cells[f"{head}PSNR"] = _psnr(found)
        cells[f"{head}SSIM" if head else "SSIM"] = _ssim(found)
        if subject is Subject.RESULT:
            distance = step_between("", ours, found)
            cells["± dB"] = _signed(distance.psnr, 2)
            cells["± SSIM"] = _signed(distance.ssim, 4)
    return cells


def _choices(protocol: Protocol) -> list[str]:
    return in_words(protocol, OURS, (*MEASURING, *MAKING)) or ["this project's own"]


def _legend(card: Scorecard) -> str:
    anew = "Bicubic is" if card.network is None else f"Bicubic, and the model ({card.network}), are"
    return as_markdown(
        f"± is the distance from srcnn-mlflow, in dB and SSIM. {anew} made anew of the originals, "
        "as each program makes its small pictures, and measured as it measures; programs that only "
        "measure take this project's small pictures."
    )


def _explained(card: Scorecard, subject: Subject) -> str:
    if subject is Subject.RESULT:
        return (
            "Of finished results, only how they are measured can be changed. A program that makes "
            "its small pictures otherwise (resized originals, another bicubic, no rounding) would "
            "have given other results: what that is worth cannot be known from their files. It is "
            "told below for what can be made anew."
        )
    who = as_markdown(card.network or "") if subject is Subject.NETWORK else "Bicubic"
    return f"{who}, made anew under each choice: from the original down, up again, and measured."


def _way(tally: Tally, name: str) -> str:
    way = tally.way(NAMED[name])
    if way is None:
        return (
            "Not all of these pictures can be measured so: they hold no colour, or are too small."
        )
    if not way.steps:
        return f"Nothing differs: {_in_short(way.end)}."
    return (
        f"{_in_short(way.start)} become {_in_short(way.end)}:\n\n"
        f"{_steps_table([*way.steps, way.sum])}"
    )


def _steps_table(steps: Sequence[Step]) -> str:
    rows = [
        {
            "Choice": step.choice,
            "dB": _signed(step.psnr, 3),
            "SSIM": _signed(step.ssim, 4),
        }
        for step in steps
    ]
    return aligned_table(rows, text_columns=1)


def _steps(tally: Tally, name: str) -> list[dict[str, Any]] | None:
    way = tally.way(NAMED[name])
    return None if way is None else [asdict(step) for step in way.steps]


def _numbers(found: Average | Mark | None) -> dict[str, float | None]:
    if found is None:
        return {"psnr": None, "ssim": None}
    return {"psnr": found.psnr if math.isfinite(found.psnr) else None, "ssim": found.ssim}


def _in_short(found: Average | None) -> str:
    if found is None:
        return "not measurable"
    return f"{found.psnr:.3f} dB" + ("" if found.ssim is None else f", SSIM {found.ssim:.4f}")


def _psnr(found: Average | None) -> str:
    return _ABSENT if found is None else f"{found.psnr:.2f}"


def _ssim(found: Average | None) -> str:
    return _ABSENT if found is None or found.ssim is None else f"{found.ssim:.4f}"


def _signed(value: float | None, digits: int) -> str:
    return _ABSENT if value is None else f"{value:+.{digits}f}"
