"""Reports of properties and FE2 runs.

A report is one HTML file that contains all it shows. May import effective, plotting, runs and below. Begin with
`report`, then `run_log` (what is recorded of an FE2 run) and `run_contents` (what its report says).
"""

from hmm.reports.report import report
from hmm.reports.run_log import RunLog

__all__ = ["RunLog", "report"]
