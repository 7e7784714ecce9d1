"""`samples`: photographs that come inside scikit-image and scikit-learn."""

from importlib.util import find_spec
from pathlib import Path

from srcnn_mlflow.machine.errors import DatasetError

# Both pictures of the stereo pair train, so that no test picture has a twin; the retina and the
# textures are there for their detail. Test holds the pictures people know by sight.
SAMPLES = {
    "train": (
        "skimage/data/brick.png",
        "skimage/data/coins.png",
        "skimage/data/grass.png",
        "skimage/data/gravel.png",
        "skimage/data/hubble_deep_field.jpg",
        "skimage/data/motorcycle_left.png",
        "skimage/data/motorcycle_right.png",
        "skimage/data/retina.jpg",
    ),
    "valid": (
        "skimage/data/camera.png",
        "sklearn/datasets/images/flower.jpg",
    ),
    "test": (
        "skimage/data/astronaut.png",
        "skimage/data/chelsea.png",
        "sklearn/datasets/images/china.jpg",
        "skimage/data/coffee.png",
        "skimage/data/rocket.jpg",
    ),
}


def sample_files() -> dict[str, list[Path]]:
    """Find the installed pictures, by split.

    Raises:
        DatasetError: a package that brings them is missing.
    """

    def locate(relative: str) -> Path:
        package, _, rest = relative.partition("/")
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise DatasetError(
                f"data set samples needs the package {package}; install the requirements again"
            )
        return Path(spec.submodule_search_locations[0]) / rest

    return {split: [locate(relative) for relative in files] for split, files in SAMPLES.items()}
