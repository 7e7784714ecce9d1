"""Results as Markdown tables that also read well as plain text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srcnn_mlflow.measuring.evaluation import Summary


@dataclass(frozen=True)
class TableRow:
    """One line of the report's table."""

    scale: str
    metric: str
    bicubic: str
    srcnn: str
    improvement: str

    def cells(self) -> dict[str, str]:
        """The line by column title."""
        return {
            "Scale": self.scale,
            "Metric": self.metric,
            "Bicubic": self.bicubic,
            "SRCNN": self.srcnn,
            "Improvement": self.improvement,
        }

    @classmethod
    def from_cells(cls, cells: Mapping[str, str]) -> "TableRow":
        """The inverse of `cells`."""
        return cls(*(cells[title] for title in cls("", "", "", "", "").cells()))


def table_rows(scale: int, summary: Summary) -> list[TableRow]:
    """The report's two lines for a scale: PSNR in dB and SSIM; and that of colours, if measured."""
    rows = [
        TableRow(
            f"x{scale}",
            "PSNR (dB)",
            f"{summary.bicubic_psnr:.2f}",
            f"{summary.srcnn_psnr:.2f}",
            f"{summary.psnr_gain:+.2f}",
        ),
        TableRow(
            f"x{scale}",
            "SSIM",
            f"{summary.bicubic_ssim:.4f}",
            f"{summary.srcnn_ssim:.4f}",
            f"{summary.ssim_gain:+.4f}",
        ),
    ]
    if summary.rgb_psnr_gain is not None:
        rows.append(
            TableRow(
                f"x{scale}",
                "RGB PSNR (dB)",
                f"{summary.bicubic_rgb_psnr:.2f}",
                f"{summary.srcnn_rgb_psnr:.2f}",
                f"{summary.rgb_psnr_gain:+.2f}",
            )
        )
    return rows


def describe_bias(summary: Summary) -> str:
    """How much lighter or darker pictures become on average, in a sentence."""
    return (
        f"Mean luma shifted by {summary.srcnn_bias:+.2f} grey levels (bicubic "
        f"{summary.bicubic_bias:+.2f}), by {summary.srcnn_largest_bias:+.2f} in the picture where "
        "most."
    )


def markdown_table(rows: Sequence[TableRow]) -> str:
    """Lay the report's lines out as a Markdown table that also reads well as plain text."""
    return aligned_table([row.cells() for row in rows], text_columns=2)


def aligned_table(rows: Sequence[Mapping[str, str]], text_columns: int) -> str:
    """Lay lines out as a Markdown table that also reads well as plain text.

    Args:
        rows: at least one line, each by the same column titles.
        text_columns: so many columns are set left, and all others, which hold numbers, right.
    """
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]

    def layout(cells: Sequence[str]) -> str:
        placed = [
            cell.ljust(width) if column < text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(placed)} |"

    rule = "|".join(
        "-" * (width + 2) if column < text_columns else "-" * (width + 1) + ":"
        for column, width in enumerate(widths)
    )
    return "\n".join([layout(lines[0]), f"|{rule}|", *(layout(line) for line in lines[1:])])
