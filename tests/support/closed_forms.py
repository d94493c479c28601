"""Closed forms that tests hold beside the numbers; NumPy only."""

import numpy as np


def isotropic(young, poisson):
    """Stiffness ``C_ijkl``, shape (3, 3, 3, 3), of an isotropic material."""
    lame, mu = lame_constants(young, poisson)
    one = np.eye(3)
    volumetric = np.einsum("ij,kl->ijkl", one, one)
    return lame * volumetric + mu * (np.einsum("ik,jl->ijkl", one, one) + np.einsum("il,jk->ijkl", one, one))


def lame_constants(young, poisson):
    """Lame constants lambda and mu."""
    return young * poisson / ((1 + poisson) * (1 - 2 * poisson)), young / (2 * (1 + poisson))


def backus(fractions, materials, normal=0):
    """Stiffness ``C_ijkl`` of a laminate of isotropic layers: Backus (1962), eqs. 13-14.

    Parameters
    ----------
    fractions
        Volume fraction of each layer.
    materials
        (young, poisson) of each layer.
    normal
        Axis of the layer normal.
    """
    f = np.asarray(fractions)
    lam, mu = np.array([lame_constants(*m) for m in materials]).T
    M = lam + 2 * mu
    nn = 1 / (f @ (1 / M))  # C_nnnn
    nt = (f @ (lam / M)) * nn  # C_nntt
    coupling = (f @ (lam / M)) ** 2 * nn - f @ (lam**2 / M)
    tt = f @ M + coupling  # C_tttt
    ts = f @ lam + coupling  # C_ttss
    C = np.zeros((3, 3, 3, 3))
    for i in range(3):
        for j in range(3):
            across = normal in (i, j)
            C[i, i, j, j] = (nn if i == normal else tt) if i == j else (nt if across else ts)
            if i != j:
                shear = 1 / (f @ (1 / mu)) if across else f @ mu
                C[i, j, i, j] = C[i, j, j, i] = shear
    return C


def laminate(fractions, stiffnesses, normal):
    """Stiffness of a laminate of any layers, from continuous traction and displacement across the interfaces.

    In layer i the strain is ``E + sym(a_i (x) n)`` with ``<a> = 0`` and the traction ``t = n.C_i:E + (n.C_i.n) a_i`` is
    the same in all; so ``a_i = (n.C_i.n)^-1 (t - n.C_i:E)``.

    Parameters
    ----------
    fractions
        Volume fraction of each layer.
    stiffnesses
        ``C_ijkl`` of each layer, shape (d, d, d, d).
    normal
        Unit normal, shape (d,).
    """
    f, C, n = np.asarray(fractions), np.asarray(stiffnesses), np.asarray(normal)
    flexibility = np.linalg.inv(np.einsum("i,aijkl,l->ajk", n, C, n))
    along = np.einsum("i,aijkl->ajkl", n, C)
    traction = np.einsum(
        "ij,jkl->ikl",
        np.linalg.inv(np.einsum("a,aij->ij", f, flexibility)),
        np.einsum("a,aij,ajkl->ikl", f, flexibility, along),
    )
    jump = np.einsum("aij,ajkl->aikl", flexibility, traction - along)
    return np.einsum("a,aijkl->ijkl", f, C + np.einsum("aijpq,q,apkl->aijkl", C, n, jump))


def mandel(C):
    """Mandel matrix of ``C_ijkl``, shape (d, d, d, d): (11, 22, 12) in 2D, (11, 22, 33, 12, 13, 23) in 3D."""
    d = len(C)
    pairs = [(i, i) for i in range(d)] + [(i, j) for i in range(d) for j in range(i + 1, d)]
    root = np.array([1.0 if i == j else 2**0.5 for i, j in pairs])
    return root[:, None] * root * np.array([[C[i, j, k, m] for k, m in pairs] for i, j in pairs])


def plane_strain(C):
    """The in-plane part, shape (2, 2, 2, 2), of a 3D stiffness."""
    return C[:2, :2, :2, :2]


def voigt_reuss(fractions, matrices):
    """Voigt and Reuss bounds of the Mandel matrices of the phases."""
    f, C = np.asarray(fractions), np.asarray(matrices)
    return np.einsum("a,aij->ij", f, C), np.linalg.inv(np.einsum("a,aij->ij", f, np.linalg.inv(C)))


def j2_return(strain, plastic_strain, p, young, poisson, yield_stress, hardening):
    """One backward-Euler step of J2 plasticity: the radial return of Simo and Hughes (1998), box 3.1.

    Returns
    -------
    stress, plastic_strain, p
        Tensors of shape (3, 3) and the accumulated plastic strain at the end of the step.
    """
    lam, mu = lame_constants(young, poisson)
    elastic = strain - plastic_strain
    trial = lam * np.trace(elastic) * np.eye(3) + 2 * mu * elastic
    s = trial - np.trace(trial) / 3 * np.eye(3)
    q = np.sqrt(1.5 * np.sum(s * s))
    f = q - yield_stress - hardening * p
    if f <= 0:
        return trial, plastic_strain, p
    dp = f / (3 * mu + hardening)
    flow = 1.5 * s / q
    return trial - 2 * mu * dp * flow, plastic_strain + dp * flow, p + dp
