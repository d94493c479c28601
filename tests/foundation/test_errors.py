"""Errors reach every rank, or none."""

from mpi4py import MPI

import pytest

import hmm  # noqa: F401  first, it loads the libraries in the right order
from hmm.foundation.errors import ConvergenceError, HMMError, InputError, collectively, run

COMM = MPI.COMM_WORLD


@pytest.mark.parametrize("guilty", sorted({0, COMM.size - 1}))
def test_one_rank_raises_all_raise(guilty: int) -> None:
    with pytest.raises(ConvergenceError, match=f"rank {guilty} failed"), collectively(COMM):
        if COMM.rank == guilty:
            raise ConvergenceError(f"rank {guilty} failed")
    assert COMM.allreduce(1) == COMM.size  # nobody is left behind in a collective call


def test_the_lowest_failing_rank_speaks() -> None:
    with pytest.raises(InputError, match=r"^rank 0$"), collectively(COMM):
        raise InputError(f"rank {COMM.rank}")


def test_no_error_passes() -> None:
    with collectively(COMM):
        value = COMM.rank
    assert value == COMM.rank


def test_kinds_of_errors() -> None:
    assert issubclass(InputError, HMMError) and issubclass(InputError, ValueError)
    assert issubclass(ConvergenceError, HMMError) and issubclass(ConvergenceError, RuntimeError)


def test_run_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise InputError("size = -1 is not a length")

    with pytest.raises(SystemExit) as caught:
        run(main, MPI.COMM_SELF)
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: size = -1 is not a length\n"
