"""Pictures made on the spot: plain colours, huge ones, and files that lie."""
import io
import random
import struct
import zlib

from PIL import Image


def encode(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def plain(rgb, size=(64, 48), kind="PNG", **options):
    return encode(Image.new("RGB", size, rgb), kind, **options)


RED, GREEN, BLUE = plain((255, 0, 0)), plain((0, 255, 0)), plain((0, 0, 255))
RED_JPEG = plain((255, 0, 0), kind="JPEG", quality=95, subsampling=0)


def noise(width, height, kind="JPEG", seed=1):
    """A picture that is expensive to decode."""
    data = random.Random(seed).randbytes(width * height * 3)
    return encode(Image.frombytes("RGB", (width, height), data), kind)


def chunk(tag, data):
    return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))


def lying_png(width, height):
    """A header of width x height over the data of one row."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100))
            + chunk(b"IEND", b""))


def multipart(parts, boundary="frontier"):
    """(body, content type) of form-data parts: (field, file name, bytes); a name of None is a field without a file."""
    body = b""
    for field, name, data in parts:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"'.encode()
        if name is not None:
            body += f'; filename="{name}"\r\nContent-Type: application/octet-stream'.encode()
        body += b"\r\n\r\n" + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
