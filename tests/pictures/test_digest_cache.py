"""The cache of pixel digests: it saves time, and never changes a result."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from PIL import Image

from srcnn_mlflow.pictures import photos
from srcnn_mlflow.pictures.datasets import Dataset, load_dataset
from srcnn_mlflow.pictures.digest_cache import FORMAT, DigestCache, Pixels, signature
from srcnn_mlflow.pictures.photos import digest
from tests.conftest import largest_file, textured_pixels


def decoded(folder: Path) -> tuple[Dataset, int]:
    """A data set, and how many of its pictures had to be decoded."""
    kept: list[Image.Image] = []
    dataset = load_dataset(str(folder), lambda _, image: kept.append(image))
    return dataset, len(kept)


def test_a_picture_is_decoded_once(photo_folder: Path) -> None:
    first, decoded_first = decoded(photo_folder)
    second, decoded_second = decoded(photo_folder)
    assert first == second
    assert (decoded_first, decoded_second) == (9, 0)


def test_a_changed_picture_is_decoded_again(photo_folder: Path) -> None:
    before, _ = decoded(photo_folder)
    changed = photo_folder / "train" / "train0.png"
    Image.fromarray(textured_pixels(66, 80, 99)).save(changed)
    after, count = decoded(photo_folder)
    assert count == 1
    assert digest(after.photos("train")) != digest(before.photos("train"))


def test_a_picture_with_its_old_times_put_back_is_decoded_again(photo_folder: Path) -> None:
    decoded(photo_folder)
    path = photo_folder / "train" / "train0.png"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    content = path.read_bytes()
    path.write_bytes(content)
    os.utime(path, ns=times)
    assert path.stat().st_size == len(content)
    assert decoded(photo_folder)[1] == 1


def test_what_was_looked_at_is_known_after_an_interruption(photo_folder: Path) -> None:
    looked_at = []

    def interrupt(digest: str, _: Image.Image) -> None:
        looked_at.append(digest)
        if len(looked_at) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_dataset(str(photo_folder), interrupt)
    assert decoded(photo_folder)[1] <= 9 - 5


def test_what_is_looked_at_is_written_down_meanwhile(
    photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos, "_SECONDS_BETWEEN_SAVES", 0.0)
    looked_at: list[str] = []
    known: dict[str, str] = {}

    def wait_for_the_others(digest: str, _: Image.Image) -> None:
        looked_at.append(digest)
        end = time.monotonic() + 30
        while len(looked_at) == 9 and not photos.DIGESTS.exists() and time.monotonic() < end:
            time.sleep(0.01)
        if len(looked_at) == 9:
            known.update(json.loads(photos.DIGESTS.read_text())["pictures"])

    load_dataset(str(photo_folder), wait_for_the_others)
    assert known


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"format": 0}', '{"format": 2, "pictures": {"a": 3}}']
)
def test_a_damaged_cache_counts_as_empty(photo_folder: Path, content: str) -> None:
    expected, _ = decoded(photo_folder)
    photos.DIGESTS.write_text(content)
    assert decoded(photo_folder) == (expected, 9)
    assert decoded(photo_folder) == (expected, 0)


def test_a_flipped_bit_never_gives_another_digest(tmp_path: Path) -> None:
    picture, path = tmp_path / "picture", tmp_path / "digests.json"
    picture.touch()
    known = Pixels(640, 480, "0123456789abcdef" * 4, "fedcba9876543210" * 4, ("0f", "f0"))
    cache = DigestCache(path)
    cache.add(picture, signature(picture), known)
    cache.save()
    whole = path.read_bytes()
    assert DigestCache(path).find(picture, signature(picture)) == known
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            assert DigestCache(path).find(picture, signature(picture)) in (None, known)


def test_a_failed_write_leaves_the_former_cache(photo_folder: Path) -> None:
    decoded(photo_folder)
    before = photos.DIGESTS.read_bytes()
    Image.fromarray(textured_pixels(40, 40, 98)).save(photo_folder / "test" / "new.png")
    with largest_file(100):
        assert decoded(photo_folder)[1] == 1
    assert photos.DIGESTS.read_bytes() == before
    assert not list(photos.DIGESTS.parent.glob("*.partial"))


def test_a_cache_that_cannot_be_written_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    picture = tmp_path / "picture"
    picture.touch()
    cache = DigestCache(tmp_path / "file" / "digests.json")
    cache.add(picture, signature(picture), Pixels(1, 1, "00", "00", ()))
    cache.save()
    assert cache.find(picture, signature(picture)) == Pixels(1, 1, "00", "00", ())


def test_files_that_are_gone_are_forgotten(photo_folder: Path) -> None:
    decoded(photo_folder)
    gone = photo_folder / "test" / "test0.png"
    gone.unlink()
    Image.fromarray(textured_pixels(40, 40, 98)).save(photo_folder / "test" / "new.png")
    decoded(photo_folder)
    known = json.loads(photos.DIGESTS.read_text())["pictures"]
    assert {Path(name).name for name in known} == {
        path.name for path in photo_folder.glob("*/*.png")
    }


def test_an_unreadable_picture_is_named_every_time(photo_folder: Path) -> None:
    (photo_folder / "train" / "broken.png").write_bytes(b"no picture")
    for _ in range(2):
        dataset, _ = decoded(photo_folder)
        assert [line.split()[0] for line in dataset.skipped] == ["broken.png"]


def test_files_of_any_name_are_known_again(tmp_path: Path) -> None:
    path, known = tmp_path / "digests.json", Pixels(1, 1, "00", "00", ("0f",))
    pictures = [tmp_path / name for name in ("ü.png", 'a "b".png', "a\nb.png", "a\\b.png")]
    cache = DigestCache(path)
    for picture in pictures:
        picture.touch()
        cache.add(picture, signature(picture), known)
    cache.save()
    again = DigestCache(path)
    assert [again.find(picture, signature(picture)) for picture in pictures] == [known] * 4
    # Whatever reads JSON reads it.
    assert set(json.loads(path.read_text())["pictures"]) == set(map(str, pictures))


def test_a_file_of_one_line_is_read_as_former_versions_have_written_it(tmp_path: Path) -> None:
    path = tmp_path / "digests.json"
    pictures = [tmp_path / name for name in ("a.png", 'b": [[.png')]
    known = [Pixels(number, 2, f"{number}0", "01", ("0f", "f0")) for number in range(2)]
    entries = {}
    for picture, pixels in zip(pictures, known, strict=True):
        picture.touch()
        entries[str(picture)] = [[int(one) for one in signature(picture).split()], pixels]
    rest = f',"pictures": {json.dumps(entries)}}}'
    checksum = hashlib.sha256(rest.encode()).hexdigest()
    path.write_text(f'{{"format": {FORMAT}, "sha256": "{checksum}"\n{rest}')
    cache = DigestCache(path)
    assert [cache.find(picture, signature(picture)) for picture in pictures] == known
    # Written anew, it has a line for a path and one for what is known of its picture.
    cache.save()
    assert len(path.read_text().splitlines()) == 2 + 2 * len(pictures) + 1
    again = DigestCache(path)
    assert [again.find(picture, signature(picture)) for picture in pictures] == known
