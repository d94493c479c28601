"""Micro models as C source for Abaqus.

One source has the interface of a user material (UMAT). May import reduced and the layers below. Begin with `writing`;
`table_source` and `reduced_source` write the numbers of a model as C, and the .c files beside them are the code that
uses these.
"""

from hmm.umat.writing import write_umat

__all__ = ["write_umat"]
