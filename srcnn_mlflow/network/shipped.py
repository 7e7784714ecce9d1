"""The small trained networks that come with the package."""

from pathlib import Path

FOLDER = Path(__file__).with_name("weights")


def shipped_network(scale: int) -> Path:
    """The ONNX file of the network that ships for a scale; 2, 3 or 4."""
    return FOLDER / f"srcnn-x{scale}.onnx"
