/* The image door: bytes of a picture -> the network's input tensor.
 *
 * Untrusted bytes: the type is sniffed by magic bytes, every limit is checked on the header before
 * anything is allocated. A decoder belongs to one caller at a time and reuses its buffers. */
#ifndef ENG_IMAGE_H
#define ENG_IMAGE_H

#include "engine/engine.h"

/* formats.def lists them; JPEG is the first. */
enum eng_image_format {
    ENG_IMAGE_UNKNOWN,
#define FORMAT(id, ...) ENG_IMAGE_##id,
#include "engine/formats.def"
    ENG_IMAGE_FORMATS,
};
enum eng_image_format eng_image_sniff(const void *bytes, size_t len);
/* "JPEG, PNG, …": those that this build reads, for people. Static. */
const char *eng_image_formats(void);

/* Limits; 0 in any field = the default given here. */
struct eng_image_limits {
    uint64_t max_pixels;     /* declared width x height; 50,000,000 */
    uint32_t max_width;      /* 65,500 */
    uint32_t max_height;     /* 65,500 */
    uint32_t max_scans;      /* of a progressive JPEG; 100 */
    size_t max_coefficients; /* bytes that a format forces on us for the whole picture: coefficients
                                of a progressive JPEG, pixels of an interlaced PNG or GIF, of a
                                WebP; 256 MiB */
    size_t max_chunk;        /* one PNG chunk, inflated; 16 MiB */
    uint32_t max_decode_ms;  /* 5,000 */
};

struct eng_image_info {
    enum eng_image_format format;
    uint32_t width, height; /* as stored, before orientation */
    int channels;           /* 1, 2, 3, 4 as stored */
    int bits;               /* per sample */
    int orientation;        /* EXIF 1..8; 1 if absent or invalid */
    int progressive;        /* JPEG SOF2 / interlaced */
};

/* Header only, no allocation of the image's size. ENG_E_FORMAT, ENG_E_LIMIT, ENG_E_DATA. */
int eng_image_probe(struct eng_image_info *ret, const void *bytes, size_t len,
                    const struct eng_image_limits *limits, char *err, size_t errlen);

enum eng_filter {
    ENG_FILTER_BILINEAR, /* Pillow's BILINEAR: triangle with antialias, u8 between the passes */
    ENG_FILTER_BICUBIC,  /* Pillow's BICUBIC (a = -0.5), antialiased */
    ENG_FILTER_NEAREST,
    ENG_FILTER_AREA,        /* Pillow's BOX */
    ENG_FILTER_TF_BILINEAR, /* TensorFlow's, without antialias, half-pixel centres */
};
enum eng_resize {
    ENG_RESIZE_SHORT_SIDE,   /* short side to round(size*256/224), centre crop */
    ENG_RESIZE_SQUASH,       /* whole picture to size, aspect ignored */
    ENG_RESIZE_CENTRAL_CROP, /* central 87.5 % box to size */
    ENG_RESIZE_LETTERBOX,    /* whole picture inside size, rest filled with mid-grey 128 */
};

const char *eng_filter_name(enum eng_filter filter); /* as the manifest has it: "bilinear", … */
const char *eng_resize_name(enum eng_resize resize); /* "short_side", … */

/* What the network wants to see; comes from the model's manifest. */
struct eng_preprocess {
    int height, width;
    enum eng_resize resize;
    enum eng_filter filter;
    int bgr;            /* channel order of the tensor: 0 RGB, 1 BGR */
    enum eng_type type; /* of the tensor: ENG_U8 / ENG_I8 (quantised) or ENG_F32 */
    /* f32: value = (pixel - mean[c]) * scale[c].
     * u8/i8: q = clamp(rint(((pixel - mean[c]) * scale[c]) / q_scale) + q_zero_point); the usual
     * manifests make that the pixel itself (u8) or pixel - 128 (i8). */
    float mean[3], scale[3]; /* by channel of the tensor: with bgr, [0] is blue's */
    float q_scale;
    int q_zero_point;
    int q_fp32; /* 1: the division is in fp32 and its quotient rounded before rint() sees it, as a
                   network's own QUANTIZE has it; 0: in double */
};

/* Where a tensor's pixels come from: its column u (0: the left edge of the first) lies at x0 + u *
 * dx of the upright picture, its row v at y0 + v * dy. With a crop no tensor reaches the picture's
 * edges; with a letterbox the filler lies beyond them. */
struct eng_placement {
    double x0, dx, y0, dy;
};
/* width, height: of the upright picture, not 0. -EINVAL if p's size is not within 1 .. 16384. */
int eng_image_place(struct eng_placement *ret, const struct eng_preprocess *p, uint32_t width,
                    uint32_t height);

struct eng_image_options {
    struct eng_image_limits limits;
    int ignore_exif; /* 1: orientation is not applied */
    int lenient;     /* 1: a truncated picture is answered with what there is */
    int full_decode; /* 1: no scaled-decode or crop shortcut: Pillow's pixels to the bit */
    /* Asked, once or more, before so many bytes of a whole picture are allocated, which are free
     * again when the run ends: 0; -EDQUOT, which the run then returns; -EFBIG, not ever:
     * ENG_E_LIMIT. NULL: nobody counts. */
    int (*room)(void *arg, size_t bytes);
    void *room_arg;
};

struct eng_image_report {
    struct eng_image_info info;
    int applied_orientation; /* 1..8 */
    int truncated;           /* only with lenient */
    int scale_denominator;   /* DCT scaling that was used: 1, 2, 4, 8 */
    /* Reading the picture; resampling and normalising it. They alternate, chunk by chunk; the sum
     * is the whole run. */
    uint64_t decode_ns, preprocess_ns;
};

struct eng_decoder;
int eng_decoder_create(struct eng_decoder **ret, uint32_t cpu_bits); /* 0 = eng_cpu_detect() */
void eng_decoder_destroy(struct eng_decoder *d);
size_t eng_decoder_bytes(const struct eng_decoder *d); /* held between images */

/* Decodes, turns, resizes, crops, normalises into dst: height x width x 3, NHWC, of p->type.
 * opts and ret may be NULL. On failure dst holds garbage. */
int eng_decoder_run(struct eng_decoder *d, const void *bytes, size_t len,
                    const struct eng_preprocess *p, const struct eng_image_options *opts, void *dst,
                    struct eng_image_report *ret, char *err, size_t errlen);

/* Turns height x width x 3 RGB pixels, already of the final size, into the tensor. */
void eng_preprocess_pixels(const struct eng_preprocess *p, const uint8_t *rgb, void *dst);

#endif
