"""Shared by all tests: `hmm` is imported before anything else of the FEniCSx stack."""

import hmm  # isort: skip

import dolfinx
import pytest
from mpi4py import MPI


def pytest_report_header(config: pytest.Config) -> str:
    return f"hmm {hmm.__version__}, dolfinx {dolfinx.__version__}, {MPI.COMM_WORLD.size} rank(s)"
