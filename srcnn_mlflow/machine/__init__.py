"""The ground: what this computer is and does, for whoever needs it.

Processors, memory, disks, files that are whole or not there, locks, other processes, progress, and
how faults and messages reach a person. Nothing here knows a picture, a network or MLflow.
"""


def __getattr__(name: str) -> object:
    """Give a version that was registered when this was one file what its served model asks for."""
    if name == "return_large_buffers":
        from srcnn_mlflow.machine.memory import return_large_buffers

        return return_large_buffers
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
