"""Writes the page as C: embed.py HTML CSS JS SVG > OUTPUT. One document with its style and script inside, compressed, and the
policy that lets a browser run these two and nothing else (https://www.w3.org/TR/CSP3/, hashes of inline elements). Used at build time."""
import base64
import gzip
import hashlib
import sys
import urllib.parse


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def digest(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def main(html, css, js, svg):
    style, script = "\n" + read(css), "\n" + read(js)
    icon = "data:image/svg+xml," + urllib.parse.quote(read(svg).strip(), safe=" =:/'()")
    page = read(html).replace("@STYLE@", style).replace("@SCRIPT@", script).replace("@ICON@", icon)
    policy = "; ".join([
        "default-src 'none'", "script-src " + digest(script), "style-src " + digest(style), "img-src data: blob:",
        "media-src blob:", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])
    packed = gzip.compress(page.encode(), 9, mtime=0)
    tag = hashlib.sha256(packed).hexdigest()[:16]
    print('#include "server/handlers/page.h"')
    print(f'const char srv_page_policy[] = "{policy}";\nconst char srv_page_tag[] = "\\"{tag}\\"";')
    print(f"const size_t srv_page_len = {len(packed)}, srv_page_whole = {len(page.encode())};")
    print("const unsigned char srv_page[] = {")
    for i in range(0, len(packed), 20):
        print(",".join(map(str, packed[i:i + 20])) + ",")
    print("};")


main(*sys.argv[1:])
