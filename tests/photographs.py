"""Photographs that come with scikit-image, two in colour and one in grey, as uint8."""

import numpy as np
from numpy.typing import NDArray
from skimage import data

Eight = NDArray[np.uint8]

ASTRONAUT: Eight = data.astronaut()  # type: ignore[no-untyped-call]
CHELSEA: Eight = data.chelsea()  # type: ignore[no-untyped-call]
CAMERA: Eight = data.camera()  # type: ignore[no-untyped-call]
