"""Checks of the documents: lines that fit a screen, links that lead somewhere, and the table of libraries."""
import os
import posixpath
import re
import subprocess

COLUMNS = 120
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"\s*(```|~~~)")


def documents(sources):
    return {p: t for p, t in sources.items() if p.endswith(".md")}


def prose(text):
    """(number, line) outside of code blocks."""
    fenced = False
    for n, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield n, line


def wide(pages):
    """A row of a table is one line, whatever it holds."""
    for path, text in pages.items():
        for n, line in enumerate(text.splitlines(), 1):
            if len(line) > COLUMNS and not line.startswith("|"):
                yield f"{path}:{n}: {len(line)} columns, of {COLUMNS}"


def anchors(text):
    """As GitHub makes them of headings."""
    found = set()
    for _, line in prose(text):
        if line.startswith("#"):
            words = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            found.add(words.replace(" ", "-"))
    return found


def dead_links(pages, exists):
    """exists(path) says whether the tree has it."""
    for path, text in pages.items():
        for n, line in prose(text):
            for link in LINK.findall(re.sub(r"`[^`]*`", "", line)):
                if re.match(r"[a-z]+:", link):
                    continue
                target, _, anchor = link.partition("#")
                target = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path
                if not exists(target):
                    yield f"{path}:{n}: there is no {target}"
                elif anchor and anchor not in anchors(pages.get(target, "")):
                    yield f"{path}:{n}: {target} has no heading #{anchor}"


def needed(binary):
    out = subprocess.run(["readelf", "-d", binary], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"\(NEEDED\).*\[(lib.+)\]", out))


def libraries(linked, page):
    """linked: what the binary names; page: docs/DEPENDENCIES.md, whose first table has each in its first column."""
    rows = re.findall(r"^\| (`lib[^|]*?) \|", page, re.M)
    have = {name for row in rows for name in re.findall(r"`(lib\S+\.so\.\d+)`", row)}
    for name in sorted(linked ^ have):
        yield f"docs/DEPENDENCIES.md {'does not have' if name in linked else 'has, and the binary does not link,'} {name}"


def planted():
    pages = {"a/b.md": "# One `two`, three\n\n[x](#one-two-three)\n", "c.md": "x" * 121}
    yield "columns", wide(pages)
    yield "a link to no file", dead_links({"a/b.md": "[x](c.md)"}, lambda p: p == "c.md")
    yield "a link to no heading", dead_links({"c.md": "# One\n[x](#two)"}, lambda p: True)
    yield "a library that is not described", libraries({"libnew.so.1"}, "")
    yield "a library that is not linked", libraries(set(), "| `libold.so.1` | `libold1` |\n")
    if list(dead_links(pages, lambda p: True)):
        yield "headings", []


def checks(sources, root, binary):
    pages = documents(sources)
    yield f"lines of documents: {COLUMNS} columns, but for tables", wide(pages)
    yield "links in documents lead somewhere", dead_links(pages, lambda p: os.path.exists(os.path.join(root, p)))
    yield "libraries of the binary are those of docs/DEPENDENCIES.md", libraries(needed(binary), sources.get("docs/DEPENDENCIES.md", ""))
