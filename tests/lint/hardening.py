"""The hardening of the binary, read back from the file and not from the flags that should have made it."""
import os
import re
import subprocess
import tempfile

FOLDERS = ("config", "engine", "protocol", "server")
PROBE = 0x1000  # what a function may move the stack by without touching it: -fstack-clash-protection's interval on x86-64
# What each object file of ours carries, by machine. The program has the first, and the second only where the start-up
# files of the C library were built so, which those of Debian 12 are not.
MARKS = {"x86_64": ("SHSTK", "IBT"), "aarch64": ()}
WEAK = """
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
    char big[100000], small[8];
    memset(big, argc, sizeof(big));
    strncpy(small, argv[0], argc);
    snprintf(big, argc, "%s", small);
    return puts(big + big[argc]);
}
"""
WEAK_FLAGS = ["-O1", "-no-pie", "-fno-stack-protector", "-fno-stack-clash-protection", "-U_FORTIFY_SOURCE", "-w",
              "-Wl,-z,norelro", "-Wl,-z,lazy", "-Wl,-z,execstack"]


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def of_headers(text):
    """`readelf -hldW`: how it is loaded."""
    if not re.search(r"Type:\s+DYN", text) or not re.search(r"FLAGS_1.*\bPIE\b", text):
        yield "it is no PIE: its addresses are the same in every process"
    if not re.search(r"^\s*GNU_RELRO\b", text, re.M):
        yield "no RELRO: the tables of the linker stay writable"
    if not re.search(r"\(FLAGS\).*BIND_NOW|FLAGS_1.*\bNOW\b", text):
        yield "no BIND_NOW: the table of calls into libraries stays writable"
    stack = re.search(r"^\s*GNU_STACK\s+.*", text, re.M)
    if not stack or re.search(r"\bR?WE\b", stack[0]):
        yield "its stack is executable"


def of_symbols(text, where):
    """`nm`: the checks that its code calls."""
    if not re.search(r"\bU __stack_chk_fail\b", text):
        yield f"{where}: no stack protector (__stack_chk_fail is not called)"
    if not re.search(r"\bU __(?!stack)\w+_chk\b", text):
        yield f"{where}: no _FORTIFY_SOURCE (none of the __*_chk is called)"


def of_code(text):
    """`objdump -d`: frames that step over a guard page."""
    sizes = [int(n, 16) for n in re.findall(r"\bsub\s+\$0x([0-9a-f]+),%rsp", text)]
    steps = sum(PROBE < n < 1 << 63 for n in sizes)
    if steps:
        yield f"{steps} functions move the stack by more than a page at once: no stack clash protection"
    if not sizes:
        yield "no function moves the stack: nothing was checked"


def of_notes(text, marks):
    """`readelf -nW` of an archive or a program."""
    for part in re.split(r"^File: ", text, flags=re.M):
        name = part.split("\n", 1)[0].strip() or "the program"
        found = re.search(r"x86 feature: (.*)", part)
        missing = [m for m in marks if not found or m not in found[1]]
        if part.strip() and missing:
            yield f"{name}: not marked {', '.join(missing)} (-fcf-protection)"


def program(path, machine):
    name = os.path.basename(path)
    for fault in of_headers(output("readelf", "-hldW", path)):
        yield f"{name}: {fault}"
    yield from of_symbols(output("nm", path), name)
    if MARKS[machine]:
        yield from of_code(output("objdump", "-d", "--no-show-raw-insn", path))
        yield from of_notes(output("readelf", "-nW", path), MARKS[machine][:1])


def faults(build, archives):
    machine = os.uname().machine
    yield from program(os.path.join(build, "mobilenetd"), machine)
    for folder in FOLDERS:
        ours = list(archives(build, folder))
        yield from of_symbols("".join(output("nm", a) for a in ours), folder)
        for a in ours if MARKS[machine] else ():
            yield from of_notes(output("readelf", "-nW", a), MARKS[machine])


def planted():
    """(name, faults of a program that was built without): one row a protection."""
    machine = os.uname().machine
    with tempfile.TemporaryDirectory() as directory:
        source, path = os.path.join(directory, "weak.c"), os.path.join(directory, "weak")
        with open(source, "w", encoding="utf-8") as f:
            f.write(WEAK)
        flags = WEAK_FLAGS + (["-fcf-protection=none"] if MARKS[machine] else [])
        subprocess.run(["cc", *flags, "-o", path, source], check=True, capture_output=True)
        found = list(program(path, machine))
    words = ["no PIE", "no RELRO", "no BIND_NOW", "executable", "no stack protector", "no _FORTIFY_SOURCE"]
    for word in words + (["stack clash", "not marked"] if MARKS[machine] else []):
        yield f"hardening: {word}", [fault for fault in found if word in fault]
