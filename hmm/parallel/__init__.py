"""Which rank works on which integration point.

How inputs and states travel between ranks. May import models and the foundation: all it knows of a micro model is the
protocol. Begin with `ensemble` (who works on what), then `batches` (the points of this rank, by model).
"""
