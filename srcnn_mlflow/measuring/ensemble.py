"""A model's self-ensemble: what it makes of a picture in all eight positions, averaged."""

import numpy as np

from srcnn_mlflow.measuring.evaluation import Upscale
from srcnn_mlflow.pictures.imaging import Plane, to_eight_bit


def self_ensemble(upscale: Upscale) -> Upscale:
    """Average a model over the eight symmetries of the square (Timofte et al., 2016).

    Args:
        upscale: the model, which then runs eight times a picture.

    Returns:
        A function of the same kind: uint8 in, uint8 out.
    """

    def averaged(plane: Plane) -> Plane:
        results = []
        for turns in range(4):
            for mirror in (False, True):
                turned = np.rot90(plane[:, ::-1] if mirror else plane, turns)
                result = np.rot90(upscale(np.ascontiguousarray(turned)), -turns)
                results.append(result[:, ::-1] if mirror else result)
        return to_eight_bit(np.mean(results, axis=0))

    return averaged
