"""What a service takes on, so that whatever it cannot do is refused in time."""

from dataclasses import dataclass

from srcnn_mlflow.machine.limits import read_limits


@dataclass(frozen=True)
class ServiceLimits:
    """Each is read from the environment variable beside it.

    Attributes:
        requests: that are read, waited with and worked on at once, `SRCNN_MAX_REQUESTS`.
        seconds: from the first byte of a request to its answer, `SRCNN_MAX_SECONDS`.
        request_megabytes: of the body of a request, `SRCNN_MAX_REQUEST_MEGABYTES`.
        output_megapixels: of the pictures of a request together, after they are enlarged,
            `SRCNN_MAX_OUTPUT_MEGAPIXELS`.
    """

    requests: float = 20
    seconds: float = 60
    request_megabytes: float = 32
    # Two cores take some eight seconds for it.
    output_megapixels: float = 16

    @classmethod
    def from_environment(cls) -> "ServiceLimits":
        """Take the limits that are set, and the defaults for all others.

        Raises:
            ModelError: a variable is not a number above zero.
        """
        return read_limits(cls())
