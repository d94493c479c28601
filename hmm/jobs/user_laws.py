"""Laws in the user's own code, named in a job file by dotted path; this code runs only with the user's consent."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hmm.foundation.errors import InputError
from hmm.foundation.naming import nearest
from hmm.laws import Law
from hmm.laws.registry import LAWS

PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
"""A module and a name in it."""


def is_path(name: object) -> bool:
    """Whether the name of a law refers to the user's code, such as ``"mylaws.Gent"``, and not to `hmm.laws`."""
    if not isinstance(name, str) or not PATH.fullmatch(name):
        return False
    return name not in LAWS and name.partition(".")[0] not in LAWS


def find(path: str, trusted: Path | None, where: str) -> Callable[..., Any]:
    """Import the object of a dotted path; modules in the folder of the job file are found first.

    Parameters
    ----------
    path
        The module and the name in it.
    trusted
        Directory of the job file if its laws may be run, otherwise None.
    where
        The place, for errors.

    Raises
    ------
    InputError
        If the code is not trusted, cannot be imported, or contains no such law.
    """
    if trusted is None:
        raise InputError(
            f"{where}: law = {path!r} is code of your own, which would be run: if you trust it, use "
            "'hmm homogenize --trust-laws' (in Python: read_job(..., trust_laws=True))"
        )
    module, _, name = path.rpartition(".")
    try:
        with _beside(trusted):
            code = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{where}: law = {path!r} cannot be imported ({_words(error)}): {_remedy(error, module)}"
        ) from None
    found = getattr(code, name, None)
    if not callable(found):
        laws = [key for key, value in vars(code).items() if isinstance(value, type) and not key.startswith("_")]
        raise InputError(f"{where}: law = {path!r}: {module} has no law {name!r}{nearest(name, laws)}")
    return found


def make(law: Callable[..., Any], parameters: dict[str, Any], where: str) -> Law:
    """Create the law with the user's code.

    Raises
    ------
    InputError
        If the code fails, or does not return a law.
    """
    try:
        made = law(**parameters)
    except (Exception, SystemExit) as error:
        words = " ".join(str(error).split()) if isinstance(error, InputError) else _words(error)
        raise InputError(f"{where}: {words}") from None
    if not isinstance(made, Law):
        raise InputError(
            f"{where}: {type(made).__name__} is not a law: define fields, internal, response and update (hmm.laws.Law)"
        )
    return made


@contextmanager
def _beside(directory: Path) -> Iterator[None]:
    """Put a directory first on the search path of modules while the block runs."""
    place = str(directory.resolve())
    sys.path.insert(0, place)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(place)


def _remedy(error: BaseException, module: str) -> str:
    if isinstance(error, ModuleNotFoundError) and module.startswith(str(error.name)):
        return f"put {module.partition('.')[0]}.py in the folder of the job file, or install it"
    return "correct it"


def _words(error: BaseException) -> str:
    """An error of other code in one line, with the place of a syntax error or of the failing line."""
    line = ""
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg} in {Path(error.filename).name}, line {error.lineno}"
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is not None and not isinstance(error, ModuleNotFoundError):
        line = f" in {Path(traceback.tb_frame.f_code.co_filename).name}, line {traceback.tb_lineno}"
    return f"{' '.join(f'{type(error).__name__}: {error}'.split())[:300]}{line}"
