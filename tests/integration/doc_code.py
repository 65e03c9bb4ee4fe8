"""What documents set as code: blocks, fenced or indented, and spans. A line of a shell goes on behind a backslash, a
pipe, or an open quote."""
import glob
import os
import re

from daemon import ROOT

FENCE, SPAN = re.compile(r"\s*(?:```|~~~)(\w*)"), re.compile(r"(`+)(.+?)\1")
PAGES = ("README.md", "SECURITY.md", "CHANGELOG.md", "docs/**/*.md")


def documents():
    """(name, text) of each."""
    for pattern in PAGES:
        for path in sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True)):
            with open(path, encoding="utf-8") as f:
                yield os.path.relpath(path, ROOT), f.read()


def pieces(text):
    """("span", "", [code]) and ("block", language, [lines]), in their order; without prompts."""
    block, language, blank = None, None, True
    for line in text.splitlines() + [""]:
        fence = FENCE.match(line)
        if block is not None and language is not None:  # between fences
            if fence:
                yield "block", language, block
                block = language = None
            else:
                block.append(line)
            continue
        if block is not None and line.strip() and not line.startswith(("    ", "\t")):
            yield "block", "", stripped(block)
            block = None
        if fence:
            if block is not None:
                yield "block", "", stripped(block)
            block, language = [], fence[1]
        elif block is not None or (line.startswith(("    ", "\t")) and blank and line.strip()):
            block = [*(block or []), line]
        else:
            yield from (("span", "", [m[2].strip()]) for m in SPAN.finditer(line))
        blank = not line.strip()
    if block:
        yield "block", language or "", stripped(block)


def stripped(block):
    return [line[4:] if line.startswith("    ") else line.lstrip("\t") for line in "\n".join(block).rstrip().split("\n")]


def statements(lines):
    """Whole commands of a block."""
    found, waiting = [], ""
    for line in lines:
        waiting += line.removeprefix("$ ") if not waiting else line
        if waiting.endswith("\\"):
            waiting = waiting[:-1]
        elif waiting.rstrip().endswith("|") or waiting.count("'") % 2:
            waiting += "\n"
        else:
            found += [waiting.strip()] if waiting.strip() else []
            waiting = ""
    return found + ([waiting.strip()] if waiting.strip() else [])
