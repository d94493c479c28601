"""Check what pip cannot install: a C compiler with the Python headers, and the libraries that Gmsh's wheel links to.

``check_env.py``          before the installation: exit 1 and name the missing packages
``check_env.py --list``   print the missing Debian packages, one per line
``check_env.py --tests``  print those that some tests need, which are skipped without
``check_env.py --after``  after the installation, with the environment's Python: import Gmsh and DOLFINx

Only the standard library is used, and nothing newer than Python 3.12.
"""

import ctypes
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

# program that tests run -> Debian and Ubuntu package
TEST_PROGRAMS = {"ccx": "calculix-ccx"}

# library that libgmsh links to -> (Debian and Ubuntu package, Fedora and RHEL package)
GMSH_LIBRARIES = {
    "libGLU.so.1": ("libglu1-mesa", "mesa-libGLU"),
    "libGL.so.1": ("libgl1", "libglvnd-glx"),
    "libX11.so.6": ("libx11-6", "libX11"),
    "libXext.so.6": ("libxext6", "libXext"),
    "libXrender.so.1": ("libxrender1", "libXrender"),
    "libXcursor.so.1": ("libxcursor1", "libXcursor"),
    "libXfixes.so.3": ("libxfixes3", "libXfixes"),
    "libXft.so.2": ("libxft2", "libXft"),
    "libXinerama.so.1": ("libxinerama1", "libXinerama"),
    "libfontconfig.so.1": ("libfontconfig1", "fontconfig"),
    "libgomp.so.1": ("libgomp1", "libgomp"),
}


def loads(library: str) -> bool:
    """Tell whether the dynamic loader finds `library`."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def compiler() -> list[str]:
    """Return the command with which FFCx compiles its kernels."""
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def compile_error() -> str | None:
    """Compile a C file that includes Python.h, as FFCx does at run time; return the error."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\n#include <math.h>\nint main(void) { return 0; }\n")
        include = sysconfig.get_path("include")
        command = [*compiler(), "-fsyntax-only", f"-I{include}", str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        except OSError as error:
            return str(error)
    if done.returncode == 0:
        return None
    return (done.stderr or done.stdout).strip().splitlines()[0]


def missing_toolchain() -> tuple[str, list[str]] | None:
    """Return the error of the compiler and the Debian packages that remove it, or None if there is no error."""
    error = compile_error()
    if error is None:
        return None
    version = "{}.{}".format(*sys.version_info)
    headers = [f"python{version}-dev"] if "Python.h" in error else []
    return error, headers or ["gcc", "libc6-dev"]


def wrong_platform() -> str | None:
    """Return why the binary wheel of DOLFINx cannot be used here, or None."""
    machine, (libc, version) = platform.machine(), platform.libc_ver()
    here = f"{platform.system()} {machine} {libc} {version}".strip()
    new_enough = libc == "glibc" and tuple(map(int, version.split(".")[:2])) >= (2, 34)
    if platform.system() == "Linux" and machine == "x86_64" and new_enough:
        return None
    return (
        f"The binary wheel of DOLFINx needs Linux on x86_64 with glibc 2.34 or newer; this is {here}.\n"
        "Install DOLFINx 0.11 in another way (conda-forge: fenics-dolfinx=0.11), then: pip install -e '.[plot,test]'"
    )


def before() -> int:
    """Report everything that is missing in one message."""
    problems = []
    if (platform_problem := wrong_platform()) is not None:
        problems.append(platform_problem)
    packages: list[str] = []
    if (toolchain := missing_toolchain()) is not None:
        error, packages = toolchain
        problems.append(f"FEniCSx compiles C while it runs, but '{shlex.join(compiler())}' does not work: {error}")
    lost = [library for library in GMSH_LIBRARIES if not loads(library)]
    if lost:
        problems.append(f"Gmsh needs system libraries that are missing: {', '.join(lost)}")
        packages = packages + [GMSH_LIBRARIES[library][0] for library in lost]
        fedora = " ".join(GMSH_LIBRARIES[library][1] for library in lost)
    if packages:
        problems.append(f"Debian, Ubuntu:  sudo apt install {' '.join(packages)}")
    if lost:
        problems.append(f"Fedora, RHEL:    sudo dnf install {fedora}")
    if problems:
        print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


def list_packages() -> int:
    """Print the missing Debian packages, one per line."""
    toolchain = missing_toolchain()
    packages = (toolchain[1] if toolchain else []) + [
        debian for library, (debian, _) in GMSH_LIBRARIES.items() if not loads(library)
    ]
    print("\n".join(packages))
    return 0


def list_test_packages() -> int:
    """Print the missing Debian packages of programs that tests run, one per line."""
    print("\n".join(package for program, package in TEST_PROGRAMS.items() if shutil.which(program) is None))
    return 0


def unresolved(folder: Path) -> list[str]:
    """Return the libraries that libgmsh links to and the loader does not find."""
    output = ""
    for library in folder.glob("libgmsh.so*"):
        output += subprocess.run(["ldd", library], capture_output=True, text=True, check=False).stdout
    return sorted({line.split()[0] for line in output.splitlines() if "not found" in line})


def after() -> int:
    """Import the installed packages; name the system package of a missing library."""
    try:
        import gmsh  # noqa: F401
    except OSError as error:
        print(f"import gmsh fails: {error}", file=sys.stderr)
        for library in unresolved(Path(sys.prefix, "lib")):
            debian, _ = GMSH_LIBRARIES.get(library, ("the package that ships it (apt-file search NAME)", ""))
            print(f"  {library}: sudo apt install {debian}", file=sys.stderr)
        return 1
    from mpi4py import MPI  # noqa: F401 (the wheel finds MPI only after this)

    import dolfinx

    if not any(loads(library) for library in ("libEGL.so.1", "libOSMesa.so.8")) and not os.environ.get("DISPLAY"):
        print("note: pictures without a screen need libEGL: sudo apt install libegl1", file=sys.stderr)
    print(f"DOLFINx {dolfinx.__version__}, Python {platform.python_version()}")
    return 0


if __name__ == "__main__":
    modes = {"--after": after, "--list": list_packages, "--tests": list_test_packages}
    sys.exit(modes.get("".join(sys.argv[1:]), before)())
