"""Job files of the command.

The cell, the laws and the requested results in TOML, see docs/effective.md. May import laminates, effective and below.
Begin with `reading`, then `running`.
"""

from importlib import resources

from hmm.jobs.changes import changes_of
from hmm.jobs.laminates import LaminateJob, read_laminate_job, run_laminate_job
from hmm.jobs.reading import Job, read_job
from hmm.jobs.running import run_job

__all__ = [
    "Job",
    "LaminateJob",
    "changes_of",
    "example",
    "read_job",
    "read_laminate_job",
    "run_job",
    "run_laminate_job",
]


def example() -> str:
    """A job file to start from."""
    return resources.files("hmm.jobs").joinpath("example.toml").read_text(encoding="utf-8")
