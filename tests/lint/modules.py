"""Modules: which may use which, held for what files include and for what their objects reference.

A module is a folder of engine/ or server/, or one of the two other leaves as a whole. The engine's
public headers are its interface: declarations that all may include. Objects are taken from a build's
compile_commands.json; what they define and reference is what nm says."""
import json
import os
import re
import subprocess

import arrows

# Each module, lowest first, and what it may use. docs/ARCHITECTURE.md says what each one is.
USES = {
    "config": "",
    "protocol": "",
    "engine/base": "",
    "engine/postprocess": "engine/base",
    "engine/graph": "engine/postprocess engine/base",
    "engine/kernels": "engine/graph engine/postprocess engine/base",
    "engine/importers": "engine/graph engine/postprocess engine/base",
    "engine/plan": "engine/kernels engine/graph engine/base",
    "engine/image": "engine/base",
    "engine": "engine/plan engine/importers engine/kernels engine/graph engine/base",
    "engine/optimize": "engine engine/plan engine/importers engine/graph engine/base",
    "server/base": "config",
    "server/repository": "server/base config engine",
    "server/scheduler": "server/repository server/base config engine protocol",
    "server/handlers": "server/scheduler server/repository server/base config engine protocol",
    "server/transport": "server/handlers server/scheduler server/repository server/base config protocol",
    "server/cli": "server/repository server/base config engine protocol",
    "server": "server/cli server/transport server/handlers server/scheduler server/repository server/base config"
              " engine protocol",
}
USES = {module: set(used.split()) for module, used in USES.items()}

LARGEST_CYCLE = 8
# Objects of one module that use each other in a circle, and why that is right.
CYCLES = {
    "server/transport": [("http http_exchange", "the port calls back into its exchanges, whose answers pump it")],
    "server": [("reload watch", "the watch orders a look, which the thread of reloads takes and hands back")],
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)


def module_of(path):
    """The module of a source file, or None outside the four folders."""
    parts = path.split("/")
    if len(parts) > 2 and parts[0] in ("engine", "server"):
        return "/".join(parts[:2])
    return parts[0] if parts[0] in ("config", "protocol", "engine", "server") and len(parts) > 1 else None


def is_interface(path):
    """The engine's public headers, and the lists of engine/ itself that they are made of."""
    return path in arrows.ENGINE_PUBLIC or re.fullmatch(r"engine/\w+\.def", path) is not None


def may_use(user, used):
    """Server modules see the engine as one: arrows.py holds them to its interface."""
    if user == used:
        return True
    if user.startswith("server") and used.startswith("engine"):
        used = "engine"
    return used in USES[user]


def circles_of_table():
    """The table itself must have no circle: each module uses only what stands above it."""
    seen = set()
    for module, used in USES.items():
        for name in sorted(used - seen):
            yield f"the table lets {module} use {name}, which does not stand before it"
        seen.add(module)


def unknown(paths):
    for path in paths:
        module = module_of(path)
        if module and module not in USES and path.endswith((".c", ".h")):
            yield f"{path}: {module} is not in the table of modules"


def includes(sources):
    """sources: {path: text}. Yields (path, line, target, user, used) of each include between modules."""
    for path, text in sources.items():
        user = module_of(path)
        if user is None or not path.endswith((".c", ".h", ".inc", ".def")):
            continue
        for m in INCLUDE.finditer(text):
            target = m.group(1)
            used = module_of(target)
            if used and used != user and not (is_interface(target) and user.startswith("engine")):
                yield path, text.count("\n", 0, m.start()) + 1, target, user, used
            if used and is_interface(path) and not is_interface(target):
                yield path, text.count("\n", 0, m.start()) + 1, target, "engine/base", used


def wrong_includes(sources):
    for path, line, target, user, used in includes(sources):
        if not may_use(user, used):
            yield f"{path}:{line}: includes {target}, and {user} may not use {used}"


def objects_of(build, root):
    """{object: source} of the four folders, from the build's own list of commands."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        commands = json.load(f)
    found = {}
    for c in commands:
        source = os.path.relpath(os.path.join(c["directory"], c["file"]), root)
        if module_of(source) and "pb-c" not in source:
            found[os.path.join(c["directory"], c["output"])] = source
    return found


def symbols(objects):
    """(defined: {symbol: source}, wanted: {source: symbols}) of {object: source}."""
    defined, wanted = {}, {}
    out = subprocess.run(["nm", "-A", "-f", "posix", *objects], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        where, _, rest = line.partition(": ")
        cells = rest.split()
        if len(cells) < 2 or where not in objects:
            continue
        if cells[1] == "U":
            wanted.setdefault(objects[where], set()).add(cells[0])
        elif cells[1].isupper():
            defined[cells[0]] = objects[where]
    return defined, wanted


def references(objects):
    """{source: {source: symbols}}: what each object takes from which other one."""
    defined, wanted = symbols(objects)
    edges = {source: {} for source in objects.values()}
    for source, names in wanted.items():
        for name in names:
            other = defined.get(name, source)
            if other != source:
                edges[source].setdefault(other, set()).add(name)
    return edges


def wrong_references(edges):
    for source, others in sorted(edges.items()):
        for other, names in sorted(others.items()):
            user, used = module_of(source), module_of(other)
            if not may_use(user, used):
                yield f"{source} calls {', '.join(sorted(names))} of {other}, and {user} may not use {used}"


def knots(edges):
    """The sets of more than one object that all reach each other (Tarjan 1972, without recursion)."""
    number, low, stack, on, found = {}, {}, [], set(), []
    for start in edges:
        if start in number:
            continue
        work = [(start, iter(edges[start]))]
        number[start] = low[start] = len(number)
        stack.append(start)
        on.add(start)
        while work:
            node, rest = work[-1]
            following = next(rest, None)
            if following is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    at = stack.index(node)
                    if len(stack) - at > 1:
                        found.append(sorted(stack[at:]))
                    on.difference_update(stack[at:])
                    del stack[at:]
            elif following not in number:
                number[following] = low[following] = len(number)
                stack.append(following)
                on.add(following)
                work.append((following, iter(edges.get(following, ()))))
            elif following in on:
                low[node] = min(low[node], number[following])
    return found


def short(path):
    return os.path.basename(path).rsplit(".", 1)[0]


def wrong_knots(found, named=None):
    """A knot lies in one module, is small, and is named with its reason; a name stands for a knot."""
    named = CYCLES if named is None else named
    left = {(module, objects) for module, rows in named.items() for objects, _ in rows}
    for knot in found:
        modules = sorted({module_of(p) for p in knot})
        objects = " ".join(short(p) for p in knot)
        left.discard((modules[0], objects))
        if len(modules) > 1:
            yield f"{', '.join(modules)}: a cycle across modules: {objects}"
        elif len(knot) > LARGEST_CYCLE:
            yield f"{modules[0]}: a cycle of {len(knot)} objects, more than {LARGEST_CYCLE}: {objects}"
        elif objects not in [row[0] for row in named.get(modules[0], [])]:
            yield f"{modules[0]}: a cycle that the table does not name: {objects}"
    for module, objects in sorted(left):
        yield f"{module}: there is no cycle of {objects} any more: take it off the table"


def summary(sources, edges, found):
    """Lines for people: each module, what it uses, and how often."""
    counts = {}
    for source, others in edges.items():
        for other in others:
            user, used = module_of(source), module_of(other)
            used = "engine" if user.startswith("server") and used.startswith("engine") else used
            if user != used:
                counts[user, used] = counts.get((user, used), 0) + 1
    for module in USES:
        used = [f"{name} ({counts[module, name]})" for name in USES if (module, name) in counts]
        yield f"{module:18} uses {', '.join(used) if used else 'none'}"
    across = [k for k in found if len({module_of(p) for p in k}) > 1]
    inside = max((len(k) for k in found if k not in across), default=0)
    total = sum(1 for _ in includes(sources))
    yield (f"{len(USES)} modules, {total} includes and {sum(counts.values())} references between their files; "
           f"cycles across modules: {len(across)}, the largest inside one: {inside} of {LARGEST_CYCLE}")


def compiled(directory, files):
    """Objects of small sources for the test of the checks: {object: source}."""
    objects = {}
    for name, text in files.items():
        out = os.path.join(directory, name.replace("/", "_") + ".o")
        subprocess.run(["cc", "-std=gnu17", "-c", "-x", "c", "-o", out, "-"], input=text, text=True, check=True)
        objects[out] = name
    return objects


def planted(directory):
    """(name, faults found in what has one): every entry must be non-empty."""
    yield "upward include", wrong_includes({"engine/graph/a.c": '#include "engine/plan/plan.h"\n'})
    yield "private header of another module", wrong_includes({"server/base/a.c": '#include "server/srv.h"\n'})
    upward = {"server/base/low.c": "int srv_up(void);\nint srv_low(void);\nint srv_low(void)\n{\n    return srv_up();\n}\n",
              "server/handlers/up.c": "int srv_up(void);\nint srv_up(void)\n{\n    return 1;\n}\n"}
    yield "upward call by declaration", wrong_references(references(compiled(directory, upward)))
    circle = {f"engine/plan/{a}.c": f"int eng_{b}(void);\nint eng_{a}(void);\nint eng_{a}(void)\n{{\n"
                                    f"    return eng_{b}();\n}}\n" for a, b in (("one", "two"), ("two", "one"))}
    yield "unnamed cycle", wrong_knots(knots(references(compiled(directory, circle))), {})
    yield "stale name of a cycle", wrong_knots([], {"engine/plan": [("a b", "reason")]})
