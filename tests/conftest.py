"""Shared by all tests: `hmm` is imported before anything else of the FEniCSx stack."""

import hmm  # isort: skip

from mpi4py import MPI

import dolfinx
import pytest


def pytest_report_header(config: pytest.Config) -> str:
    return f"hmm {hmm.__version__}, dolfinx {dolfinx.__version__}, {MPI.COMM_WORLD.size} rank(s)"
