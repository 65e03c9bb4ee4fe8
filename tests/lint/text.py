"""Checks of text files: marks of unfinished work, machine paths, hosts, shell scripts, packages."""
import re
import subprocess

# Written in pieces, so that these lines do not find themselves.
MARKS = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|st" r"ub|not imple" r"mented|place" r"holder)\b")
PATHS = re.compile(r"(?:^|[^A-Za-z0-9_.])/(?:wo" r"rk|fa" r"rm|ro" r"ot|tmp/bash" r"_jobs)/")
HOSTS = re.compile(r"npm" r"js\.org|py" r"pi\.org|python" r"hosted\.org|crates" r"\.io|"
                   r"proxy\.gol" r"ang\.org|deb\.deb" r"ian\.org|security\.deb" r"ian\.org")
RAW = "raw.github" "usercontent.com"
MAX_BYTES = 1 << 20


def find(pattern, sources, what, skip=()):
    for path, text in sources.items():
        if path in skip:
            continue
        for n, line in enumerate(text.splitlines(), 1):
            m = pattern.search(line)
            if m:
                yield f"{path}:{n}: {what}: {m.group(0).strip()}"


def marks(sources):
    code = {p: t for p, t in sources.items() if not p.startswith("docs/")}
    return find(MARKS, code, "a mark of unfinished work")


def machine(sources):
    yield from find(PATHS, sources, "a path of one machine")
    yield from find(HOSTS, sources, "the host of a registry")
    yield from find(re.compile(re.escape(RAW)), sources, "sources stand in the catalogue alone",
                    skip=("deploy/catalogue.tsv",))


def is_shell(path, text):
    return path.endswith(".sh") or re.match(r"#!.*\b(?:ba)?sh\b", text) is not None


def shell(root, sources):
    scripts = [p for p, t in sources.items() if is_shell(p, t)]
    for path in scripts:
        r = subprocess.run(["bash", "-n", path], cwd=root, capture_output=True, text=True)
        if r.returncode:
            yield r.stderr.strip()
    if scripts:
        r = subprocess.run(["shellcheck", "-x", "-S", "warning", "-f", "gcc", *scripts],
                           cwd=root, capture_output=True, text=True)
        if r.returncode:
            yield (r.stdout + r.stderr).strip()


def reviewed(listed, page):
    """listed: text of deploy/packages; page: SECURITY.md, whose table says of each library that is linked what is known of it."""
    want = {line.split()[1] for line in listed.splitlines() if line.startswith("run ")}
    have = set(re.findall(r"^\| `([a-z0-9.+-]+)` \| [0-9]\S* \| (?:none|CVE-)", page, re.M))
    for name in sorted(want ^ have):
        yield f"{name} is {'linked, but not in the table of SECURITY.md' if name in want else 'in SECURITY.md, but not linked'}"


def packages(listed, described):
    """listed: text of deploy/packages; described: docs/DEPENDENCIES.md, which names each in backticks."""
    want = {line.split()[1] for line in listed.splitlines() if line and line[0] != "#"}
    have = set(re.findall(r"`([a-z0-9][a-z0-9.+-]+)`", described))
    for name in sorted(want - have):
        yield f"docs/DEPENDENCIES.md does not say why {name} is needed"
