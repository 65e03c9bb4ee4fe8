/* JPEG through libjpeg-turbo. The library reports errors by calling error_exit, which must not
 * return: the setjmp for that lives in this file alone, one per entry point, and no frame between
 * it and the library holds anything that needs freeing.
 *
 * Whole-picture memory (progressive, or several scans) is known from the header and refused there;
 * scans and time are counted by the progress monitor, because one small file may ask for millions
 * of passes. */
#include "engine/image/source.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "engine/image/exif.h"
#include "engine/image/huffman.h"
#include "engine/image/probe.h"

enum { BATCH = 16, LIBRARY_BYTES = 16 << 20 };

struct jpeg {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr input;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    int result;   /* set before a longjmp; the sentence is already written */
    int created;  /* cinfo must be destroyed */
    int in_image; /* the header is read: what is missing may be forgiven */
    uint32_t next_row;
    int inverted; /* CMYK the Adobe way */
    struct eng_huffman huffman;
};

/* ---- the header ---- */

static int is_sof(int marker)
{
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

/* Position of the next marker's code byte at or after `at`; len if there is none. */
static size_t next_marker(const uint8_t *p, size_t len, size_t at)
{
    for (; at + 1 < len; at++)
        if (p[at] == 0xff && p[at + 1] != 0xff && p[at + 1] != 0)
            return at + 1;
    return len;
}

static void read_sof(struct eng_image_info *info, int marker, const uint8_t *body)
{
    info->bits = body[0];
    info->height = eng_be16(body + 1);
    info->width = eng_be16(body + 3);
    info->channels = body[5];
    info->progressive = marker == 0xc2 || marker == 0xca;
}

int eng_probe_jpeg(struct eng_image_info *info, const uint8_t *p, size_t len,
                   const struct eng_sentence *err)
{
    int have_size = 0, have_exif = 0;
    for (size_t at = 2;;) {
        size_t code = next_marker(p, len, at);
        int marker = code < len ? p[code] : 0xd9;
        if (marker == 0xd9 || marker == 0xda)
            break;
        at = code + 1;
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8))
            continue;
        size_t size = len - at >= 2 ? eng_be16(p + at) : 0;
        if (size < 2 || size > len - at)
            break;
        const uint8_t *body = p + at + 2;
        size_t body_len = size - 2;
        if (is_sof(marker) && !have_size && body_len >= 6) {
            read_sof(info, marker, body);
            have_size = 1;
        } else if (marker == 0xe1 && !have_exif && body_len > 6 && memcmp(body, "Exif\0", 6) == 0) {
            info->orientation = eng_exif_orientation(body + 6, body_len - 6);
            have_exif = 1;
        }
        at += size;
    }
    if (!have_size)
        return eng_image_fail(err, ENG_E_DATA, "the JPEG ends before it declares its size");
    return 0;
}

/* ---- rows ---- */

static struct eng_source *source_of(j_common_ptr cinfo)
{
    return cinfo->client_data;
}

static void escape(struct eng_source *s, int result)
{
    struct jpeg *j = s->state;
    j->result = result;
    longjmp(j->escape, 1);
}

static int code_of(int message)
{
    switch (message) {
    case JERR_OUT_OF_MEMORY:
        return -ENOMEM;
    case JERR_NO_BACKING_STORE:
        return ENG_E_LIMIT;
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_ARITH_NOTIMPL:
        return ENG_E_UNSUPPORTED;
    default:
        return ENG_E_DATA;
    }
}

static void on_error(j_common_ptr cinfo)
{
    struct eng_source *s = source_of(cinfo);
    char text[JMSG_LENGTH_MAX];
    cinfo->err->format_message(cinfo, text);
    escape(s,
           eng_image_fail(&s->err, code_of(cinfo->err->msg_code), "the JPEG is broken: %s", text));
}

/* A warning means that the library goes on with invented pixels, or that it met something harmless:
 * the list tells them apart. */
static void on_message(j_common_ptr cinfo, int level)
{
    if (level >= 0)
        return;
    switch (cinfo->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_ARITH_BAD_CODE:
        break;
    default:
        return;
    }
    struct eng_source *s = source_of(cinfo);
    char text[JMSG_LENGTH_MAX], sentence[JMSG_LENGTH_MAX + 32];
    cinfo->err->format_message(cinfo, text);
    snprintf(sentence, sizeof(sentence), "the JPEG is broken: %s", text);
    int r = eng_source_broken(s, sentence);
    if (r < 0)
        escape(s, r);
}

static void no_output(j_common_ptr cinfo)
{
    (void)cinfo;
}

static void on_init(j_decompress_ptr cinfo)
{
    (void)cinfo;
}

/* The bytes are all there from the start, so being asked for more means that they end too early. */
static boolean on_fill(j_decompress_ptr cinfo)
{
    static const JOCTET end[] = {0xff, JPEG_EOI};
    struct eng_source *s = cinfo->client_data;
    struct jpeg *j = s->state;
    int r;
    if (j->in_image)
        r = eng_source_broken(s, "the JPEG is truncated: it has no end marker");
    else
        r = eng_image_fail(&s->err, ENG_E_DATA, "the JPEG ends inside its header");
    if (r < 0)
        escape(s, r);
    cinfo->src->next_input_byte = end;
    cinfo->src->bytes_in_buffer = sizeof(end);
    return TRUE;
}

static void on_skip(j_decompress_ptr cinfo, long n)
{
    struct jpeg_source_mgr *src = cinfo->src;
    if (n <= 0)
        return;
    if ((size_t)n > src->bytes_in_buffer) {
        src->bytes_in_buffer = 0;
        on_fill(cinfo);
        return;
    }
    src->next_input_byte += n;
    src->bytes_in_buffer -= (size_t)n;
}

static void on_progress(j_common_ptr common)
{
    struct eng_source *s = source_of(common);
    j_decompress_ptr cinfo = (j_decompress_ptr)common;
    if (cinfo->input_scan_number > (int)s->limits.max_scans)
        escape(s,
               eng_image_fail(&s->err, ENG_E_LIMIT, "the JPEG has more scans than the limit of %u",
                              s->limits.max_scans));
    int r = eng_source_check_time(s);
    if (r < 0)
        escape(s, r);
}

static void attach(struct eng_source *s, struct jpeg *j)
{
    j_decompress_ptr cinfo = &j->cinfo;
    cinfo->err = jpeg_std_error(&j->errors);
    j->errors.error_exit = on_error;
    j->errors.emit_message = on_message;
    j->errors.output_message = no_output;
    cinfo->client_data = s;
    j->input.init_source = on_init;
    j->input.fill_input_buffer = on_fill;
    j->input.skip_input_data = on_skip;
    j->input.resync_to_restart = jpeg_resync_to_restart;
    j->input.term_source = on_init;
    j->input.next_input_byte = s->bytes;
    j->input.bytes_in_buffer = s->len;
    j->progress.progress_monitor = on_progress;
}

static int choose_colours(struct eng_source *s, j_decompress_ptr cinfo)
{
    struct jpeg *j = s->state;
    switch (cinfo->jpeg_color_space) {
    case JCS_GRAYSCALE:
        cinfo->out_color_space = JCS_GRAYSCALE;
        s->channels = 1;
        return 0;
    case JCS_YCbCr:
    case JCS_RGB:
        cinfo->out_color_space = JCS_RGB;
        s->channels = 3;
        return 0;
    case JCS_CMYK:
    case JCS_YCCK:
        cinfo->out_color_space = JCS_CMYK;
        j->inverted = cinfo->saw_Adobe_marker;
        s->channels = 3;
        return 0;
    default:
        return eng_image_fail(&s->err, ENG_E_UNSUPPORTED,
                              "a JPEG of %d components is not read here", cinfo->num_components);
    }
}

/* What the library will hold when it cannot go row by row: every coefficient, 2 bytes each. */
static int check_coefficients(struct eng_source *s, j_decompress_ptr cinfo)
{
    if (!jpeg_has_multiple_scans(cinfo))
        return 0;
    uint64_t across = 8u * (uint64_t)cinfo->max_h_samp_factor, bytes = 0;
    uint64_t down = 8u * (uint64_t)cinfo->max_v_samp_factor;
    uint64_t mcus = (cinfo->image_width + across - 1) / across;
    mcus *= (cinfo->image_height + down - 1) / down;
    for (int i = 0; i < cinfo->num_components; i++)
        bytes += mcus * (uint64_t)cinfo->comp_info[i].h_samp_factor *
                 (uint64_t)cinfo->comp_info[i].v_samp_factor * DCTSIZE2 * sizeof(JCOEF);
    return eng_source_check_whole(s, bytes, "the progressive JPEG");
}

static int jpeg_open(struct eng_source *s)
{
    struct jpeg *j = s->state;
    j_decompress_ptr cinfo = &j->cinfo;
    attach(s, j);
    if (setjmp(j->escape))
        return j->result;
    jpeg_create_decompress(cinfo);
    j->created = 1;
    cinfo->src = &j->input;
    cinfo->progress = &j->progress;
    if (s->limits.max_coefficients < LONG_MAX - LIBRARY_BYTES)
        cinfo->mem->max_memory_to_use = (long)s->limits.max_coefficients + LIBRARY_BYTES;
    jpeg_read_header(cinfo, TRUE);
    j->in_image = 1;
    if (cinfo->image_width != s->info.width || cinfo->image_height != s->info.height)
        return eng_image_fail(&s->err, ENG_E_DATA, "the JPEG declares two different sizes");
    s->max_denominator = 8;
    int r = choose_colours(s, cinfo);
    return r < 0 ? r : check_coefficients(s, cinfo);
}

/* Narrows the decoder to the window; the library rounds its left edge down to a whole MCU. */
static void crop(struct eng_source *s, j_decompress_ptr cinfo)
{
    uint32_t margin = 8u * (uint32_t)cinfo->max_h_samp_factor; /* context of the upsampling */
    JDIMENSION x0 = s->x0 > margin ? s->x0 - margin : 0;
    JDIMENSION x1 = cinfo->output_width - s->x1 > margin ? s->x1 + margin : cinfo->output_width;
    JDIMENSION width = x1 - x0;
    if (width < cinfo->output_width)
        jpeg_crop_scanline(cinfo, &x0, &width);
    s->x0 = x0;
    s->x1 = x0 + width;
}

/* NULL without memory for them: then the library's have to do. */
static struct eng_huffman_tables *tables(struct eng_source *s)
{
    if (s->tables->size == 0) {
        if (eng_buffer_reserve(s->tables, sizeof(struct eng_huffman_tables)) < 0)
            return NULL;
        memset(s->tables->data, 0, sizeof(struct eng_huffman_tables));
    }
    return s->tables->data;
}

static boolean decode_mcu(j_decompress_ptr cinfo, JBLOCKROW *blocks)
{
    struct jpeg *j = source_of((j_common_ptr)cinfo)->state;
    return eng_huffman_mcu(&j->huffman, cinfo, blocks);
}

static int jpeg_start(struct eng_source *s)
{
    struct jpeg *j = s->state;
    j_decompress_ptr cinfo = &j->cinfo;
    if (setjmp(j->escape))
        return j->result;
    cinfo->scale_num = 1;
    cinfo->scale_denom = (unsigned)s->denominator;
    jpeg_start_decompress(cinfo);
    if (!s->lenient && tables(s) && eng_huffman_start(&j->huffman, tables(s), cinfo))
        cinfo->entropy->decode_mcu = decode_mcu;
    if (s->full_decode) {
        s->x0 = s->y0 = 0;
        s->x1 = cinfo->output_width;
        s->y1 = cinfo->output_height;
    } else {
        crop(s, cinfo);
        if (s->y0 > 0)
            jpeg_skip_scanlines(cinfo, s->y0);
    }
    j->next_row = s->y0;
    size_t bytes = eng_size(cinfo->output_width, (size_t)cinfo->output_components, ENG_ROW_SLACK);
    s->stride = (bytes + 63) & ~(size_t)63;
    if (eng_buffer_reserve(s->rows, eng_size(s->stride, BATCH, 0)) < 0)
        return eng_image_fail(&s->err, -ENOMEM, "out of memory for the rows of the picture");
    return 0;
}

static uint8_t multiply(uint32_t a, uint32_t b)
{
    uint32_t t = a * b + 128;
    return (uint8_t)(((t >> 8) + t) >> 8);
}

/* In place: ink to light. Adobe stores how much paper shines through, others how much ink. */
static void cmyk_to_rgb(uint8_t *row, size_t pixels, int inverted)
{
    uint8_t flip = inverted ? 0 : 255;
    for (size_t i = 0; i < pixels; i++) {
        const uint8_t *in = row + 4 * i;
        int light = in[3] ^ flip;
        for (size_t c = 0; c < 3; c++) {
            int v = light - multiply((uint32_t)(in[c] ^ flip ^ 255), (uint32_t)light);
            row[3 * i + c] = (uint8_t)(v < 0 ? 0 : v);
        }
    }
}

static int jpeg_read(struct eng_source *s, const uint8_t **ret_rows)
{
    struct jpeg *j = s->state;
    j_decompress_ptr cinfo = &j->cinfo;
    if (setjmp(j->escape))
        return j->result;
    uint8_t *rows = s->rows->data;
    uint32_t want = s->y1 - j->next_row;
    if (want > BATCH)
        want = BATCH;
    JSAMPROW pointers[BATCH];
    for (uint32_t i = 0; i < want; i++)
        pointers[i] = rows + s->stride * i;
    JDIMENSION have = 0;
    while (have < want)
        have += jpeg_read_scanlines(cinfo, pointers + have, want - have);
    if (cinfo->out_color_space == JCS_CMYK)
        for (uint32_t i = 0; i < want; i++)
            cmyk_to_rgb(pointers[i], cinfo->output_width, j->inverted);
    j->next_row += want;
    *ret_rows = rows;
    return (int)want;
}

/* Rows below the window are not decoded, yet a file that ends among them must be judged as if they
 * were: its end marker is looked for. Inside scan data no byte pair looks like one. */
static int has_end_marker(const struct jpeg_source_mgr *src)
{
    const uint8_t *p = src->next_input_byte, *end = p + src->bytes_in_buffer;
    while (end - p >= 2 && (p = memchr(p, 0xff, (size_t)(end - p - 1))) != NULL) {
        if (p[1] == JPEG_EOI)
            return 1;
        p++;
    }
    return 0;
}

static int jpeg_finish(struct eng_source *s)
{
    struct jpeg *j = s->state;
    j_decompress_ptr cinfo = &j->cinfo;
    if (setjmp(j->escape))
        return j->result;
    if (s->truncated)
        return 0;
    if (cinfo->output_scanline == cinfo->output_height) {
        jpeg_finish_decompress(cinfo);
        return 0;
    }
    if (cinfo->unread_marker == JPEG_EOI || jpeg_input_complete(cinfo) ||
        has_end_marker(cinfo->src))
        return 0;
    return eng_source_broken(s, "the JPEG is truncated: it has no end marker");
}

static void jpeg_close(struct eng_source *s)
{
    struct jpeg *j = s->state;
    if (j->created)
        jpeg_destroy_decompress(&j->cinfo);
}

const struct eng_source_ops eng_source_jpeg = {
    sizeof(struct jpeg), jpeg_open, jpeg_start, jpeg_read, jpeg_finish, jpeg_close,
};
