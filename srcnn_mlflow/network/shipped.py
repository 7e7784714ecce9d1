"""The trained networks that come with the package."""

from pathlib import Path

FOLDER = Path(__file__).with_name("weights")
# What `shipped` stands for comes first.
SHIPPED_ARCHITECTURES = ("9-5-5", "9-1-5")
SHIPPED = "shipped"
SHIPPED_NAMES = (SHIPPED, *(f"{SHIPPED}-{name}" for name in SHIPPED_ARCHITECTURES))


def full_name(name: str) -> str:
    """The name of shipped weights that says which network they are of.

    Args:
        name: one of SHIPPED_NAMES.
    """
    return f"{SHIPPED}-{SHIPPED_ARCHITECTURES[0]}" if name == SHIPPED else name


def shipped_network(scale: int, name: str = SHIPPED) -> Path:
    """The ONNX file of a network that ships.

    Args:
        scale: 2, 3 or 4.
        name: one of SHIPPED_NAMES.
    """
    architecture = full_name(name).removeprefix(f"{SHIPPED}-")
    return FOLDER / f"srcnn-{architecture}-x{scale}.onnx"
