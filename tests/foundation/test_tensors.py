"""Packings of tensors against their definition."""

import numpy as np
import pytest
import ufl

import hmm  # first, it loads the libraries in the right order
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
    "third order": tensors.general(2, 2, 2),
    "strain gradient 2D": tensors.general(2, 2, 2, symmetric=(0, 1)),
    "second gradient 3D": tensors.general(3, 3, 3, symmetric=(1, 2)),
    "third order, symmetric": tensors.general(3, 3, 3, symmetric=(0, 1, 2)),
    "fourth order": tensors.general(2, 2, 2, 2, symmetric=(2, 3)),
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
        first, *others = (axis - len(packing.shape) for axis in packing.symmetric)
        assert all(np.array_equal(tensor, np.swapaxes(tensor, first, axis)) for axis in others)


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


@pytest.mark.parametrize("name", ["symmetric 3D", "plane strain", "general 2D", "strain gradient 2D"])
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


@pytest.mark.parametrize(
    ("axes", "labels"),
    [
        ((0, 1), ("111", "112", "121", "122", "221", "222")),
        ((1, 2), ("111", "112", "122", "211", "212", "222")),
        ((0, 1, 2), ("111", "112", "122", "222")),
    ],
)
def test_third_order_with_symmetry(axes: tuple[int, ...], labels: tuple[str, ...]) -> None:
    packing = tensors.general(2, 2, 2, symmetric=axes)
    assert packing.labels == labels
    tensor = packing.to_tensor(RNG.standard_normal(packing.size))
    assert packing.asymmetry(tensor) == 0.0
    for axis in axes[1:]:
        assert np.array_equal(tensor, np.swapaxes(tensor, axes[0], axis))
    general = RNG.standard_normal((2, 2, 2))
    assert packing.asymmetry(general) > 0
    symmetrized = evaluate(packing.symmetrized(ufl.as_tensor(general.tolist())))
    assert packing.asymmetry(symmetrized) < 1e-15
    assert evaluate(packing.symmetrized(ufl.as_tensor(tensor.tolist()))) == pytest.approx(tensor)
    weights = dict(zip(packing.labels, packing.factors, strict=True))
    assert weights["112"] == pytest.approx({2: 1.0 if axes == (0, 1) else 2**0.5, 3: 3**0.5}[len(axes)])


def test_synonyms_are_the_labels_of_equal_entries() -> None:
    assert tensors.symmetric(2).synonyms == (("11",), ("22",), ("12", "21"))
    strain_gradient = tensors.general(2, 2, 2, symmetric=(0, 1))
    assert strain_gradient.synonyms[strain_gradient.labels.index("121")] == ("121", "211")


@pytest.mark.parametrize("name", sorted(PACKINGS))
def test_rotation_is_that_of_each_index(name: str) -> None:
    packing = PACKINGS[name]
    order, d = len(packing.shape), packing.shape[0] if packing.shape else 3
    angles = np.array([0.3, 1.1])
    c, s = np.cos(angles), np.sin(angles)
    zero, one = np.zeros(2), np.ones(2)
    rows = [[c, -s], [s, c]] if d == 2 else [[c, -s, zero], [s, c, zero], [zero, zero, one]]
    Q = np.moveaxis(np.array(rows), -1, 0)
    vector = RNG.standard_normal(packing.size)
    rotated = packing.rotation(Q) @ vector
    for n in range(2):
        tensor = packing.to_tensor(vector)
        for axis in range(order):
            tensor = np.moveaxis(np.tensordot(Q[n], tensor, axes=(1, axis)), 0, axis)
        assert rotated[n] == pytest.approx(packing.to_vector(tensor), abs=1e-14)
        assert np.linalg.norm(rotated[n]) == pytest.approx(np.linalg.norm(vector), rel=1e-14)


@pytest.mark.parametrize("axes", [(0, 3), (1, 1), (1,), (0, 2)])
def test_axes_that_cannot_be_symmetric_are_refused(axes: tuple[int, ...]) -> None:
    with pytest.raises(hmm.InputError, match="give two or more of its axes"):
        tensors.general(2, 2, 3, symmetric=axes)
