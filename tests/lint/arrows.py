"""Who may include whom: the table of docs/ARCHITECTURE.md as data, and the checks that read it."""
import re

LEAVES = ("config", "engine", "protocol")
FOLDERS = LEAVES + ("server",)
ENGINE_PUBLIC = {"engine/" + h for h in
                 ("engine.h", "exactness.h", "model.h", "image.h", "context.h", "team.h", "peak.h", "quantize.h", "teach.h", "compress.h", "prune.h", "tune.h",
                  "postprocess.h")}

# System headers that only some folders may use. The rest of libc is free to all.
LIMITED = [
    (r"jansson\.h", {"engine", "protocol"}),
    (r"protobuf-c/.*|.*\.pb-c\.h", {"engine", "protocol"}),
    (r"nghttp2/.*", {"protocol"}),
    (r"zlib\.h", {"protocol"}),
    (r"jpeglib\.h|jerror\.h|turbojpeg\.h|spng\.h|png\.h|webp/.*|avif/.*|gif_lib\.h", {"engine"}),
    (r"ini\.h", {"config"}),
    (r"uv\.h|microhttpd\.h|gnutls/.*", {"server"}),
    (r"pthread\.h|threads\.h|stdatomic\.h", {"engine", "server"}),
    (r"sys/socket\.h|sys/un\.h|netinet/.*|arpa/.*|netdb\.h|poll\.h|sys/poll\.h|sys/epoll\.h|"
     r"sys/select\.h", {"server"}),
    (r"syslog\.h", {"server"}),
    (r"immintrin\.h|arm_neon\.h|cpuid\.h|sys/auxv\.h", {"engine"}),
]

# Calls that a folder may not make, though the header is free.
CALLS = [
    (r"\b(?:getenv|secure_getenv)\s*\(", {"config", "server"}, "reads the environment"),
    (r"\b(?:clock_gettime|gettimeofday|time|clock|nanosleep|usleep|sleep)\s*\(",
     {"engine", "server"}, "reads the clock"),
    (r"\bfprintf\s*\(\s*stderr\b|\bperror\s*\(|\bsyslog\s*\(", {"server"}, "logs"),
    (r"\bpthread_create\s*\(|\bthrd_create\s*\(", {"server"}, "starts a thread"),
]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def folder_of(path):
    head = path.split("/", 1)[0]
    return head if head in FOLDERS else None


def check_include(folder, quote, target):
    """The reason why a file of `folder` may not include `target`, or None."""
    for pattern, allowed in LIMITED:
        if re.fullmatch(pattern, target) and folder not in allowed:
            return "only for " + ", ".join(sorted(allowed))
    if quote == "<":
        return None
    owner = folder_of(target)
    if owner is None:
        return None if target.endswith(".pb-c.h") else "not a path from the root of the tree"
    if owner == folder:
        return None
    if folder != "server":
        return "leaves do not include each other" if folder in LEAVES else None
    if owner == "engine" and target not in ENGINE_PUBLIC:
        return "server sees only " + ", ".join(sorted(ENGINE_PUBLIC))
    return None


def arrows(sources):
    """sources: {path: text}. Yields one sentence a wrong include."""
    for path, text in sources.items():
        folder = folder_of(path)
        if folder is None or not path.endswith((".c", ".h", ".def")):
            continue
        for m in INCLUDE.finditer(text):
            why = check_include(folder, m.group(1), m.group(2))
            if why:
                line = text.count("\n", 0, m.start()) + 1
                yield f"{path}:{line}: includes {m.group(2)}: {why}"


def calls(stripped):
    """stripped: {path: code without comments and strings}. Yields wrong calls of the leaves."""
    for path, text in stripped.items():
        folder = folder_of(path)
        if folder is None:
            continue
        for pattern, allowed, what in CALLS:
            if folder in allowed:
                continue
            for m in re.finditer(pattern, text):
                line = text.count("\n", 0, m.start()) + 1
                yield f"{path}:{line}: {m.group(0).strip('( ')} {what}, which {folder}/ may not"
