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


def compiler(path):
    """The command for a header: one of an ISA's folder gets the flags of that ISA, and on another
    machine its cross compiler, or None where that is missing."""
    isa = re.match(r"engine/kernels/(?:x86|avx|amx|sse|neon|dotprod|sve)", path)
    if not isa:
        return ["cc"]
    arm = isa.group(0).rsplit("/", 1)[1] in ("neon", "dotprod", "sve")
    if arm == (os.uname().machine == "aarch64"):
        return ["cc", "-march=armv8.2-a+dotprod+fp16" if arm else "-march=sapphirerapids"]
    cross = "aarch64-linux-gnu-gcc" if arm else "x86_64-linux-gnu-gcc"
    if shutil.which(cross) is None:
        return None
    return [cross, "-march=armv8.2-a+dotprod+fp16" if arm else "-march=sapphirerapids"]


def headers_alone(root, headers, flags):
    for path in headers:
        command = compiler(path)
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
