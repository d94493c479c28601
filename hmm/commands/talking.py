"""What all subcommands have in common: how much they print."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from mpi4py import MPI

from cyclopts import Parameter

from hmm.foundation import console
from hmm.foundation.errors import InputError

LOG = logging.getLogger("hmm")


@Parameter(name="*")
@dataclass(frozen=True)
class Talk:
    """What a subcommand prints."""

    as_json: Annotated[bool, Parameter(name="--json", help="print the result as one JSON object, and nothing else")] = (
        False
    )
    quiet: Annotated[bool, Parameter(alias="-q", help="print errors and warnings only")] = False
    verbose: Annotated[bool, Parameter(alias="-v", help="print more about what is done")] = False

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Print as chosen in the body.

        Raises
        ------
        InputError
            If the choices contradict each other.
        """
        if self.verbose and (self.quiet or self.as_json):
            raise InputError(f"--verbose and {'--quiet' if self.quiet else '--json'} contradict each other: give one")
        before = LOG.level
        if self.verbose:
            LOG.setLevel(logging.INFO)
        try:
            with console.muted(self.quiet or self.as_json):
                yield
        finally:
            LOG.setLevel(before)

    def tell(self, result: Mapping[str, Any] | None) -> None:
        """Print the result of a subcommand on rank 0, if it is wanted as JSON."""
        if self.as_json and MPI.COMM_WORLD.rank == 0:
            with console.lasting():
                print(json.dumps(result or {}, indent=2, default=_plain), file=sys.stdout, flush=True)


def _plain(value: Any) -> Any:
    """A value that JSON does not know: arrays as lists, and anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


DEFAULT_TALK = Talk()
"""Results in words."""
