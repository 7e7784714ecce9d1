"""Labels of points, where they cover nothing."""

import itertools
import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

# Labels are tried around their point, nearest first: distances in points, directions in degrees.
_DISTANCES = range(9, 150, 7)
_DIRECTIONS = (0, 180, 30, -30, 150, -150, 60, -60, 120, -120, 90, -90)
# Farther away than this, a line leads from a label to its point.
_NEAR = 16


def place_labels(axis: Axes, renderer: RendererAgg, beside: Sequence[Bbox] = ()) -> None:
    """Move every label to the nearest place inside the panel where it covers nothing.

    Args:
        axis: its labels are annotations, and its lines what they must not cover.
        renderer: of the figure.
        beside: what else they must not cover, in pixels.
    """
    # In pixels: the markers, the dashed lines, and, as they are placed, other labels.
    taken = [*(line.get_window_extent() for line in axis.lines), *beside]
    labels = [text for text in axis.texts if isinstance(text, Annotation)]
    # From the top, so that labels of points that lie close stay in their order.
    for label in sorted(labels, key=lambda one: one.xy[1], reverse=True):
        taken.append(_place(label, axis.get_window_extent(), taken, renderer))


def _place(label: Annotation, panel: Bbox, taken: Sequence[Bbox], renderer: RendererAgg) -> Bbox:
    """Move a label, and give the box that it takes then; where all is full, the last one tried."""
    for distance, direction in itertools.product(_DISTANCES, _DIRECTIONS):
        _set_offset(label, distance, math.radians(direction))
        label.update_positions(renderer)
        # Of the text alone; an annotation's own extent has the line to its point too.
        box = Text.get_window_extent(label).padded(2)
        inside = panel.x0 <= box.x0 and box.x1 <= panel.x1 and panel.y0 <= box.y0 <= panel.y1
        if inside and not any(box.overlaps(other) for other in taken):
            break
    return box


def _set_offset(label: Annotation, distance: float, direction: float) -> None:
    """Let a label begin so many points from its point, where it stands to the side of it."""
    right, up = math.cos(direction), math.sin(direction)
    label.set_position((distance * right, distance * up))
    label.set_horizontalalignment(("right", "center", "left")[round(right) + 1])
    label.set_verticalalignment(("top", "center", "bottom")[round(up) + 1])
    assert label.arrow_patch is not None
    label.arrow_patch.set_visible(distance > _NEAR)
