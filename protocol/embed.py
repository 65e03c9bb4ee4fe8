"""Writes a file as a C array: embed.py FILE NAME > OUTPUT. Used at build time for the schema that
reflection answers with."""
import sys


def main(path, name):
    with open(path, "rb") as f:
        data = f.read()
    print("#include <stddef.h>")
    print(f"extern const unsigned char {name}[];\nextern const size_t {name}_len;")
    print(f"const size_t {name}_len = {len(data)};\nconst unsigned char {name}[] = {{")
    for i in range(0, len(data), 20):
        print(",".join(map(str, data[i:i + 20])) + ",")
    print("};")


main(*sys.argv[1:])
