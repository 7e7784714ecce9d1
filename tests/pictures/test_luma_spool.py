"""Planes that wait on disk between checking and preparing."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srcnn_mlflow.pictures import luma_spool
from srcnn_mlflow.pictures.datasets import load_dataset
from srcnn_mlflow.pictures.imaging import luma
from srcnn_mlflow.pictures.luma_spool import LumaSpool
from srcnn_mlflow.pictures.photos import load_luma
from tests.conftest import largest_file


def plane(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (10 + seed, 20), np.uint8)


def test_planes_come_back_as_they_were_kept(tmp_path: Path) -> None:
    with LumaSpool(tmp_path) as spool, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: spool.keep(str(seed), plane(seed)), range(40)))
        for seed in range(40):
            found = spool.find(str(seed))
            assert found is not None
            assert np.array_equal(found, plane(seed))
        assert spool.find("none") is None


def test_the_luma_kept_while_checking_is_that_of_the_picture(
    photo_folder: Path, tmp_path: Path
) -> None:
    with LumaSpool(tmp_path) as spool:

        def keep(digest: str, image: Image.Image) -> None:
            spool.keep(digest, luma(image))

        for photo in load_dataset(str(photo_folder), keep).photos("all"):
            kept = spool.find(photo.digest)
            assert kept is not None
            assert np.array_equal(kept, load_luma(photo))


def test_nothing_is_left_on_disk(tmp_path: Path) -> None:
    with LumaSpool(tmp_path) as spool:
        spool.keep("a", plane(1))
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_spool_that_cannot_be_written_stays_empty(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with LumaSpool(tmp_path / "file") as spool:
        spool.keep("a", plane(1))
        assert spool.find("a") is None


# A first write that fails, and one that is cut short.
@pytest.mark.parametrize("size", [0, 10_000])
def test_a_write_that_fails_costs_no_picture(photo_folder: Path, tmp_path: Path, size: int) -> None:
    with LumaSpool(tmp_path) as spool, largest_file(size):
        dataset = load_dataset(
            str(photo_folder), lambda digest, image: spool.keep(digest, np.asarray(image))
        )
        assert len(dataset.photos("all")) == 9
        assert dataset.skipped == ()
        assert all(spool.find(photo.digest) is None for photo in dataset.photos("all"))


def test_a_nearly_full_disk_gets_its_room_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LumaSpool(tmp_path) as spool:
        spool.keep("a", plane(1))
        monkeypatch.setattr(luma_spool, "free_bytes", lambda _: 3 * plane(1).size)
        spool.keep("b", plane(2))
        assert spool.find("a") is None
        monkeypatch.undo()
        spool.keep("c", plane(3))
        assert spool.find("c") is None
