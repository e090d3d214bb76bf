#!/usr/bin/env python3
"""Writes the index page of a site that Scripts/site.sh has built, and checks the links.

    Scripts/site.py SITE --index            writes SITE/index.html, with links to all articles
    Scripts/site.py SITE --check            checks every internal link, image and anchor
    Scripts/site.py SITE --list-external    prints the links to other sites, which are not checked
    --base-path PATH                        the path below which the site will be served

Prints each broken link with the page that has it; the exit status is 1 if there are any.
"""

import argparse
import html
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ["CLIP", "CLIPHub", "CLIPSearch", "CLIPAnalysis", "CLIPServer"]
TEMPLATE = ROOT / "Scripts" / "pages" / "site.html"


def load(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def text(content: list) -> str:
    """Returns the plain text of DocC's inline content."""
    parts = []
    for item in content or []:
        parts.append(item.get("text") or item.get("code") or text(item.get("inlineContent")))
    return "".join(parts)


class Site:
    def __init__(self, folder: Path, base: str):
        self.folder = folder
        self.base = "/" + base.strip("/") + "/" if base.strip("/") else "/"
        self.pages = {
            "/" + str(path.relative_to(folder / "data").with_suffix("")): load(path)
            for path in sorted((folder / "data").rglob("*.json"))
        }

    # -- the index page

    def entry(self, page: str) -> str:
        data = self.pages[page]
        title, abstract = data["metadata"]["title"], text(data.get("abstract"))
        address = html.escape(self.base + page.lstrip("/") + "/")
        return (f'<li><a href="{address}">{html.escape(title)}</a>'
                f"<p>{html.escape(abstract)}</p></li>")

    def group(self, title: str, pages: list) -> str:
        entries = "\n".join(self.entry(page) for page in pages)
        return f"<section>\n<h2>{html.escape(title)}</h2>\n<ul>\n{entries}\n</ul>\n</section>"

    def write_index(self) -> None:
        root = self.pages["/documentation/clip"]
        groups = []
        for section in root["topicSections"]:
            pages = [root["references"][name]["url"] for name in section["identifiers"]]
            if all(self.pages[page]["kind"] == "article" for page in pages):
                groups.append(self.group(section["title"], pages))
        groups.append(self.group("Libraries", [f"/documentation/{name.lower()}"
                                               for name in LIBRARIES]))
        page = TEMPLATE.read_text(encoding="utf-8").replace("{groups}", "\n".join(groups))
        (self.folder / "index.html").write_text(page.replace("{base}", self.base), encoding="utf-8")

    # -- the links

    def anchors(self, data: dict) -> set:
        found = set()

        def visit(value):
            if isinstance(value, dict):
                if isinstance(value.get("anchor"), str):
                    found.add(value["anchor"].lower())
                for child in value.values():
                    visit(child)
            elif isinstance(value, list):
                for child in value:
                    visit(child)

        visit(data)
        for section in data.get("topicSections", []):
            found.add(section.get("anchor", "").lower())
        return found

    def problem(self, url: str) -> str | None:
        """Returns the reason why an internal address leads nowhere, or None."""
        parts = urlsplit(url)
        path = unquote(parts.path).lower().rstrip("/")
        if path not in self.pages:
            return "no such page"
        if not (self.folder / path.lstrip("/") / "index.html").exists():
            return "the page has no index.html"
        if parts.fragment and unquote(parts.fragment).lower() not in self.anchors(self.pages[path]):
            return f"no heading #{parts.fragment}"
        return None

    def check(self, lists: bool) -> bool:
        broken, external, count = [], {}, 0
        for page, data in self.pages.items():
            # A reference that DocC could not resolve has no page.
            used = set(re.findall(r'"identifier": "([^"]+)"', json.dumps(
                [data.get(key) for key in (
                    "primaryContentSections", "abstract", "topicSections", "seeAlsoSections",
                    "sections", "hierarchy")])))
            for name, reference in data.get("references", {}).items():
                kind, url = reference.get("type"), reference.get("url", "")
                if kind == "unresolvable" and name in used:
                    broken.append((page, name, "unresolved"))
                elif kind in ("image", "video", "file", "download"):
                    for variant in reference.get("variants", []) or [reference]:
                        count += 1
                        address = variant.get("url", "")
                        if not (self.folder / unquote(address).lstrip("/").removeprefix(
                                self.base.lstrip("/"))).is_file():
                            broken.append((page, address, "no such file"))
                elif re.match(r"[a-z][a-z0-9+.-]*:", url):
                    external.setdefault(url, page)
                elif kind in ("topic", "link", "section") and url:
                    count += 1
                    if reason := self.problem(url):
                        broken.append((page, url, reason))
        for address in self.index_links():
            count += 1
            if not address.startswith(self.base):
                broken.append(("index.html", address, f"not below {self.base}"))
                continue
            name = address.removeprefix(self.base)
            if not (self.folder / name).is_file() and (reason := self.problem("/" + name)):
                broken.append(("index.html", address, reason))
        for page, url, reason in sorted(broken):
            print(f"{page}: {url}: {reason}", file=sys.stderr)
        if lists:
            for url, page in sorted(external.items()):
                print(f"{url}  ({page})")
        print(f"site: {len(self.pages)} pages, {count} internal links, {len(broken)} broken; "
              f"{len(external)} external addresses, not checked")
        return not broken

    def index_links(self) -> list:
        found = []

        class Links(HTMLParser):
            def handle_starttag(self, tag, attributes):
                found.extend(value for key, value in attributes if key in ("href", "src") and value)

        Links().feed((self.folder / "index.html").read_text(encoding="utf-8"))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the index page of a documentation site, "
                                                 "and checks its links.")
    parser.add_argument("site", type=Path)
    parser.add_argument("--base-path", default="/")
    parser.add_argument("--index", action="store_true", help="write the index page")
    parser.add_argument("--check", action="store_true", help="check internal links")
    parser.add_argument("--list-external", action="store_true", help="print links to other sites")
    arguments = parser.parse_args()
    if not (arguments.site / "data").is_dir():
        sys.exit(f"site: {arguments.site} is not a site of Scripts/site.sh")
    site = Site(arguments.site, arguments.base_path)
    if arguments.index:
        site.write_index()
    if arguments.check or arguments.list_external:
        sys.exit(not site.check(arguments.list_external))


if __name__ == "__main__":
    main()
