"""Arithmetic in job files: functions of the time, parsed into a tree of permitted operations and never run as code."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from hmm.foundation.errors import InputError
from hmm.foundation.naming import nearest

type Evaluate = Callable[[float], float]

LONGEST = 500
"""Largest number of characters of an expression."""

NUMBERS = {"pi": math.pi, "e": math.e}

FUNCTIONS: Mapping[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "exp", "log", "sqrt", "sinh", "cosh", "tanh")},
    **{"atan": math.atan, "floor": math.floor, "abs": abs, "min": min, "max": max},
}
"""Functions of an expression, by name."""

BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,
}
UNARY: Mapping[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
COMPARED: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    **{ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge},
}

REMEDY = "give arithmetic of t, such as '-0.3 * t', 'sin(2 * pi * t)' or 't if t < 1 else 2 - t'"


@dataclass(frozen=True)
class Expression:
    """A function of the time t in text: ``+ - * / % **``, comparisons, ``a if b else c``, and `FUNCTIONS`.

    Parameters
    ----------
    text
        The text.

    Raises
    ------
    InputError
        If it contains anything else.
    """

    text: str
    _evaluate: Evaluate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.text) > LONGEST:
            raise InputError(f"it has {len(self.text)} characters: give at most {LONGEST}, or a table")
        try:
            tree = ast.parse(self.text.strip(), mode="eval").body
            object.__setattr__(self, "_evaluate", _parsed(tree))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"it is not an expression: {REMEDY}") from None

    def __call__(self, t: float) -> float:
        """The value at a time.

        Raises
        ------
        InputError
            If it is not finite there, such as the logarithm of a negative number.
        """
        try:
            value = float(self._evaluate(float(t)))
        except (ArithmeticError, ValueError) as error:
            raise InputError(f"{self.text!r} has no value at t = {t:g} ({error}): change it, or the times") from None
        if not math.isfinite(value):
            raise InputError(f"{self.text!r} is {value} at t = {t:g}: change it, or the times")
        return value

    @property
    def python(self) -> str:
        """The same as an expression of Python, with functions of `math`."""
        return ast.unparse(_Qualified().visit(ast.parse(self.text.strip(), mode="eval")))


class _Qualified(ast.NodeTransformer):
    """Puts ``math.`` before names of functions and numbers."""

    def visit_Name(self, node: ast.Name) -> ast.expr:  # the name is given by ast
        """A name with its module."""
        if node.id in ("t", "abs", "min", "max"):
            return node
        return ast.Attribute(ast.Name("math"), node.id)


def _parsed(node: ast.expr) -> Evaluate:
    """The function that a part of an expression is."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            number = _number(value)
            return lambda t: number
        case ast.Name(id="t"):
            return lambda t: t
        case ast.Name(id=name):
            number = _known(name, NUMBERS, "t")
            return lambda t: number
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            return _applied(UNARY[type(op)], [operand])
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in BINARY:
            return _applied(BINARY[type(sign)], [left, right])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if args:
            return _applied(_known(name, FUNCTIONS), args)
        case ast.IfExp(test=ast.Compare() as test, body=body, orelse=other):
            holds, then, otherwise = _comparison(test), _parsed(body), _parsed(other)
            return lambda t: then(t) if holds(t) else otherwise(t)
    raise InputError(f"{ast.unparse(node)[:60]!r} in it is not arithmetic: {REMEDY}")


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise InputError("it has a number that is too large: use other units") from None


def _applied(function: Callable[..., float], parts: Sequence[ast.expr]) -> Evaluate:
    """A function of the values of parts."""
    values = [_parsed(part) for part in parts]
    return lambda t: function(*(value(t) for value in values))


def _comparison(node: ast.Compare) -> Callable[[float], bool]:
    if any(type(op) not in COMPARED for op in node.ops):
        raise InputError(f"{ast.unparse(node)[:60]!r} in it is not a comparison by < <= > >=: {REMEDY}")
    signs, values = [COMPARED[type(op)] for op in node.ops], [_parsed(n) for n in (node.left, *node.comparators)]

    def holds(t: float) -> bool:
        found = [value(t) for value in values]
        pairs = zip(signs, found[:-1], found[1:], strict=True)
        return reduce(lambda so_far, pair: so_far and pair[0](pair[1], pair[2]), pairs, True)

    return holds


def _known[T](name: str, known: Mapping[str, T], *others: str) -> T:
    """What a name stands for."""
    if name in known:
        return known[name]
    names = [*others, *NUMBERS, *FUNCTIONS]
    raise InputError(f"{name!r} in it is unknown{nearest(name, names)}: the names are {', '.join(names)}")
