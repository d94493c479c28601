"""Vectorized material models in NumPy, to be used as micro models."""

from __future__ import annotations

import numpy as np

import hmm

PLANE = np.zeros((3, 6))
"""From Mandel vectors in plane strain to those in 3D."""
PLANE[[0, 1, 2], [0, 1, 3]] = 1.0

OUT_OF_PLANE = np.zeros((4, 6))
"""From Mandel vectors (11, 22, 33, 12) to those in 3D."""
OUT_OF_PLANE[[0, 1, 2, 3], [0, 1, 2, 3]] = 1.0

ONE = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
DEVIATORIC = np.eye(6) - np.outer(ONE, ONE) / 3


def radial_return(young: float, poisson: float, yield_stress: float, hardening: float, plane=PLANE):
    """J2 plasticity with linear isotropic hardening by radial return (Simo and Hughes 1998, box 3.2).

    `plane` brings the macroscopic inputs to Mandel vectors in 3D.
    """
    K, G = young / (3 * (1 - 2 * poisson)), young / (2 * (1 + poisson))

    def function(E, old, dt):
        strain = E @ plane
        s = 2 * G * (strain - old["plastic_strain"]) @ DEVIATORIC
        size = np.linalg.norm(s, axis=1)
        q, n = np.sqrt(1.5) * size, s / np.maximum(size, 1e-300)[:, None]
        dp = np.maximum(q - yield_stress - hardening * old["p"][:, 0], 0.0) / (3 * G + hardening)
        flow = np.sqrt(1.5) * dp[:, None] * n
        stress = K * np.outer(strain @ ONE, ONE) + s - 2 * G * flow
        yields = dp > 0
        theta = np.where(yields, 1 - 3 * G * dp / np.maximum(q, 1e-300), 1.0)
        bar = np.where(yields, 3 * G / (3 * G + hardening) - 1 + theta, 0.0)
        C = K * np.outer(ONE, ONE) + 2 * G * theta[:, None, None] * DEVIATORIC
        C = C - 2 * G * bar[:, None, None] * n[:, :, None] * n[:, None, :]
        new = {"plastic_strain": old["plastic_strain"] + flow, "p": old["p"] + dp[:, None]}
        return stress @ plane.T, plane @ C @ plane.T, new

    return function


def j2_model(out_of_plane: bool = False, **options: object) -> hmm.FunctionModel:
    """The same material as `hmm.laws.J2(70e3, 0.3, 100.0, 700.0)` in plane strain, or with the component 33 as well."""
    variables = {"plastic_strain": 6, "p": 1}
    law = radial_return(70e3, 0.3, 100.0, 700.0, OUT_OF_PLANE if out_of_plane else PLANE)
    return hmm.FunctionModel(law, hmm.models.strain(2, out_of_plane=out_of_plane), variables, **options)
