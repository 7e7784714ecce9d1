"""Processes that begin with everything imported: copies of one that waits for orders.

A fresh Python takes seconds to import MLflow and torch, and the tests start some hundred
processes. The copies have the working folder, environment, arguments and pipes that a fresh
process would have.
"""

import array
import atexit
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any, NoReturn


class Nursery:
    """The process that waits, from its first order on."""

    def __init__(self, *imports: str, path: Path | None = None) -> None:
        """Say what it is to import, and from which folder beside those of installed packages."""
        self._command = [sys.executable, "-P", str(Path(__file__)), *imports]
        self._environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
        self._socket: socket.socket | None = None

    def start(self, command: Sequence[str], **how: Any) -> "Forked":
        """Run a command of this Python in a copy.

        Args:
            command: Python, perhaps `-u` or `-P`, then a script, `-m` or `-c`, and arguments.
            how: as for `subprocess.Popen`; what is given to neither end of a pipe goes nowhere.
        """
        if self._socket is None:
            self._socket, theirs = socket.socketpair()
            subprocess.Popen(self._command, stdin=theirs.fileno(), cwd="/", env=self._environment)
            theirs.close()
        words = [str(word) for word in command[1:]]
        while words[0] in ("-u", "-P"):
            words.pop(0)
        return Forked(self._socket, words, **how)

    def close(self) -> None:
        """Let it end, once nothing is left that it began."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Forked:
    """A process of the nursery, with what the tests use of `subprocess.Popen`."""

    def __init__(
        self,
        mother: socket.socket,
        words: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | IO[str] | None = None,
        stderr: int | IO[str] | None = None,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        text: bool = True,
    ) -> None:
        assert text
        order = {"words": list(words), "cwd": str(cwd or Path.cwd())}
        message = json.dumps({**order, "env": dict(os.environ if env is None else env)}).encode()
        own_end, end = os.pipe()
        taken, self.stdin = _input(stdin)
        said, self.stdout = _output(stdout)
        complained, self.stderr = (
            (os.dup(said), None) if stderr == subprocess.STDOUT else _output(stderr)
        )
        theirs = (taken, said, complained, end)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", theirs))]
        mother.sendmsg([len(message).to_bytes(4, "big")], rights)
        mother.sendall(message)
        for one in theirs:
            os.close(one)
        self._end = os.fdopen(own_end)
        self.pid = int(self._end.readline())
        self.returncode: int | None = None

    def kill(self) -> None:
        """End it, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def poll(self) -> int | None:
        """Its exit code, or None before its end."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; gives its exit code, or the signal that ended it below zero."""
        if self.returncode is None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self.returncode = int(self._end.readline())
            self._end.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Close its input, and wait for its end; gives what it has said to its pipes."""
        if self.stdin is not None:
            with suppress(BrokenPipeError):
                self.stdin.close()
        heard = ["", ""]

        def hear(number: int, pipe: IO[str]) -> None:
            with pipe:
                heard[number] = pipe.read()

        pipes = [pipe if pipe and not pipe.closed else None for pipe in (self.stdout, self.stderr)]
        ears = [
            Thread(target=hear, args=(number, pipe), daemon=True)
            for number, pipe in enumerate(pipes)
            if pipe is not None
        ]
        for ear in ears:
            ear.start()
        self.wait(timeout)
        for ear in ears:
            ear.join(timeout)
        return heard[0], heard[1]


def _input(wanted: int | None) -> tuple[int, IO[str] | None]:
    """The end of the process's input, and ours."""
    if wanted is None:
        return os.open(os.devnull, os.O_RDONLY), None
    theirs, ours = os.pipe()
    return theirs, os.fdopen(ours, "w")


def _output(wanted: int | IO[str] | None) -> tuple[int, IO[str] | None]:
    """The end of what the process says, and ours."""
    if wanted == subprocess.PIPE:
        ours, theirs = os.pipe()
        return theirs, os.fdopen(ours)
    if wanted is None:
        return os.open(os.devnull, os.O_WRONLY), None
    assert not isinstance(wanted, int)
    return os.dup(wanted.fileno()), None


def _wait_for_orders(mother: socket.socket) -> dict[str, Any] | None:
    """Start copies; gives each of them its order, and None to the one that has waited."""
    while True:
        head, rights, _, _ = mother.recvmsg(4, socket.CMSG_SPACE(16))
        if not head:
            return None
        pipes = array.array("i", rights[0][2])
        length = int.from_bytes(head, "big")
        order: dict[str, Any] = json.loads(mother.recv(length, socket.MSG_WAITALL))
        end = pipes[3]
        pid = os.fork()
        if pid == 0:
            mother.close()
            os.close(end)
            for number, one in enumerate(pipes[:3]):
                os.dup2(one, number)
                os.close(one)
            return order
        for one in pipes[:3]:
            os.close(one)
        os.write(end, f"{pid}\n".encode())
        Thread(target=_tell_end, args=(pid, end)).start()


def _tell_end(pid: int, end: int) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    # Whoever asked may be gone.
    with suppress(BrokenPipeError):
        os.write(end, f"{code}\n".encode())
    os.close(end)


def _become(words: Sequence[str], cwd: str, env: Mapping[str, str]) -> None:
    """Be the process that was ordered."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    # It was found by the environment of before.
    tempfile.tempdir = None
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    if words[0] == "-m":
        sys.argv = list(words[1:])
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(words[1], {"__name__": "__main__"})
    else:
        sys.argv = list(words)
        runpy.run_path(words[0], run_name="__main__")


def _end_like_a_program(order: Mapping[str, Any]) -> NoReturn:
    """Do what was ordered and end, without the threads that libraries have lost by the copying.

    They would be waited for without end.
    """
    code = 0
    try:
        _become(**order)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    for module in sys.argv[1:]:
        __import__(module)
    # Whatever loads a model asks MLflow which package each module is of, which takes seconds.
    sys.modules["mlflow.utils.requirements_utils"]._init_modules_to_packages_map()
    ordered = _wait_for_orders(socket.socket(fileno=0))
    if ordered is not None:
        _end_like_a_program(ordered)
