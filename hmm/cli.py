"""The command ``hmm``."""

from __future__ import annotations

from collections.abc import Sequence

from hmm.commands import dispatch
from hmm.foundation import errors


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command with the given arguments, by default those of the process.

    Errors are printed as one line by rank 0, and the exit code is then 1.
    """
    errors.run(lambda: dispatch(argv))
