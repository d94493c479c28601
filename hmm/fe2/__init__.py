"""FE2: macro integration points, Homogenizer, MacroProblem.

May import parallel, micro and below. Begin with `homogenizer`, which asks the micro models of all integration points,
and `problem`, which solves the macro equations with what they answer; `variation` says which model is where.
"""
