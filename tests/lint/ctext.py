"""C source as text: comments and strings blanked, functions measured. No preprocessor, no parser:
enough for code that clang-format has laid out."""
import re

MAX_LINES = 120
MAX_BRANCHES = 25
MAX_FILE = 600
BANNED = ("strcpy", "strcat", "sprintf", "vsprintf", "atoi", "gets", "strtok", "alloca")

TOKEN = re.compile(r"""
    //[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'
""", re.S | re.X)


def blank(m):
    """Same shape without content, so that line and column stay right."""
    text = m.group(0)
    if text[0] in "\"'":
        return text[0] + " " * (len(text) - 2) + text[0]
    return re.sub(r"[^\n]", " ", text)


def strip(text):
    return TOKEN.sub(blank, text)


def without_directives(code):
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
                  lambda m: re.sub(r"[^\n]", " ", m.group(0)), code, flags=re.M)


def close_of(code, start):
    """Index of the brace that closes the one at `start`."""
    depth = 0
    for m in re.finditer(r"[{}]", code[start:]):
        depth += 1 if m.group(0) == "{" else -1
        if depth == 0:
            return start + m.start()
    return len(code) - 1


def functions(code):
    """Yields (name, first line, lines, branches) of each function body at the top level."""
    code = without_directives(code)
    at = 0
    while True:
        start = code.find("{", at)
        if start < 0:
            return
        end = close_of(code, start)
        head_from = max(code.rfind(c, 0, start) for c in ";}") + 1
        head = code[max(head_from, at):start]
        m = re.search(r"(\w+)\s*\([^{}]*\)\s*$", head, re.S)
        if m and not re.search(r"=\s*$|\b(?:struct|enum|union)\s+\w*\s*$", head):
            begin = code.count("\n", 0, start) + 1 - head[m.start():].count("\n")
            body = code[start:end]
            branches = len(re.findall(r"\b(?:if|for|while|case)\b|\?|&&|\|\|", body))
            yield m.group(1), begin, code.count("\n", 0, end) + 2 - begin, branches
        at = end + 1


def long_functions(stripped):
    for path, code in stripped.items():
        for name, line, lines, branches in functions(code):
            if lines > MAX_LINES:
                yield f"{path}:{line}: {name} has {lines} lines (limit {MAX_LINES})"
            if branches > MAX_BRANCHES:
                yield f"{path}:{line}: {name} has {branches} branches (limit {MAX_BRANCHES})"


def long_files(sources):
    for path, text in sources.items():
        n = text.count("\n")
        if n > MAX_FILE:
            yield f"{path}: {n} lines (limit {MAX_FILE})"


def banned_calls(stripped):
    pattern = re.compile(r"(?<![\w.>])(?:%s)\s*\(" % "|".join(BANNED))
    for path, code in stripped.items():
        for m in pattern.finditer(code):
            yield f"{path}:{code.count(chr(10), 0, m.start()) + 1}: {m.group(0)[:-1]} is banned"


def opening_comment(sources):
    """Every source says at its top what it is for."""
    for path, text in sources.items():
        if path.endswith((".c", ".h")) and not text.lstrip().startswith(("/*", "//")):
            yield f"{path}: does not open with a comment on its purpose"


GUARD = re.compile(r"^#ifndef (\w+)\n#define (\w+)\n", re.M)


def header_guards(sources):
    """A guard is called as its file is: whoever renames one renames the other."""
    for path, text in sources.items():
        if not path.endswith(".h"):
            continue
        name = path.rsplit("/", 1)[1][:-2].upper() + "_H"
        found = GUARD.search(text)
        if not found or found[1] != found[2] or not found[1].endswith("_" + name):
            yield f"{path}: its guard is not called PREFIX_{name}"
