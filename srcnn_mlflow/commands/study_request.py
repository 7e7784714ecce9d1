"""What a study is asked to train, and what that makes of each of its trainings."""

from dataclasses import dataclass
from typing import Any

from srcnn_mlflow.commands.train_request import TrainRequest
from srcnn_mlflow.machine.text import as_file_name
from srcnn_mlflow.tracking.study import LONGEST_STUDY, STUDIES_FOLDER, Place
from srcnn_mlflow.training.settings import RECIPE
from srcnn_mlflow.training.study_tables import StudySetting, StudyTable


@dataclass(frozen=True)
class StudyRequest:
    """Everything that decides a study; its fields are the parameters of `study`.

    Attributes:
        name: what is trained.
        scale: 2, 3 or 4.
        dataset: names the photographs, where a setting has none of its own.
        test: names those whose test pictures are looked at in the end.
        seeds: so many trainings of each setting.
        max_minutes: of a training.
        epochs: of a training, in place of minutes; None for minutes.
        device: `auto`, `cpu`, `cuda` or `mps`.
        storage: an SQLAlchemy URL; None for a SQLite file.
    """

    name: StudyTable
    scale: int
    dataset: str
    test: str
    seeds: int
    max_minutes: float
    epochs: int | None
    device: str
    storage: str | None

    @property
    def place(self) -> Place:
        """Where it is kept who trains what."""
        name = as_file_name(f"{self.name.name}-x{self.scale}-{self.dataset}", LONGEST_STUDY)
        return Place(name, self.storage, STUDIES_FOLDER)

    @property
    def length(self) -> str:
        """How long a training is, in words."""
        if self.epochs is not None:
            return f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}"
        return f"about {self.max_minutes:g} minutes"

    def training(self, setting: StudySetting, seed: int) -> TrainRequest:
        """What is trained of a setting: the recipe, but for what study and setting say."""
        usual = TrainRequest(self.scale, self.dataset, 33, 14, None, RECIPE).parameters()
        length: dict[str, Any] = {"max_minutes": self.max_minutes}
        if self.epochs is not None:
            length = {"epochs": self.epochs, "max_minutes": None}
        if "epochs" in setting.values:
            length["max_minutes"] = None
        return TrainRequest.from_parameters({**usual, **length, **setting.values, "seed": seed})
