"""FANS, a public matrix-free FFT code in C++, run beside if ``HMM_FANS`` names its executable (needs h5py)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

Material = dict[str, object]


def available() -> bool:
    """Whether there is an executable to run."""
    return bool(os.environ.get("HMM_FANS"))


def elastic(n: int) -> dict:
    """Problem A: six load cases of n^3 voxels."""
    bulk, shear = zip(_moduli(1.0, 0.3), _moduli(10.0, 0.3), strict=True)
    properties = {"bulk_modulus": bulk, "shear_modulus": shear}
    material = {"phases": [0, 1], "matmodel": "LinearElasticIsotropic", "material_properties": properties}
    cases = [[load] for load in np.diag([1, 1, 1, 0.5, 0.5, 0.5]).tolist()]
    result, stress = _run(n, [material], cases)
    return result | {"C": [stress[0][0], stress[0][1], stress[3][3]]}


def plastic(n: int) -> dict:
    """Problem B3: 20 increments of shear; seconds and iterations of one increment."""
    (k, g), (k_hard, g_hard) = _moduli(70e3, 0.3), _moduli(400e3, 0.2)
    matrix = {"bulk_modulus": [k], "shear_modulus": [g], "yield_stress": [100.0]}
    matrix["isotropic_hardening_parameter"] = [700.0]
    sphere = {"bulk_modulus": [k_hard], "shear_modulus": [g_hard]}
    materials = [
        {"phases": [0], "matmodel": "J2PlasticityNew_LinearIsotropicHardening", "material_properties": matrix},
        {"phases": [1], "matmodel": "LinearElasticIsotropic", "material_properties": sphere},
    ]
    path = [[0, 0, 0, 2**0.5 * 0.01 * i / 20, 0, 0] for i in range(1, 21)]
    result, stress = _run(n, materials, [path])
    return result | {
        "seconds": result["seconds"] / 20,
        "iterations": result["iterations"] / 20,
        "stress": [stress[i - 1][3] / 2**0.5 for i in (2, 5, 10, 20)],
    }


def _moduli(young: float, poisson: float) -> tuple[float, float]:
    """Bulk and shear modulus."""
    return young / (3 * (1 - 2 * poisson)), young / (2 * (1 + poisson))


def _run(n: int, materials: list[Material], loading: list) -> tuple[dict, list[list[float]]]:
    """Whole-process seconds, iterations, peak memory, and the mean stress of each increment (Mandel)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_input(folder, n, materials, loading)
        start = time.perf_counter()
        with open(folder / "log", "w") as log:
            command = [os.environ["HMM_FANS"], "input.json", "output.h5"]
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        out = (folder / "log").read_text()
    if status:
        sys.exit(f"FANS failed:\n{out[-2000:]}")
    stress = [[float(v) for v in row.split()] for row in re.findall(r"Effective Stress \.+\s+\((.*?)\)", out)]
    iterations = [int(i) for i in re.findall(r"it\s+(\d+)\s+\.\.\.\. err", out)]
    solved = sum(b for b, after in zip(iterations, [*iterations[1:], 0], strict=True) if after <= b)
    return {"seconds": seconds, "iterations": solved, "peak_mb": usage.ru_maxrss / 1024}, stress


def _write_input(folder: Path, n: int, materials: list[Material], loading: list) -> None:
    import h5py
    from problems import sphere_labels

    with h5py.File(folder / "cell.h5", "w") as file:
        file["labels"] = sphere_labels(n).astype(np.uint16)
    cell = {"filepath": str(folder / "cell.h5"), "datasetname": "/labels", "L": [1.0, 1.0, 1.0]}
    case = {
        "microstructure": cell,
        "problem_type": "mechanical",
        "strain_type": "small",
        "materials": materials,
        "FE_type": "HEX8",
        "method": "cg",
        "error_parameters": {"measure": "L2", "type": "relative", "tolerance": 1e-6},
        "n_it": 2000,
        "macroscale_loading": loading,
        "results": ["stress_average"],
    }
    (folder / "input.json").write_text(json.dumps(case))
