#!/usr/bin/python3
"""The files of the tree, as a user gets them: all but what .gitignore names, with git or without it.

As a program it prints their paths, each with a NUL behind it."""
import fnmatch
import os
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def patterns(root):
    """Lines of .gitignore: names and globs, "/" at the beginning for the root alone, at the end for folders."""
    with open(os.path.join(root, ".gitignore")) as f:
        lines = [line.strip() for line in f]
    return [".git"] + [line for line in lines if line and line[0] != "#"]


def ignored(path, folder, rules):
    for rule in rules:
        if rule.endswith("/") and not folder:
            continue
        name = rule.rstrip("/")
        at_root = "/" in name
        if fnmatch.fnmatchcase(path if at_root else os.path.basename(path), name.lstrip("/")):
            return True
    return False


def files(root=ROOT):
    """Paths from the root on, sorted."""
    rules, found = patterns(root), []
    for base, folders, names in os.walk(root):
        def path(name):
            return os.path.relpath(os.path.join(base, name), root)
        found += [path(n) for n in names if not ignored(path(n), False, rules)]
        folders[:] = [d for d in folders if not ignored(path(d), True, rules)]
    return sorted(found)


if __name__ == "__main__":
    sys.stdout.write("".join(p + "\0" for p in files()))
