"""Job files for `hmm homogenize`."""

FIBRE = """
[cell]
generator = "fibre"
volume_fraction = 0.3
mesh_size = 0.3

[phases.matrix]
young = 3.0
poisson = 0.35

[phases.fibre]
young = 70.0
poisson = 0.2
"""
"""A coarse fibre cell of two elastic phases."""
