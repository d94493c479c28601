"""A compiled UMAT, called as Abaqus calls it: pointers to everything, strains with engineering shears."""

import ctypes
import os
import shlex
import subprocess
import sysconfig

import numpy as np

TENSORS = ("STRESS", "STATEV", "DDSDDE", "SSE", "SPD", "SCD", "RPL", "DDSDDT", "DRPLDE", "DRPLDT", "STRAN", "DSTRAN")
TENSORS += ("TIME", "DTIME", "TEMP", "DTEMP", "PREDEF", "DPRED", "CMNAME", "NDI", "NSHR", "NTENS", "NSTATV", "PROPS")
ARGUMENTS = (*TENSORS, "NPROPS", "COORDS", "DROT", "PNEWDT", "CELENT", "DFGRD0", "DFGRD1", "NOEL", "NPT", "LAYER")
ARGUMENTS += ("KSPT", "KSTEP", "KINC")
WHOLE = {"NDI", "NSHR", "NTENS", "NSTATV", "NPROPS", "NOEL", "NPT", "LAYER", "KSPT", "KSTEP", "KINC"}


def compiled(source):
    """The shared library of a C source, with the compiler's warnings as errors and nothing but the C library."""
    library = source.with_suffix(".so")
    cc = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    flags = ["-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-shared", "-fPIC", "-Wl,--no-undefined"]
    subprocess.run([cc, *flags, str(source), "-o", str(library), "-lm"], check=True)
    return library


class Umat:
    """One material point: its total strain, stress and state between increments."""

    def __init__(self, library, ntens, nstatv=0, props=()):
        self.call = ctypes.CDLL(str(library)).umat_
        self.call.restype = None
        ndi = {3: 2, 4: 3, 6: 3}.get(ntens, ntens)
        sizes = {"STRESS": ntens, "STRAN": ntens, "DSTRAN": ntens, "DDSDDT": ntens, "DRPLDE": ntens, "TIME": 2}
        sizes |= {"STATEV": nstatv + 1, "DDSDDE": ntens**2, "PROPS": len(props) + 1, "CMNAME": 10, "COORDS": 3}
        sizes |= dict.fromkeys(("DROT", "DFGRD0", "DFGRD1"), 9)
        self.values = {n: np.zeros(sizes.get(n, 1), dtype=np.int32 if n in WHOLE else float) for n in ARGUMENTS}
        self.values["PROPS"][: len(props)] = props
        for name, value in {"NTENS": ntens, "NDI": ndi, "NSHR": ntens - ndi, "NSTATV": nstatv}.items():
            self.values[name][0] = value
        self.values["NPROPS"][0] = len(props)

    def __call__(self, strain, dt=0.0, temperature=0.0):
        """Stress, DDSDDE as a matrix and PNEWDT at a total strain; the increment begins at the last one answered."""
        v = self.values
        v["DSTRAN"][:] = np.asarray(strain) - v["STRAN"]
        v["DTEMP"][0] = temperature - v["TEMP"][0]
        v["DTIME"][0], v["PNEWDT"][0] = dt, 1.0
        self.call(*(ctypes.c_void_p(v[name].ctypes.data) for name in ARGUMENTS))
        if v["PNEWDT"][0] == 1:
            v["STRAN"] += v["DSTRAN"]
            v["TEMP"] += v["DTEMP"]
        return v["STRESS"].copy(), v["DDSDDE"].reshape(len(strain), -1, order="F").copy(), float(v["PNEWDT"][0])
