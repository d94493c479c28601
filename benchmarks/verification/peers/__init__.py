"""The same cells solved by other codes, side by side; ``python benchmarks verify-peers``."""
