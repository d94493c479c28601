"""Thermoelastic cells with two fields, displacement and temperature, shared by tests of cells and of FE2."""

from dataclasses import dataclass

import ufl

import hmm
from support.cells_and_rves import TIGHT


@dataclass(frozen=True)
class Heated:
    """Thermoelasticity, ``1/2 eps:C:eps - beta T tr(eps) - c/2 T^2``, and conduction, ``k/2 g.g``."""

    elastic: hmm.laws.Elastic
    expansion: float
    conductivity: float
    capacity: float = 0.01

    fields = ("strain", "temperature", "gradient")

    @property
    def beta(self):
        """Thermal stress per degree."""
        return 3 * self.elastic.bulk_modulus * self.expansion

    def internal(self, dim):
        return {}

    def response(self, at):
        return {
            "strain": self.elastic.stress(at.strain) - self.beta * at.temperature * ufl.Identity(3),
            "temperature": -self.beta * ufl.tr(at.strain) - self.capacity * at.temperature,
            "gradient": self.conductivity * at.gradient,
        }

    def update(self, at):
        return {}


A = Heated(hmm.laws.Elastic(70e3, 0.33), 23e-6, 200.0)
B = Heated(hmm.laws.Elastic(400e3, 0.2), 5e-6, 30.0)


def heated_rve(cell, laws, constraint="periodic", degree=(1, 1), **options):
    w = hmm.fluctuation(cell, degree=degree)
    inputs = [hmm.macro_strain(cell, component=0), hmm.macro_temperature(cell), hmm.macro_gradient(cell, component=1)]
    return hmm.RVE(cell, w, inputs, law=laws, constraint=constraint, newton_options=TIGHT, **options)
