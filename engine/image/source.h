/* A picture that gives its rows one after the other, so that nobody needs the whole of it.
 *
 * open (header, by the codec) -> start (which part, which scale) -> read until `rows` came ->
 * finish (verdict on what was not read) -> close, after a failure too. One file per format; each
 * gives upright neither orientation nor size: rows come as they are stored, 8 bits, grey or RGB,
 * alpha already composited on white. */
#ifndef ENG_IMAGE_SOURCE_H
#define ENG_IMAGE_SOURCE_H

#include "engine/base/clock.h"
#include "engine/image.h"
#include "engine/image/buffer.h"
#include "engine/image/bytes.h"

struct eng_source;
struct eng_source_ops {
    size_t state_bytes;
    int (*open)(struct eng_source *s);
    /* The window below is set by the caller; start may widen it. */
    int (*start)(struct eng_source *s);
    /* Next rows, at least one: *ret_rows is valid until the next call, `stride` bytes apart,
     * readable ENG_ROW_SLACK bytes behind their last pixel. Number of rows or a failure. */
    int (*read)(struct eng_source *s, const uint8_t **ret_rows);
    int (*finish)(struct eng_source *s);
    void (*close)(struct eng_source *s);
};

enum { ENG_ROW_SLACK = 128, ENG_SOURCE_ROWS = 16 /* that are worth one call of read() */ };

struct eng_source {
    const struct eng_source_ops *ops;
    const uint8_t *bytes;
    size_t len;
    struct eng_image_info info;
    struct eng_image_limits limits;       /* filled */
    int (*room)(void *arg, size_t bytes); /* of the caller's options */
    void *room_arg;
    int lenient, full_decode;
    uint64_t deadline_ns;       /* CLOCK_MONOTONIC */
    struct eng_buffer *rows;    /* of the decoder, reused: what read() returns */
    struct eng_buffer *picture; /* the same, for what cannot come row by row */
    struct eng_buffer *tables;  /* the same, of one format alone; what is in it stays */
    struct eng_sentence err;
    void *state; /* state_bytes, zeroed */

    /* open() */
    int channels;        /* of the rows: 1 or 3 */
    int max_denominator; /* 1, or 8 where 2, 4, 8 are possible */
    /* caller, before start(); columns x0 .. x1-1 and rows y0 .. y1-1 of the scaled picture, whose
     * size is ceil(width / denominator) x ceil(height / denominator) */
    int denominator;
    uint32_t x0, x1, y0, y1;
    /* start() */
    size_t stride;
    /* read(), finish() */
    int truncated; /* lenient only */
};

/* The ops of a format, NULL for one that is not read here. */
const struct eng_source_ops *eng_source_ops(enum eng_image_format f);
/* Defined where its codec is built in. */
#define FORMAT(id, file, ...) extern const struct eng_source_ops eng_source_##file;
#include "engine/formats.def"

/* ENG_E_LIMIT with its sentence once the deadline is past. */
int eng_source_check_time(struct eng_source *s);
/* Bytes of a whole picture that a format forces on us, against max_coefficients and the caller's
 * room: before they are allocated. */
int eng_source_check_whole(struct eng_source *s, uint64_t bytes, const char *what);
/* Right type, broken content: fails, or with lenient marks the picture and returns 0. */
int eng_source_broken(struct eng_source *s, const char *what);
/* read() of a picture that is decoded whole: the next rows, at most ENG_SOURCE_ROWS, of RGB or RGBA
 * from `from` on, which is the window's first column of row *next_row. */
int eng_source_whole_rows(struct eng_source *s, const uint8_t *from, size_t pitch,
                          size_t pixel_bytes, uint32_t *next_row, const uint8_t **ret_rows);
/* finish() where read() has said all, close() where open() took nothing. */
int eng_source_all_is_read(struct eng_source *s);
void eng_source_holds_nothing(struct eng_source *s);
/* In place: RGBA, not premultiplied, to RGB over white. */
void eng_row_on_white(uint8_t *row, size_t pixels);

#endif
