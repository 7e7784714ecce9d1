"""Processes that begin with everything imported: copies of one that waits for orders.

A fresh Python takes seconds to import MLflow, and the tests judge models some hundred times. The
copies have the working folder, environment, arguments and pipes that a fresh process would have.
"""

import array
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any


class Nursery:
    """The process that waits, from its first order on."""

    def __init__(self, *imports: str) -> None:
        self._command = [sys.executable, "-P", str(Path(__file__)), *imports]
        self._socket: socket.socket | None = None

    def start(self, command: Sequence[str], **pipes: Any) -> "Forked":
        """Run `python -P script` in a copy; all is given as to `subprocess.Popen`."""
        if self._socket is None:
            self._socket, theirs = socket.socketpair()
            subprocess.Popen(self._command, stdin=theirs.fileno(), cwd="/")
            theirs.close()
        return Forked(self._socket, command[command.index("-P") + 1 :], **pipes)

    def close(self) -> None:
        """Let it end, once nothing is left that it began."""
        if self._socket is not None:
            self._socket.close()


class Forked:
    """A process of the nursery, with what the tests use of `subprocess.Popen`."""

    def __init__(
        self,
        mother: socket.socket,
        command: Sequence[str],
        *,
        stderr: IO[str],
        cwd: str,
        env: Mapping[str, str],
        **_pipes: object,
    ) -> None:
        (read, own_input), (own_output, write), (own_end, end) = os.pipe(), os.pipe(), os.pipe()
        order = json.dumps({"command": list(command), "cwd": cwd, "env": dict(env)}).encode()
        theirs = array.array("i", [read, write, stderr.fileno(), end])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, theirs)]
        mother.sendmsg([len(order).to_bytes(4, "big")], rights)
        mother.sendall(order)
        for one in (read, write, end):
            os.close(one)
        self.stdin, self.stdout = os.fdopen(own_input, "w"), os.fdopen(own_output)
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

    def wait(self) -> int:
        """Wait for its end; gives its exit code, or the signal that ended it below zero."""
        if self.returncode is None:
            self.returncode = int(self._end.readline())
            self._end.close()
        return self.returncode

    def communicate(self) -> tuple[str, None]:
        """Close its input, and wait for its end."""
        with suppress(BrokenPipeError):
            self.stdin.close()
        said = self.stdout.read()
        self.stdout.close()
        self.wait()
        return said, None


def _wait_for_orders(mother: socket.socket) -> None:
    while True:
        head, rights, _, _ = mother.recvmsg(4, socket.CMSG_SPACE(16))
        if not head:
            return
        pipes = array.array("i", rights[0][2])
        length = int.from_bytes(head, "big")
        order = json.loads(mother.recv(length, socket.MSG_WAITALL))
        end = pipes[3]
        pid = os.fork()
        if pid == 0:
            mother.close()
            os.close(end)
            _become(order, *pipes[:3])
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


def _become(order: Mapping[str, Any], *pipes: int) -> None:
    """Be the process that was ordered."""
    code = 1
    try:
        for number, one in enumerate(pipes):
            os.dup2(one, number)
            os.close(one)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        sys.argv = order["command"]
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", buffering=1)
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for module in sys.argv[1:]:
        __import__(module)
    _wait_for_orders(socket.socket(fileno=0))
