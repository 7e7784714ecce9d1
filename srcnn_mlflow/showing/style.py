"""What the figures have in common."""

from matplotlib.axes import Axes

# A colour a scale (Okabe and Ito, 2008: told apart by the colour-blind too).
SCALE_COLOURS = {2: "#0072B2", 3: "#D55E00", 4: "#009E73"}
INK, QUIET, GRID = "#333333", "#666666", "#e6e6e6"


def quieten(axis: Axes, labelsize: float) -> None:
    """Leave of an axis's own lines nothing but the grid, behind what is drawn."""
    axis.set_axisbelow(True)
    axis.tick_params(length=0, labelsize=labelsize, labelcolor=INK, pad=6)
    for spine in axis.spines.values():
        spine.set_visible(False)
