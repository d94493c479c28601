"""Job files.

For ``hmm homogenize`` the cell, the laws and the requested results in TOML, see docs/effective.md; for ``hmm run`` a
macro problem too, in `hmm.jobs.fe2`. May import laminates, effective and below. Begin with `reading`, then `running`.
"""

from importlib import resources

from hmm.jobs.changes import changes_of
from hmm.jobs.editor import json_schema
from hmm.jobs.fe2.body import MacroBody, box_body, file_body
from hmm.jobs.fe2.estimating import JobEstimate, estimate_cell, estimate_run
from hmm.jobs.fe2.reading import RunJob, read_run
from hmm.jobs.fe2.running import RunResult, run_fe2
from hmm.jobs.fe2.script import python_of
from hmm.jobs.laminates import LaminateJob, read_laminate_job, run_laminate_job
from hmm.jobs.load_curve import LoadCurve
from hmm.jobs.load_test import LoadTest, read_load_test
from hmm.jobs.load_testing import run_load_test
from hmm.jobs.reading import Job, read_job
from hmm.jobs.running import run_job

__all__ = [
    "Job",
    "JobEstimate",
    "LaminateJob",
    "LoadCurve",
    "LoadTest",
    "MacroBody",
    "RunJob",
    "RunResult",
    "box_body",
    "changes_of",
    "estimate_cell",
    "estimate_run",
    "example",
    "file_body",
    "json_schema",
    "python_of",
    "read_job",
    "read_laminate_job",
    "read_load_test",
    "read_run",
    "run_fe2",
    "run_job",
    "run_laminate_job",
    "run_load_test",
]


def example(name: str = "example") -> str:
    """A job file to start from: ``"example"`` for ``hmm homogenize``, ``"load_test"`` for ``hmm test``."""
    return resources.files("hmm.jobs").joinpath(f"{name}.toml").read_text(encoding="utf-8")
