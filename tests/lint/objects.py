"""What the compiler made: symbol prefixes, mutable globals, headers that compile alone."""
import os
import re
import shutil
import subprocess

PREFIX = {"config": "cfg_", "engine": "eng_", "protocol": "proto_", "server": "srv_"}
GENERATED = re.compile(r"\.pb-c\.c|pb-c")


def archives(build, folder):
    for base, _, files in os.walk(os.path.join(build, folder)):
        for f in sorted(files):
            if f.endswith(".a"):
                yield os.path.join(base, f)


def symbols(archive):
    """Yields (object, name, class, section) of what the archive defines."""
    out = subprocess.run(["nm", "-A", "--defined-only", "-f", "sysv", archive],
                         capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        cells = [c.strip() for c in line.split("|")]
        if len(cells) == 7:
            where, _, name = cells[0].rpartition(":")
            yield where, name, cells[2], cells[6]


def prefixes(build):
    seen = 0
    for folder, prefix in PREFIX.items():
        for archive in archives(build, folder):
            for where, name, kind, _ in symbols(archive):
                if not kind.isupper() or GENERATED.search(where):
                    continue
                seen += 1
                if not name.startswith(prefix):
                    yield f"{os.path.basename(where)}: {name} of {folder}/ lacks the prefix {prefix}"
    if not seen:
        yield f"no external symbol under {build}: nothing was checked"


def globals_(build, allowed):
    """Variables that can change: in a section that stays writable after relocation."""
    for folder in PREFIX:
        for archive in archives(build, folder):
            for where, name, kind, section in symbols(archive):
                if GENERATED.search(where) or not re.match(r"\.(data|bss|tdata|tbss)\b|\*COM\*", section):
                    continue
                if section.startswith(".data.rel.ro") or name.split(".")[0] in allowed:
                    continue
                yield f"{os.path.basename(where)}: {name} is a mutable global ({section})"


def instruction_sets(root):
    """{folder: (machine, flags)} of engine/isa.def."""
    with open(os.path.join(root, "engine/isa.def"), encoding="utf-8") as f:
        rows = re.findall(r'^(X86|ARM)_ISA\((\w+),[^"]*"[^"]*"[^"]*"([^"]*)"', f.read(), re.M)
    return {folder: ("aarch64" if machine == "ARM" else "x86_64", flags.split()) for machine, folder, flags in rows}


def compiler(path, sets):
    """The command for a header: one of an instruction set's folder gets its flags, and on another
    machine the cross compiler, or None where that is missing."""
    folder = path.split("/")[2] if path.startswith("engine/kernels/") and path.count("/") > 2 else ""
    if folder not in sets:
        return ["cc"]
    machine, flags = sets[folder]
    command = "cc" if machine == os.uname().machine else f"{machine}-linux-gnu-gcc"
    return [command, *flags] if shutil.which(command) else None


def headers_alone(root, headers, flags):
    sets = instruction_sets(root)
    for path in headers:
        command = compiler(path, sets)
        if command is None:
            continue
        r = subprocess.run(
            [*command, "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
             "-I", root, *flags, "-x", "c", "-"], cwd=root, capture_output=True, text=True,
            input=f'#include "{path}"\n')
        if r.returncode:
            yield f"{path}: does not compile alone\n{r.stderr.strip()[:600]}"


def linked_packages(binary, listed):
    """Every library that the binary is linked with directly is a `run` package."""
    want = {line.split()[1] for line in listed.splitlines() if line.startswith("run ")} | {"libc6"}
    out = subprocess.run(["readelf", "-d", binary], capture_output=True, text=True, check=True).stdout
    paths = dict(re.findall(r"(\S+) => (\S+)", subprocess.run(
        ["ldd", binary], capture_output=True, text=True, check=True).stdout))
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", out)
    if not needed:
        yield f"{binary} links nothing: nothing was checked"
    for name in needed:
        path = os.path.realpath(paths.get(name, name))
        r = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True)
        if r.returncode:  # merged /usr: dpkg may know the file by its old path
            r = subprocess.run(["dpkg", "-S", path.removeprefix("/usr")], capture_output=True, text=True)
        package = r.stdout.split(":")[0]
        if package not in want:
            yield f"{name} comes from {package or 'no package'}, which deploy/packages does not list as run"
