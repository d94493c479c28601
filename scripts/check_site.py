#!/usr/bin/env python3
"""Check the documentation site: links inside it lead somewhere, and pages load nothing from the network.

python scripts/check_site.py docs/_build/html
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


class Page(HTMLParser):
    """The links, the anchors and the loaded files of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect from one tag."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if (source := values.get(LOADED.get(tag, ""))) and values.get("rel") not in ("index", "search", "next", "prev"):
            self.loaded.append(source)


def problems(root: Path) -> list[str]:
    """What is wrong, one line for each page and target."""
    pages = {path: Page(path) for path in sorted(root.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(root)
        found += [f"{where} loads {t} from the network" for t in page.loaded if urlsplit(t).netloc]
        for target in {*page.links, *page.loaded}:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not file.exists():
                found.append(f"{where}: {target} does not exist")
            elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors:
                found.append(f"{where}: {target} has no such anchor")
    return found


def main(root: Path) -> int:
    """Print what is wrong; returns the exit code."""
    found = problems(root.resolve())
    print("\n".join(found) or f"{len(list(root.rglob('*.html')))} pages: all links lead somewhere")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
