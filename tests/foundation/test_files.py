"""Files a user names: refused at once if they are no regular files, whoever reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hmm.foundation.errors import InputError
from hmm.foundation.files import read_toml, regular_file


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "pipe.toml"
    os.mkfifo(path)
    return path


def test_a_regular_file_and_a_link_to_it_are_accepted(tmp_path: Path) -> None:
    path, link = tmp_path / "a.npy", tmp_path / "link.npy"
    path.write_text("1")
    link.symlink_to(path)
    assert regular_file(str(path)) == path
    assert regular_file(link) == link


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, fifo: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, message in [
        (fifo, "named pipe"),
        ("/dev/zero", "a device"),
        (tmp_path, "a directory"),
        (tmp_path / "none", "there is no image file"),
        (loop, "cannot be read"),
        ("a\0b", "not a path"),
        (None, "not a path"),
        (3, "not a path"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            regular_file(path, "image file")  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_toml_is_bounded(tmp_path: Path, fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "job.toml"
    path.write_text("a = 1\n")
    assert read_toml(path) == {"a": 1}
    for text, message in [
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "{a=" * 100_000, "nested too deeply"),
        ("a = ", "not valid TOML"),
    ]:
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_toml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not valid TOML"):
        read_toml(path)
    with pytest.raises(InputError, match="named pipe"):
        read_toml(fifo)
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse
    with pytest.raises(InputError, match="more than 10000000 bytes"):
        read_toml(path)
