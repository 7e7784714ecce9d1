"""The one family of errors whose message is meant for the person at the keyboard."""


class SrcnnError(Exception):
    """A problem the user can mend: the message says what, with which value, and what to do."""


class ImageError(SrcnnError):
    """A file that cannot be used as a picture."""


class DatasetError(SrcnnError):
    """A data set that is missing, empty, or leaks pictures between its splits."""


class StoreError(SrcnnError):
    """A prepared HDF5 file that is missing, damaged, or of another kind."""


class WriteError(SrcnnError):
    """A file that the system does not let us write."""


class TrainingError(SrcnnError):
    """A training run that cannot start, cannot go on, or cannot be resumed."""


class ModelError(SrcnnError):
    """A trained model that is missing, unreadable, or made for another scale."""


class DamagedModelError(ModelError):
    """A model that cannot be loaded or run, now or at any other time."""


class TrackingError(SrcnnError):
    """A tracking server that is away, or does not take what it is given."""


class ServiceError(SrcnnError):
    """A service that cannot begin."""


class SweepError(SrcnnError):
    """A sweep or a study that cannot start or go on."""


class StudyTableError(SrcnnError):
    """A study's file that cannot be read, or does not say what to train."""
