"""The report of a result."""

from __future__ import annotations

from pathlib import Path

from hmm.effective import EffectiveProperties
from hmm.effective.origin import Origin
from hmm.effective.writing import PROPERTIES, render
from hmm.foundation.errors import InputError
from hmm.pictures import check_available
from hmm.reports.run_contents import write_run
from hmm.reports.run_record import RECORD, RunRecord


def report(result: EffectiveProperties | str | Path, directory: str | Path | None = None) -> Path:
    """Write the report of a result, one HTML file that contains all it shows.

    Parameters
    ----------
    result
        Effective properties from `hmm.homogenize` (collective on the cell's communicator); or the directory of the
        results of ``hmm homogenize`` or of an `hmm.RunLog`, or one of the files in it (not collective).
    directory
        Where to write it; by default the directory of the results. It is needed for properties.

    Returns
    -------
    pathlib.Path
        ``report.html`` in the directory.

    Raises
    ------
    InputError
        If there are no such results, they are damaged, or the directory cannot be written to.
    """
    if isinstance(result, EffectiveProperties):
        if directory is None:
            raise InputError("a report of properties needs a directory: give hmm.report(found, 'results')")
        return result.report(directory)
    if not isinstance(result, str | Path):
        raise InputError(f"{type(result).__name__} is no result: give effective properties or a directory of results")
    source = Path(result)
    source = source.parent if source.is_file() else source
    if directory is not None and Path(directory).resolve() != source.resolve():
        raise InputError(f"directory = {directory}: the report of {source} stands beside its pictures, leave it out")
    if (source / PROPERTIES).exists():
        return render(EffectiveProperties.from_json(source / PROPERTIES), Origin.read(source), source)
    if (source / RECORD).exists():
        check_available()
        return write_run(RunRecord.read(source), source)
    raise InputError(f"{result} has neither {PROPERTIES} nor {RECORD}: give the directory of the results of a run")
