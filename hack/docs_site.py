"""Hooks of the site that `make docs` builds; mkdocs.yml names this file.

The pages are written to be read where they lie, on a forge. What a site needs otherwise is done here: pages that live
beside their code come along, and so does every file that a page refers to.
"""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "charts/mcs-operator/README.md": "chart.md",
    "hack/cluster/README.md": "cluster.md",
    "operator/README.md": "architecture.md",
}
"""Pages from outside of docs/, by their path in the repository."""

log = logging.getLogger("mkdocs.hooks.docs_site")  # below mkdocs, so that `--strict` counts the warnings
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
_LINK_TO = re.compile(r"\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_FENCE_WORDS = re.compile(r"^( *```\w+) .*$", re.MULTILINE)
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//|<link\b[^>]*rel=["']?(?:stylesheet|preconnect)["']?[^>]*href=["']?(?:https?:)?//"""
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere, and what any page refers to outside of docs/, as text."""
    for path, name in PAGES.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    wanted = {path for page in files.documentation_pages() for path in _referred(page)}
    for path in sorted(wanted):
        files.append(File.generated(config, _as_text(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as the site has them; and without the words after a code block's language, which are for the tests."""
    origin = _origin(page.file)

    def moved(found: re.Match[str]) -> str:
        text, target, anchor = found[1], found[2], found[3] or ""
        path = _resolved(origin, target)
        if (ROOT / path).is_dir() and f"{path}/README.md" not in PAGES:
            return text  # the site has no folders
        place = posixpath.relpath(_in_site(path), posixpath.dirname(page.file.src_uri) or ".")
        return f"[{text}]({place}{anchor})"

    return _FENCE_WORDS.sub(r"\1", _LINK_TO.sub(moved, markdown))


def on_post_build(config: MkDocsConfig) -> None:
    """A page that loads anything from another host breaks where there is no Internet, and tells that host who reads."""
    for page in Path(config.site_dir).rglob("*.html"):
        if found := _LOADED.search(page.read_text(encoding="utf-8")):
            log.warning("%s loads from a foreign host: %s", page.name, found[0])


def _referred(page: File) -> Iterator[str]:
    """Files of the repository outside of docs/ that a page links to."""
    origin = _origin(page)
    for target in _LINK.findall((ROOT / origin).read_text(encoding="utf-8")):
        path = _resolved(origin, target)
        if (ROOT / path).is_file() and _in_site(path) == _as_text(path):
            yield path


def _origin(page: File) -> str:
    """Where a page lies in the repository."""
    return {name: path for path, name in PAGES.items()}.get(page.src_uri, f"docs/{page.src_uri}")


def _resolved(origin: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))


def _in_site(path: str) -> str:
    """Where the site has a file of the repository."""
    if found := PAGES.get(path) or PAGES.get(f"{path}/README.md"):
        return found
    return path.removeprefix("docs/") if path.startswith("docs/") else _as_text(path)


def _as_text(path: str) -> str:
    """As text, for browsers offer source code for download."""
    return f"source/{path}.txt"
