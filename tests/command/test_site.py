"""The documentation site, without building it: every public name has an entry, every page has its place."""

import importlib
import re
import runpy
import sys
from pathlib import Path

from mpi4py import MPI

import pytest

import hmm
from hmm.jobs.fe2 import schema
from hmm.jobs.load_test import LoadTestSection
from hmm.jobs.sections import keys_of

RUN_SECTIONS = (schema.RunFile, schema.MeshSection, schema.SupportSection, schema.LoadSection, schema.RunOutput)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="the site is built by one process")


@pytest.fixture(scope="module")
def pages():
    sys.path.insert(0, str(DOCS / "_ext"))
    yield importlib.import_module("pages")
    sys.path.remove(str(DOCS / "_ext"))


@pytest.fixture(scope="module")
def written(pages, tmp_path_factory):
    """The generated pages, by name."""
    directory = tmp_path_factory.mktemp("generated")
    return {str(path.relative_to(directory)): path.read_text(encoding="utf-8") for path in pages.write(directory)}


def test_every_public_name_has_an_entry(pages, written):
    text = "\n".join(written.values())
    entries = set(re.findall(r"^\.\. (?:auto|py:)\w+:: (\S+)$", text, re.MULTILINE))
    entries |= set(re.findall(r"``(hmm\.[\w.]+)``", text))  # other paths of the same object
    modules = [("hmm", hmm)]
    for path, module in modules:
        for name in pages.public_names.of_module(module):
            value = getattr(module, name)
            if isinstance(value, type(hmm)):
                modules.append((f"{path}.{name}", value))
            else:
                assert f"{path}.{name}" in entries


def test_an_entry_says_what_it_is(pages):
    missing = [name.path for name in pages.public_names.public_names() if not (name.summary or pages.of_data(name))]
    assert missing == []


def test_the_keys_of_a_job_are_those_that_it_takes(written):
    text = written["job_files.md"]
    for key in hmm.jobs.reading.KEYS:
        assert f"`{key}`" in text or f"`[{key}" in text, key
    for name in hmm.jobs.cells.generators():
        assert f"### `{name}`" in text


def test_the_keys_of_hmm_run_are_those_of_its_schema(written):
    text = written["run_files.md"]
    for section in RUN_SECTIONS:
        for key in keys_of(section):
            assert f"| `{key}` |" in text, key


@pytest.mark.parametrize("name", ["test_files.md", "laminate_files.md"])
def test_the_keys_of_other_jobs_are_those_of_their_schemas(written, pages, name):
    sections = {"test_files.md": [LoadTestSection], "laminate_files.md": pages.LAMINATE_PARTS.values()}[name]
    for section in sections:
        for key in keys_of(section):
            assert f"| `{key}` |" in written[name], key


def test_the_command_is_described(written):
    for words in ("## `hmm info`", "## `hmm homogenize`", "## `hmm replay`", "`--trust-laws`", "`--output DIR`"):
        assert words in written["command.md"]


def test_links_of_a_copied_page_lead_to_the_site(pages):
    text = "[a](docs/laws.md#parts) [b](demos/README.md) [c](docker/README.md) [d](https://x.org) [e](Makefile)"
    page = pages.GENERATED / "install.md"
    assert pages.relinked(text, ROOT / "README.md", page) == (
        "[a](../../laws.md#parts) [b](demos.md) c [d](https://x.org) [e](../../../Makefile)"
    )


def test_every_page_is_in_a_table_of_contents():
    places = [DOCS / "index.md", *DOCS.glob("*.md"), *DOCS.glob("*/index.md")]
    lists = "\n".join(re.findall(r"^```\{toctree\}\n(.*?)^```", "".join(p.read_text() for p in places), re.M | re.S))
    names = set(lists.split())
    pages = [path for path in DOCS.rglob("*.md") if "generated" not in path.parts and "_build" not in path.parts]
    missing = [p.stem for p in pages if p.stem != "index" and p.stem not in names]
    assert missing == []


def test_the_site_is_checked_for_dead_links_and_the_network(tmp_path):
    problems = runpy.run_path(str(ROOT / "scripts" / "check_site.py"))["problems"]
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#here">x</a> <a href="#gone">x</a> <a href="b.html">x</a> <a href="https://x.org">x</a>'
        '<script src="https://cdn.example/x.js"></script>'
    )
    found = problems(tmp_path)
    assert len(found) == 3
    assert any("cdn.example" in line for line in found)
