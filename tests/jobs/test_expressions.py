"""Arithmetic of job files: values, the same as Python, and nothing else."""

import math

import pytest

import hmm
from hmm.jobs.fe2.expressions import Expression

VALUES = [
    ("-0.3 * t", -0.6),
    ("2 ** t - t / 4 + t % 1.5", 4 - 0.5 + 0.5),
    ("sin(2 * pi * t / 8)", 1.0),
    ("min(t, 1) + max(t, 3) + abs(-t)", 6.0),
    ("t if t < 1 else 2 - t", 0.0),
    ("1 if 0 < t <= 2 else 0", 1.0),
    ("exp(log(t)) + e - e", 2.0),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_values(text, value):
    expression = Expression(text)
    assert expression(2.0) == pytest.approx(value, abs=1e-15)
    assert eval(expression.python, {"math": math, "t": 2.0}) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "__import__('os')",
            "t.real",
            "[t][0]",
            "lambda: t",
            "t and 1",
            "'a'",
            "1j",
            "True",
            "f(t)",
            "sin",
            "sin(t=1)",
        ),
        *("t; t", "t = 1", "", "(" * 300 + "t", "t == 1", "x", "sin(*t)", "10 ** 400 * 1" + "0" * 400, "t if t else 1"),
    ],
)
def test_anything_else_is_one_line(text):
    with pytest.raises(hmm.InputError) as error:
        Expression(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["1 / (t - 2)", "log(t - 3)", "9 ** 9 ** 9", "sqrt(-t)", "exp(1e9)", "(-t) ** 0.5", "1 % 0"]
)
def test_no_value_is_one_line(text):
    with pytest.raises(hmm.InputError, match="at t = 2"):
        Expression(text)(2.0)
