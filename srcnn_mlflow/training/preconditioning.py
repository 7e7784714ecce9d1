"""Show the first layer luma that is centred and less correlated; fold it away afterwards.

Neighbouring pixels are nearly equal, so the gradient of a first layer is mostly about brightness,
which says nothing of what bicubic has lost. The layer is therefore trained on luma minus its mean,
times a power of its covariance (partial whitening; LeCun et al., "Efficient BackProp", 1998). Both
are linear, so the trained network is written down as the plain SRCNN that computes the same.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

# 0 leaves the covariance as it is, -0.5 makes it the identity; 8-bit noise would then rule.
EXPONENT = -0.25
# Of the places where a kernel fits into a patch, every so many are looked at.
_STEP = 37
_SMALLEST_EIGENVALUE = 1e-7


class Preconditioner(nn.Module):
    """The mean of luma, and a symmetric matrix over the pixels under a kernel.

    Attributes:
        mean: a single value, luma in 0..1.
        matrix: shape (side * side, side * side).
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, mean: Tensor, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("matrix", matrix)

    def kernel(self, trained: Tensor) -> Tensor:
        """Turn what is trained into the kernel that centred luma is convolved with.

        Args:
            trained: shape (filters, 1, side, side).
        """
        filters, _, *side = trained.shape
        kernel = (trained.flatten(1) @ self.matrix).view(filters, *side, 1)
        # In the order that lets the convolution, and all that follows, work channels last.
        return kernel.permute(0, 3, 1, 2)

    def bias(self, kernel: Tensor, trained: Tensor) -> Tensor:
        """The bias that goes with `kernel` on luma which is not centred, shape (filters,)."""
        return trained - self.mean * kernel.sum(dim=(1, 2, 3))

    def trained_kernel(self, kernel: Tensor) -> Tensor:
        """The inverse of `kernel`."""
        # In float64: what is solved for is folded again, and both roundings would add up.
        rows = kernel.flatten(1).double()
        # The matrix is symmetric.
        solved: Tensor = torch.linalg.solve(self.matrix.double(), rows.T).T
        return solved.to(kernel.dtype).reshape(kernel.shape)

    def trained_bias(self, kernel: Tensor, bias: Tensor) -> Tensor:
        """The inverse of `bias`, for a kernel as `kernel` gives it."""
        return bias + self.mean * kernel.sum(dim=(1, 2, 3))


def fit_preconditioner(luma: Tensor, side: int) -> Preconditioner:
    """Measure the mean of patches, and how the pixels under a kernel go together.

    Args:
        luma: network inputs in 0..1, shape (patches, 1, height, width), no smaller than a kernel.
        side: of the first layer's kernels, in pixels.
    """
    mean = luma.mean()
    windows = functional.unfold(luma - mean, side)[:, :, ::_STEP]
    windows = windows.permute(0, 2, 1).reshape(-1, side * side).double()
    covariance = windows.T @ windows / len(windows)
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp_min(_SMALLEST_EIGENVALUE * values.max())
    matrix = (vectors * values**EXPONENT) @ vectors.T
    # The layer's input keeps its power, and the usual initialization its meaning.
    power = torch.trace(covariance) / torch.trace(matrix @ covariance @ matrix.T)
    return Preconditioner(mean, (matrix * power.sqrt()).float())
