"""Compare the contents of a wheel and a source archive with the files of this repository.

    python scripts/check_dist.py dist

Exits with 1 and one line for each file that is missing or does not belong there.
"""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def tracked() -> list[str]:
    """The files of the repository, by their path from its root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


def in_wheel(path: Path) -> set[str]:
    """The files in a wheel, without its metadata."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    return {name for name in names if not name.split("/")[0].endswith(".dist-info")}


def in_archive(path: Path) -> set[str]:
    """The files in a source archive, by their path in its folder, without its metadata."""
    with tarfile.open(path) as archive:
        return {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()} - {"PKG-INFO"}


def problems(files: Iterable[str], wheel: set[str], archive: set[str]) -> list[str]:
    """What is missing or does not belong there, one line each."""
    files = set(files)
    package = {name for name in files if name.startswith("hmm/")}
    return [
        *(f"the wheel lacks {name}" for name in sorted(package - wheel)),
        *(f"the wheel has {name}, which is no file of the package" for name in sorted(wheel - package)),
        *(f"the source archive lacks {name}" for name in sorted(files - archive)),
        *(f"the source archive has {name}, which git does not track" for name in sorted(archive - files)),
    ]


def main(folder: Path) -> int:
    """Check the only wheel and the only archive in a folder."""
    (wheel,), (archive,) = list(folder.glob("*.whl")), list(folder.glob("*.tar.gz"))
    found = problems(tracked(), in_wheel(wheel), in_archive(archive))
    if found:
        print("\n".join(found), file=sys.stderr)
        return 1
    print(f"{wheel.name}: {wheel.stat().st_size // 1000} kB; {archive.name}: {archive.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
