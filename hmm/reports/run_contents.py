"""The content of the report of an FE2 run."""

from __future__ import annotations

from pathlib import Path

from mpi4py import MPI

from hmm.foundation.files import write_atomically
from hmm.pages import Block, Code, Document, Facts, Picture, Tabular, Words, markdown_of, sections_of, write_html
from hmm.pictures import plot_curve, plot_residuals
from hmm.reports.run_record import RunRecord, StepRecord

CURVE, RESIDUALS = "curve.png", "residuals.png"
MOST_ROWS = 200
"""Largest number of steps in the table; of more steps every n-th is listed."""


def write_run(record: RunRecord, directory: Path) -> Path:
    """Draw the curves of a run and write ``report.md`` and ``report.html`` into its directory; not collective."""
    if record.steps:
        bars = [step.bar for step in record.steps]
        known = None if None in bars else [bar for bar in bars if bar is not None]
        x, y = ([getattr(step, name) for step in record.steps] for name in ("x", "y"))
        plot_curve(directory / CURVE, MPI.COMM_SELF, x, y, record.axes[0], record.axes[1], known)
        plot_residuals(directory / RESIDUALS, {step.number: step.residuals for step in record.steps})
    document = run_document(record, directory)
    write_atomically(directory / "report.md", markdown_of(document))
    return write_html(directory / "report.html", document)


def run_document(record: RunRecord, directory: Path) -> Document:
    """The report of a run, with the pictures in the directory."""
    further = [Picture(title, directory / name) for title, name in record.pictures.items()]
    sections = [
        *sections_of("Set-up", [Facts(list(record.set_up.items()))]),
        *sections_of("Microstructure", [_phases(record)]),
        *sections_of("Macro curve", [_drawn(directory, CURVE, _curve_title(record)), _error_words(record)]),
        *sections_of("The body", further),
        *sections_of("Worst RVEs", [*_worst(record, directory)]),
        *sections_of(
            "Convergence and cost", [_drawn(directory, RESIDUALS, "Macro residual in each step"), _steps(record)], True
        ),
        *sections_of(_source_title(record), [Code(record.script) if record.script else None]),
        *sections_of(
            "How to repeat", [Code(record.repeat) if record.repeat else None, Facts(list(record.made.items()))], True
        ),
    ]
    return Document(record.title, [f"FE2 run, {record.made.get('date', 'no date')}."], sections, _summary(record))


def _source_title(record: RunRecord) -> str:
    return "The job" if "hmm run" in record.repeat else "The program"


def _summary(record: RunRecord) -> list[tuple[str, str]]:
    if not record.steps:
        return [("steps", "0")]
    last, steps = record.steps[-1], record.steps
    bar = "" if last.bar is None else f" ± {last.bar:.2g}"
    return [
        ("steps", str(len(steps))),
        (f"last: {record.axes[0]}", f"{last.x:.5g}"),
        (f"last: {record.axes[1]}", f"{last.y:.5g}{bar}"),
        ("macro iterations", str(sum(step.iterations for step in steps))),
        ("micro solves", f"{sum(step.micro.get('solves', 0) for step in steps):,}"),
        ("time", f"{sum(step.seconds for step in steps):.3g} s"),
    ]


def _curve_title(record: RunRecord) -> str:
    bar = ", with the estimated error" if any(step.bar for step in record.steps) else ""
    return f"{record.axes[1]} over {record.axes[0]}{bar}"


def _error_words(record: RunRecord) -> Block | None:
    if not record.steps:
        return Words("No step was accepted.", warning=True)
    if all(step.bar is None for step in record.steps):
        return Words(
            "There is no error bar: exact cell problems estimate none; the errors of the meshes are not included."
        )
    return Words(
        "The bar contains the errors of the micro models, not those of the macro mesh and of the cells' meshes."
    )


def _phases(record: RunRecord) -> Tabular | None:
    several = len({name for name, *_ in record.phases}) > 1
    rows = [row if several else row[1:] for row in record.phases]
    return Tabular(("RVE type", "phase", "fraction", "law")[not several :], rows, plain=True) if rows else None


def _drawn(directory: Path, name: str, title: str, width: str = "half") -> Picture | None:
    return Picture(title, directory / name, width) if (directory / name).is_file() else None


def _worst(record: RunRecord, directory: Path) -> list[Block]:
    """A table of the worst RVEs, and their pictures."""
    if not record.worst:
        return []
    rows = [
        (f"{k + 1}", f"({', '.join(f'{c:.4g}' for c in one.x)})", f"{one.value:.5g}")
        for k, one in enumerate(record.worst)
    ]
    blocks: list[Block] = [Tabular(("", "macro coordinates", "value"), rows)]
    titles = [f"RVE {k + 1}: {one.variable}" for k, one in enumerate(record.worst)]
    found = [_drawn(directory, one.picture, title, "third") for one, title in zip(record.worst, titles, strict=True)]
    return blocks + [picture for picture in found if picture is not None]


def _steps(record: RunRecord) -> Tabular | None:
    """The table of the steps."""
    if not record.steps:
        return None
    every = -(-len(record.steps) // MOST_ROWS)
    columns = ["step", record.axes[0], record.axes[1], "± error", "iterations", "last residual", "cutbacks"]
    columns += ["micro solves", "factorizations", "time in s"]
    troubles = {f"step {step.number}: {step.trouble}" for step in record.steps if step.trouble}
    note = "; ".join(sorted(troubles)) or "No step needed a recovery strategy."
    return Tabular(columns, [_row(step) for step in record.steps[::every]], note)


def _row(step: StepRecord) -> tuple[str, ...]:
    bar = "" if step.bar is None else f"{step.bar:.2g}"
    last = f"{step.residuals[-1]:.1e}" if step.residuals else ""
    counts = (step.micro.get("solves", 0), step.micro.get("factorizations", 0))
    return (
        *(str(step.number), f"{step.x:.5g}", f"{step.y:.5g}", bar, str(step.iterations), last, str(step.cutbacks)),
        *(f"{count:,}" for count in counts),
        f"{step.seconds:.3g}",
    )
