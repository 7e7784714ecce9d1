"""Show the first layer planes that are centred and less correlated; fold it away afterwards.

Neighbouring pixels are nearly equal, so the gradient of a first layer is mostly about brightness,
which says nothing of what bicubic has lost; and so are red, green and blue. The layer is therefore
trained on planes minus their means, times a power of their covariance (partial whitening; LeCun et
al., "Efficient BackProp", 1998). Both are linear, so the trained network is written down as the
plain SRCNN that computes the same.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

# 0 leaves the covariance as it is, -0.5 makes it the identity; 8-bit noise would then rule.
EXPONENT = -0.25
# Of the places where a kernel fits into a patch, every so many are looked at.
_STEP = 37
_SMALLEST_EIGENVALUE = 1e-7
# Of three planes; a matrix over more of them together would take minutes, and gigabytes.
_MOST_TOGETHER = 1000


class Preconditioner(nn.Module):
    """The mean of each plane, and a symmetric matrix over the pixels under a kernel.

    Attributes:
        mean: in 0..1; a single value for one plane, and shape (planes, 1, 1) for several.
        matrix: shape (side * side * planes, side * side * planes), the planes of a pixel side by
            side; or (side * side, side * side) for each plane by itself.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, mean: Tensor, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("matrix", matrix)

    def kernel(self, trained: Tensor) -> Tensor:
        """Turn what is trained into the kernel that centred planes are convolved with.

        Args:
            trained: shape (filters, planes, side, side).
        """
        filters, planes, *side = trained.shape
        # The gradient comes in the order of the weights, or averaging it would be slower.
        pixels = trained if planes == 1 else trained.permute(0, 2, 3, 1)
        pixels = pixels.flatten(1)
        if len(self.matrix) == pixels.shape[1]:
            kernel = pixels @ self.matrix
        else:
            kernel = self.matrix @ pixels.view(filters, -1, planes)
        # In the order that lets the convolution, and all that follows, work channels last.
        return kernel.view(filters, *side, planes).permute(0, 3, 1, 2)

    def bias(self, kernel: Tensor, trained: Tensor) -> Tensor:
        """The bias that goes with `kernel` on planes which are not centred, shape (filters,)."""
        return trained - (self.mean.view(-1) * kernel.sum(dim=(2, 3))).sum(dim=1)

    def trained_kernel(self, kernel: Tensor) -> Tensor:
        """The inverse of `kernel`."""
        filters, planes, *side = kernel.shape
        # In float64, which not every device has: what is solved for is folded again, and both
        # roundings would add up.
        pixels = kernel.permute(0, 2, 3, 1).flatten(1).cpu().double()
        matrix = self.matrix.cpu().double()
        solved: Tensor
        if len(matrix) == pixels.shape[1]:
            # The matrix is symmetric.
            solved = torch.linalg.solve(matrix, pixels.T).T
        else:
            solved = torch.linalg.solve(matrix, pixels.view(filters, -1, planes))
        return solved.reshape(filters, *side, planes).permute(0, 3, 1, 2).to(kernel)

    def trained_bias(self, kernel: Tensor, bias: Tensor) -> Tensor:
        """The inverse of `bias`, for a kernel as `kernel` gives it."""
        return bias + (self.mean.view(-1) * kernel.sum(dim=(2, 3))).sum(dim=1)


def fit_preconditioner(patches: Tensor, side: int) -> Preconditioner:
    """Measure the mean of patches, and how the pixels under a kernel go together.

    Large kernels on several planes see each plane by itself.

    Args:
        patches: network inputs in 0..1, shape (patches, planes, height, width), no smaller than a
            kernel.
        side: of the first layer's kernels, in pixels.
    """
    planes = patches.shape[1]
    mean = patches.mean() if planes == 1 else patches.mean(dim=(0, 2, 3)).view(-1, 1, 1)
    together = planes == 1 or planes * side**2 <= _MOST_TOGETHER
    pixels, count = side * side * (planes if together else 1), 0
    covariance = torch.zeros(pixels, pixels, dtype=torch.float64)
    # Place by place: all together take a hundred megabytes and more.
    for windows in _windows(patches, side):
        centred = windows - mean
        seen = centred.permute(0, 2, 3, 1) if together else centred
        seen = seen.reshape(-1, pixels).cpu().double()
        covariance += seen.T @ seen
        count += len(seen)
    covariance /= count
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp_min(_SMALLEST_EIGENVALUE * values.max())
    matrix = (vectors * values**EXPONENT) @ vectors.T
    # The layer's input keeps its power, and the usual initialization its meaning.
    power = torch.trace(covariance) / torch.trace(matrix @ covariance @ matrix.T)
    return Preconditioner(mean, (matrix * power.sqrt()).float().to(mean.device))


def _windows(patches: Tensor, side: int) -> Iterator[Tensor]:
    """What a kernel sees at some of its places, each of shape (patches, planes, side, side)."""
    rows, columns = (length - side + 1 for length in patches.shape[2:])
    for place in range(0, rows * columns, _STEP):
        top, left = divmod(place, columns)
        yield patches[..., top : top + side, left : left + side]
