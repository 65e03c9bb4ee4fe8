"""Pictures of every kind and shape, and what Pillow makes of them: DIR/NAME, DIR/NAME.u8 and a line
"name resize filter size tolerance" in DIR/list for each (numbers as in engine/image.h)."""

import os
import sys

from PIL import Image, ImageOps

SIZES = [(1, 1), (1, 90), (90, 1), (2, 3), (67, 53), (53, 67), (300, 7), (7, 300), (333, 222), (64, 64)]
FILTERS = [Image.BILINEAR, Image.BICUBIC, Image.NEAREST, Image.BOX]


def picture(size):
    noise = Image.effect_noise((max(size[0], 2), max(size[1], 2)), 90).crop((0, 0) + size)
    ramp = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (noise, ramp, ImageOps.invert(noise).transpose(Image.FLIP_LEFT_RIGHT)))


def short_side(im, size, f):
    w, h = im.size
    s, m = (size * 256 + 112) // 224, min(w, h)
    nw, nh = (w * s + m // 2) // m, (h * s + m // 2) // m
    x, y = (nw - size) // 2, (nh - size) // 2
    return im.resize((nw, nh), f).crop((x, y, x + size, y + size))


def squash(im, size, f):
    return im.resize((size, size), f)


def central(im, size, f):
    w, h = im.size
    return im.crop((w // 16, h // 16, w - w // 16, h - h // 16)).resize((size, size), f)


def letterbox(im, size, f):
    w, h = im.size
    m = max(w, h)
    nw, nh = max((w * size + m // 2) // m, 1), max((h * size + m // 2) // m, 1)
    out = Image.new("RGB", (size, size), (128, 128, 128))
    out.paste(im.resize((nw, nh), f), ((size - nw) // 2, (size - nh) // 2))
    return out


MODES = [short_side, squash, central, letterbox]


class Writer:
    def __init__(self, folder):
        self.folder = folder
        self.list = open(os.path.join(folder, "list"), "w")

    def add(self, name, im, upright=None, mode=0, f=0, size=48, tolerance=0, **how):
        path = os.path.join(self.folder, name)
        im.save(path, **how)
        if upright is None:
            with Image.open(path) as back:
                upright = back.convert("RGB")
        with open(path + ".u8", "wb") as out:
            out.write(MODES[mode](upright, size, FILTERS[f]).tobytes())
        self.list.write(f"{name} {mode} {f} {size} {tolerance}\n")


def shapes(w):
    for size in SIZES:
        im, tag = picture(size), "%dx%d" % size
        for end, kind in (("png", "RGB"), ("grey.png", "L"), ("bit.png", "1"), ("palette.png", "P"),
                          ("bmp", "RGB"), ("palette.bmp", "P"), ("ppm", "RGB"), ("pbm", "1"),
                          ("gif", "P"), ("grey.jpg", "L"), ("cmyk.jpg", "CMYK")):
            w.add(f"{tag}.{end}", im.convert(kind))
        w.add(f"{tag}.webp", im, lossless=True)
        w.add(f"{tag}.lossy.webp", im, quality=60)
        for s in range(3):
            w.add(f"{tag}.{s}.jpg", im, subsampling=s)
        w.add(f"{tag}.progressive.jpg", im, progressive=True)


def ways(w):
    for size in ((333, 222), (40, 61)):
        im = picture(size)
        for mode in range(len(MODES)):
            for f in range(len(FILTERS)):
                w.add(f"way{size[0]}_{mode}_{f}.png", im, mode=mode, f=f, size=32 + 31 * f)


def turned(w):
    im = picture((97, 71))
    back = [None, None, 0, 3, 1, 5, 2, 6, 4]  # Image.Transpose that undoes each orientation's turn
    for o in range(2, 9):
        exif = Image.Exif()
        exif[0x112] = o
        for end, how in (("png", {}), ("webp", {"lossless": True})):
            stored = im.transpose(back[o])
            w.add(f"turn{o}.{end}", stored, im, tolerance=1 if o > 4 else 0, exif=exif, **how)


def alpha(w):
    im = picture((80, 60)).convert("RGBA")
    im.putalpha(Image.linear_gradient("L").resize(im.size))
    white = Image.new("RGB", im.size, (255, 255, 255))
    white.paste(im, mask=im.getchannel("A"))
    w.add("alpha.png", im, white)
    w.add("alpha.webp", im, white, lossless=True, exact=True)


if __name__ == "__main__":
    writer = Writer(sys.argv[1])
    for part in (shapes, ways, turned, alpha):
        part(writer)
    writer.list.close()
