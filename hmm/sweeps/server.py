"""A server of a job for UM-Bridge, the interface of packages for uncertainty quantification.

The protocol is version 1.0 of UM-Bridge (Seelinger et al., *J. Open Source Softw.* 8 (2023) 4748), JSON over HTTP. The
server of the package ``umbridge`` listens at all network interfaces and cannot be told otherwise; this one listens at
the loopback interface, unless another one is given.
"""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hmm.foundation.errors import HMMError, InputError
from hmm.foundation.options import integer
from hmm.sweeps.evaluation import JobFunction

LOG = logging.getLogger("hmm")

MODEL, PORT, LOOPBACK = "forward", 4242, "127.0.0.1"
"""Name of the model and port, those that clients of UM-Bridge expect, and the default address."""

LARGEST = 10_000_000
"""Largest number of bytes of a question."""

UNSUPPORTED = ("Gradient", "ApplyJacobian", "ApplyHessian")


class Refused(Exception):
    """A question that cannot be answered: the type of the error in UM-Bridge, and the message."""

    def __init__(self, kind: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.kind, self.status = kind, status


class JobServer(ThreadingHTTPServer):
    """The server of a job; use `serve_forever` and `server_close` of the base class.

    Parameters
    ----------
    function
        Makes the job a function, when the port is known to be free.
    host, port
        Where it listens; a port of 0 is any free one.

    Raises
    ------
    InputError
        If the port is in use or not permitted, or there is no such address.
    """

    daemon_threads = True

    def __init__(self, function: Callable[[], JobFunction], host: str = LOOPBACK, port: int = PORT) -> None:
        integer("port", port, 0, 65535)
        self._at_the_end = ExitStack()
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise InputError(_why(host, port, error)) from None
        with ExitStack() as stack:
            stack.callback(super().server_close)
            self.function = function()
            stack.pop_all()
        self._at_the_end.callback(self.function.close)

    def server_close(self) -> None:
        """Close the port and end the processes of the function."""
        super().server_close()
        self._at_the_end.close()

    @property
    def url(self) -> str:
        """The address for clients."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def answer(self, path: str, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question that names the model."""
        if question.get("name") != MODEL:
            raise Refused("ModelNotFound", f"there is no model {question.get('name')!r}: the only one is {MODEL!r}")
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "/ModelInfo": lambda: {"support": {"Evaluate": True} | dict.fromkeys(UNSUPPORTED, False)},
            "/InputSizes": lambda: {"inputSizes": [len(self.function.keys)]},
            "/OutputSizes": lambda: {"outputSizes": self.function.sizes},
            "/Evaluate": lambda: {"output": self._evaluated(question)},
        }
        if path not in answers:
            raise Refused("UnsupportedFeature", f"{path[1:]} is not supported: only Evaluate is")
        return answers[path]()

    def _evaluated(self, question: dict[str, Any]) -> list[list[float]]:
        values: Any = question.get("input")
        config, n = question.get("config") or {}, len(self.function.keys)
        if not _are_numbers(values, n) or not isinstance(config, dict):
            raise Refused("InvalidInput", f"input is not a list of one list of {n} numbers: {self.function.keys}")
        try:
            found = self.function([float(value) for value in values[0]], config)
        except HMMError as error:
            LOG.warning("%s: %s", values[0], error)
            raise Refused("ModelError", str(error), 500) from None
        LOG.info("%s: %s", values[0], found)
        return found


class _Handler(BaseHTTPRequestHandler):
    """Answers one question."""

    server: JobServer
    timeout = 60.0

    def do_GET(self) -> None:
        """Name the protocol and the model."""
        if self.path == "/Info":
            self._send(200, {"protocolVersion": 1.0, "models": [MODEL]})
        else:
            self._send(404, _error("NotFound", f"there is no {self.path}"))

    def do_POST(self) -> None:
        """Answer a question about the model."""
        try:
            self._send(200, self.server.answer(self.path, self._question()))
        except Refused as error:
            self._send(error.status, _error(error.kind, str(error)))

    def _question(self) -> dict[str, Any]:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= LARGEST:
            raise Refused("InvalidInput", f"the length of a question is 0 to {LARGEST} bytes")
        try:
            found = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError):
            raise Refused("InvalidInput", "the question is not JSON") from None
        if not isinstance(found, dict):
            raise Refused("InvalidInput", "the question is not a JSON object")
        return found

    def _send(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Log the questions in detail only."""
        LOG.debug(format, *args)


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message}}


def _are_numbers(values: Any, n: int) -> bool:
    """Whether the values are one list of n numbers."""
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], list) or len(values[0]) != n:
        return False
    return all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e300 for v in values[0])


def _why(host: str, port: int, error: OSError) -> str:
    where = f"port {port} of {host}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use: give another one with --port, or 0 for any free one"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where} is not permitted: give one above 1023 with --port"
    return f"cannot listen at {where} ({error.strerror or error}): give an address of this machine with --host"
