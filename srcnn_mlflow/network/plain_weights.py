"""What a network has learned, apart from the library that runs it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# Arrays such as `conv1.weight` and `conv1.bias`, in torch's layout.
Weights = Mapping[str, NDArray[np.float32]]
