"""Room on disks."""

from pathlib import Path

from srcnn_mlflow.machine.disk import free_bytes


def test_the_disk_of_a_folder_to_come_is_looked_at(tmp_path: Path) -> None:
    assert 0 < free_bytes(tmp_path / "to" / "come") <= 1e18
