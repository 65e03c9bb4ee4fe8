#!/usr/bin/python3
"""The house rules as tests, printed as TAP: `tests/lint/lint.py [BUILD_DIR]`.

Each check is a function that yields one sentence a fault, and each is first shown a planted fault: a
check that does not see it fails, so that none can be green because it is blind."""
import os
import subprocess
import sys
import tempfile

import arrows
import ctext
import documents
import hardening
import modules
import objects
import text

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import metrics  # noqa: E402
import tree  # noqa: E402

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
MUTABLE_GLOBALS = {"srv_log_level", "eng_tiles_allowed"}
PKGS = ("libuv libmicrohttpd libnghttp2 libprotobuf-c jansson spng libwebp gnutls inih zlib "
        "libturbojpeg cmocka").split()


def read(paths):
    sources = {}
    for path in paths:
        with open(os.path.join(ROOT, path), "rb") as f:
            data = f.read()
        if b"\0" not in data[:8192]:
            sources[path] = data.decode("utf-8", "replace")
    return sources


def pick(sources, *ends):
    return {p: t for p, t in sources.items() if p.endswith(ends)}


def clang_format(paths):
    r = subprocess.run(["clang-format-14", "--dry-run", "--Werror", *paths], cwd=ROOT,
                       capture_output=True, text=True)
    if r.returncode:
        yield "\n".join(l for l in r.stderr.splitlines() if "error:" in l) or r.stderr


def large(paths):
    for path in paths:
        size = os.path.getsize(os.path.join(ROOT, path))
        if size > text.MAX_BYTES:
            yield f"{path}: {size} bytes; weights and photos do not belong in the tree"


def pkg_flags():
    flags = []
    for name in PKGS:
        r = subprocess.run(["pkg-config", "--cflags", name], capture_output=True, text=True)
        flags += r.stdout.split() if r.returncode == 0 else []
    return flags


def planted():
    """(name, faults found in a source that has one): every entry must be non-empty."""
    bad = {"engine/a.c": '#include "server/x.h"\n', "server/b.c": '#include "engine/plan/plan.h"\n',
           "protocol/c.c": "#include <poll.h>\n", "server/d.c": "#include <jansson.h>\n",
           "config/e.c": '#include "e.h"\n'}
    for path, source in bad.items():
        yield f"arrow {path}", arrows.arrows({path: source})
    code = "int f(int a)\n{\n" + "    if (a)\n        a--;\n" * 26 + "    strcpy(a, b);\n}\n"
    yield "branches", ctext.long_functions({"a.c": code})
    yield "lines", ctext.long_functions({"a.c": "int f(void)\n{\n" + "    x++;\n" * 120 + "}\n"})
    yield "file length", ctext.long_files({"a.c": "\n" * 601})
    yield "banned calls", ctext.banned_calls({"a.c": code})
    yield "clock in a leaf", arrows.calls({"protocol/a.c": "t = time(NULL);"})
    yield "environment in a leaf", arrows.calls({"engine/a.c": "getenv(name)"})
    yield "purpose", ctext.opening_comment({"a.c": "int x;\n"})
    yield "guard", ctext.header_guards({"server/a/new.h": "#ifndef SRV_OLD_H\n#define SRV_OLD_H\n"})
    yield "marks", text.marks({"a.c": "/* TO" "DO */"})
    yield "machine paths", text.machine({"a": "see /ro" "ot/x"})
    yield "hosts", text.machine({"a": "https://registry.npm" "js.org/x"})
    yield "packages", text.packages("build gcc\n", "nothing")
    yield "a library without a review", text.reviewed("run libnew1\n", "| package | version | advisories |\n")
    yield "a review without its library", text.reviewed("build gcc\n", "| `libold1` | 1.0-1 | none | all |\n")
    for row in ('SERVER(a_total, gauge, "", "A.", 1)', 'MODEL(a_seconds, gauge, "bytes", "A.", 1)', 'SERVER(a, gauge, "", f())'):
        yield f"metric {row}", metrics.faults(row, metrics.markdown(metrics.rows(row)))
    yield "document of metrics", metrics.faults('SERVER(a, gauge, "", "A.", 1)', "")
    yield from documents.planted()
    yield from hardening.planted()
    with tempfile.TemporaryDirectory() as directory:
        yield from modules.planted(directory)


def blind():
    for name, faults in planted():
        if not list(faults):
            yield f"the check «{name}» does not see its planted fault"
    innocent = "/* strcpy( */ int f(void)\n{\n    return g(\"sprintf(\");\n}\n"
    yield from ctext.banned_calls({"a.c": ctext.strip(innocent)})


def checks(build):
    paths = tree.files(ROOT)
    sources = read(paths)
    c_files = pick(sources, ".c", ".h")
    own = {p: t for p, t in c_files.items() if arrows.folder_of(p)}
    stripped = {p: ctext.strip(t) for p, t in c_files.items()}
    yield "checks see their planted faults", blind()
    yield "arrows: who may include whom", arrows.arrows(sources)
    edges = modules.references(modules.objects_of(build, ROOT))
    knots = modules.knots(edges)
    for line in modules.summary(sources, edges, knots):
        print(f"# {line}", flush=True)
    yield "the table of modules has no circle and knows every folder", [*modules.circles_of_table(), *modules.unknown(own)]
    yield "modules include only what they may use", modules.wrong_includes(sources)
    yield "modules call only what they may use", modules.wrong_references(edges)
    yield "cycles: none across modules, small and named inside one", modules.wrong_knots(knots)
    yield "leaves make no calls that are not theirs", arrows.calls(stripped)
    yield "every header compiles alone", objects.headers_alone(ROOT, pick(own, ".h"), pkg_flags())
    yield "functions: 120 lines, 25 branches", ctext.long_functions(stripped)
    yield "files: 600 lines", ctext.long_files(pick(sources, ".c", ".h", ".py", ".sh", ".def", ".lua"))
    yield "banned calls", ctext.banned_calls(stripped)
    yield "header guards follow the names of files", ctext.header_guards(own)
    yield "sources open with their purpose", ctext.opening_comment(own)
    yield "clang-format 14", clang_format(list(c_files))
    yield "no marks of unfinished work", text.marks(sources)
    yield "no path or host of one machine", text.machine(sources)
    yield "no file over 1 MiB", large(paths)
    yield "shell scripts: bash -n, shellcheck", text.shell(ROOT, sources)
    yield "packages are explained", text.packages(sources.get("deploy/packages", ""),
                                                  sources.get("docs/DEPENDENCIES.md", ""))
    yield "libraries are reviewed in SECURITY.md", text.reviewed(sources.get("deploy/packages", ""), sources.get("SECURITY.md", ""))
    yield "metrics are named by their kind and unit, and documented", metrics.faults(
        sources.get(metrics.LIST, ""), sources.get(metrics.DOCUMENT, ""))
    yield "libraries of the binary are run packages", objects.linked_packages(
        os.path.join(build, "mobilenetd"), sources.get("deploy/packages", ""))
    yield from documents.checks(sources, ROOT, os.path.join(build, "mobilenetd"))
    yield "the binary is hardened: PIE, RELRO, bound at once, canaries, fortified calls, probed stacks, marked for CET", \
        hardening.faults(build, objects.archives)
    yield "symbols carry the prefix of their folder", objects.prefixes(build)
    yield "no mutable globals", objects.globals_(build, MUTABLE_GLOBALS)


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build"))
    failed = n = 0
    for name, faults in checks(build):
        n += 1
        found = list(faults)
        print(f"{'not ok' if found else 'ok'} {n} - {name}", flush=True)
        for fault in found:
            print("\n".join("# " + line for line in fault.splitlines()), flush=True)
        failed |= bool(found)
    print(f"1..{n}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
