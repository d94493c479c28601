"""Write a micro model as one C source with a UMAT interface."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmm.foundation import tensors
from hmm.foundation.errors import InputError
from hmm.foundation.files import write_atomically
from hmm.foundation.options import instance
from hmm.foundation.version import VERSION
from hmm.models.points import Input
from hmm.models.table import TableModel
from hmm.reduced.model import ReducedModel
from hmm.umat import c_text
from hmm.umat.reduced_source import reduced_source
from hmm.umat.source import Source
from hmm.umat.table_source import table_source

STRAINS = (tensors.symmetric(2), tensors.plane(2), tensors.symmetric(3))
"""Packed strains; their components are in the order of Abaqus."""

INCLUDES = "".join(f"#include <{name}.h>\n" for name in ("math", "stdbool", "stdint", "stdio", "stdlib", "string"))


def write_umat(path: str | Path, model: TableModel | ReducedModel) -> Path:
    """Write a table or a reduced model as one C source with the interface of an Abaqus user material; not collective.

    The source contains all numbers and all code, also that of the laws, and needs nothing but the C library:
    ``gcc -O2 -shared -fPIC cell.c -o cell.so -lm``. It defines ``umat_``, with pointers to all arguments as Fortran
    passes them. Stress, tangent (``DDSDDE``) and state are those of the model. Strains are small: ``STRAN + DSTRAN`` is
    the model's strain, so geometric nonlinearity must be off. Where the model has no answer, ``PNEWDT = 0.5`` asks for
    a smaller increment. For a table, ``SSE`` is the work of the stress by the trapezoidal rule, exact for linear cells
    at constant parameters. A reduced model does not know how much of its work is stored, and sets no energies.

    The head of the source says how many components (``NTENS``), state variables (``*DEPVAR``) and constants
    (``*USER MATERIAL``) the model needs: the constants are the parameters of a table in their order, but one named
    ``temperature`` is ``TEMP + DTEMP``, and ``DDSDDT`` is the derivative by it.

    Parameters
    ----------
    path
        The file.
    model
        A table or a reduced model of one input, a small strain: in 3D (``NTENS`` 6), in the plane with the component
        33 (``out_of_plane=True``, ``NTENS`` 4 of plane strain) or without it (``NTENS`` 3).

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the path is none, the model is neither or has another input, or the file cannot be written.
    """
    instance("write_umat: path", path, (str, Path), "give the path of a file")
    remedy = "make one with hmm.tabulate or hmm.reduced.train"
    instance("write_umat: model", model, (TableModel, ReducedModel), remedy)
    strain = _strain_of(model.tabulated if isinstance(model, TableModel) else model.inputs)
    source = table_source(model) if isinstance(model, TableModel) else reduced_source(model)
    write_atomically(path, _text(source, strain))
    return Path(path)


def _strain_of(inputs: tuple[Input, ...]) -> Input:
    """The only input, a small strain."""
    names = ", ".join(e.name for e in inputs)
    if len(inputs) != 1:
        raise InputError(f"write_umat: the model has the inputs {names}: a UMAT has one, a small strain")
    (e,) = inputs
    if e.response != "stress" or e.packing not in STRAINS:
        raise InputError(
            f"write_umat: the model's input {names} is no small strain: make the model of hmm.macro_strain or "
            "hmm.models.strain"
        )
    return e


def _text(source: Source, strain: Input) -> str:
    components = strain.size
    names = ["PROPS: " + (", ".join(source.constants) or "none")]
    names += ["TEMP + DTEMP: temperature"] if source.temperature >= 0 else []
    head = [
        f"{source.title}, written by hmm {VERSION}.",
        "",
        f"NTENS {components} ({', '.join(strain.packing.labels)}), small strain; NSTATV {source.states}; "
        f"{'; '.join(names)}.",
        *source.notes,
        "",
        "gcc -O2 -shared -fPIC FILE.c -o FILE.so -lm",
    ]
    numbers = {"COMPONENTS": components, "PARAMETERS": source.parameters, "TEMPERATURE": source.temperature}
    parts = [
        c_text.comment(head) + INCLUDES,
        c_text.definitions({**numbers, "STATES": source.states}),
        c_text.array("voigt", 1 / np.array(strain.packing.factors)),
        source.code,
        c_text.code("umat.c"),
    ]
    return "\n".join(parts)
