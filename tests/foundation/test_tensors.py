"""Packings of tensors against their definition."""

import numpy as np
import pytest
import ufl

import hmm  # noqa: F401  first, it loads the libraries in the right order
from hmm.foundation import tensors

RNG = np.random.default_rng(1)

PACKINGS = {
    "symmetric 2D": tensors.symmetric(2),
    "symmetric 3D": tensors.symmetric(3),
    "plane strain": tensors.plane(2),
    "plane 3D": tensors.plane(3),
    "scalar": tensors.general(),
    "vector": tensors.general(3),
    "general 2D": tensors.general(2, 2),
    "general 3D": tensors.general(3, 3),
}


@pytest.fixture(params=PACKINGS)
def packing(request: pytest.FixtureRequest) -> tensors.Packing:
    return PACKINGS[request.param]


def evaluate(expression: ufl.core.expr.Expr) -> np.ndarray:
    """Value of a UFL tensor without coefficients."""
    return np.array([expression[i]((), ()) for i in np.ndindex(expression.ufl_shape)]).reshape(expression.ufl_shape)


def test_to_vector_inverts_to_tensor(packing: tensors.Packing) -> None:
    vectors = RNG.standard_normal((4, 2, packing.size))
    tensor = packing.to_tensor(vectors)
    assert tensor.shape == (4, 2, *packing.shape)
    assert packing.to_vector(tensor) == pytest.approx(vectors, abs=1e-15)
    if packing.symmetric:
        assert np.array_equal(tensor, np.swapaxes(tensor, -1, -2))


def test_scalar_product_is_preserved(packing: tensors.Packing) -> None:
    a, b = RNG.standard_normal((2, packing.size))
    assert (packing.to_tensor(a) * packing.to_tensor(b)).sum() == pytest.approx(a @ b, rel=1e-14)


def test_ufl_and_numpy_agree(packing: tensors.Packing) -> None:
    vector = RNG.standard_normal(packing.size)
    unpacked = packing.unpack(ufl.as_vector(vector.tolist()))
    assert evaluate(unpacked) == pytest.approx(packing.to_tensor(vector), abs=1e-15)
    assert evaluate(packing.pack(unpacked)) == pytest.approx(vector, abs=1e-15)


def test_mandel_components() -> None:
    r2 = 2**0.5
    strain = np.array([[1.0, 4.0, 5.0], [4.0, 2.0, 6.0], [5.0, 6.0, 3.0]])
    assert tensors.symmetric(3).to_vector(strain) == pytest.approx([1, 2, 3, 4 * r2, 5 * r2, 6 * r2])
    assert tensors.symmetric(2).to_vector(strain[:2, :2]) == pytest.approx([1, 2, 4 * r2])
    assert tensors.plane(2).to_vector(strain) == pytest.approx([1, 2, 3, 4 * r2])
    assert tensors.general(2, 2).to_vector([[1, 2], [3, 4]]) == pytest.approx([1, 2, 3, 4])
    assert tensors.symmetric(3).labels == ("11", "22", "33", "12", "13", "23")
    assert tensors.general(2, 2).labels == ("11", "12", "21", "22")


@pytest.mark.parametrize("name", ["symmetric 3D", "plane strain", "general 2D"])
def test_fourth_order_acts_like_the_matrix(name: str) -> None:
    packing = PACKINGS[name]
    matrix, vector = RNG.standard_normal((packing.size, packing.size)), RNG.standard_normal(packing.size)
    fourth = packing.to_fourth_order(matrix)
    assert fourth.shape == 2 * packing.shape
    response = np.tensordot(fourth, packing.to_tensor(vector), axes=len(packing.shape))
    assert packing.to_vector(response) == pytest.approx(matrix @ vector, rel=1e-13)
    assert packing.to_tensor(matrix @ vector) == pytest.approx(response, rel=1e-13)


def test_fourth_order_with_other_columns() -> None:
    rows, columns = tensors.plane(2), tensors.general(2)
    matrix, vector = RNG.standard_normal((4, 2)), RNG.standard_normal(2)
    mixed = rows.to_fourth_order(matrix, columns)
    assert mixed.shape == (3, 3, 2)
    assert rows.to_vector(mixed @ vector) == pytest.approx(matrix @ vector, rel=1e-13)


def test_isotropic_stiffness_in_all_notations() -> None:
    lam, mu, eye = 2.0, 3.0, np.eye(3)
    mandel = 2 * mu * np.eye(6) + lam * np.outer([1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0])
    symmetric = np.einsum("ik,jl->ijkl", eye, eye) + np.einsum("il,jk->ijkl", eye, eye)
    expected = lam * np.einsum("ij,kl->ijkl", eye, eye) + mu * symmetric
    assert tensors.symmetric(3).to_fourth_order(mandel) == pytest.approx(expected, abs=1e-14)
    # sigma_12 = mu * gamma_12 with the engineering shear gamma_12 = 2 eps_12
    voigt = tensors.mandel_to_voigt(mandel)
    assert np.diag(voigt) == pytest.approx([lam + 2 * mu] * 3 + [mu] * 3)
    assert voigt[0, 1] == pytest.approx(lam)
    assert tensors.mandel_to_voigt(2 * mu * np.eye(3))[2, 2] == pytest.approx(mu)


def test_embed_puts_zeros_out_of_plane() -> None:
    plane = ufl.as_tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.array_equal(evaluate(tensors.embed(plane)), [[1, 2, 0], [3, 4, 0], [0, 0, 0]])
    solid = ufl.Identity(3)
    assert tensors.embed(solid) is solid
