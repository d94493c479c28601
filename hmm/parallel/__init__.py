"""Distribution of the integration points over the ranks.

Contains the exchange of inputs and states. May import models and the foundation; it uses micro models through the
protocol only. Begin with `ensemble` (the distribution), then `batches` (the points of this rank, by model).
"""
