/* Our Huffman decoder against libjpeg-turbo's, which lenient reading keeps: the same pixels and the
 * same verdict, for good JPEGs, small ones of every kind, and thousands of damaged ones. */
#include "engine/image.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/image_support.h"

enum { SIDE = 224, MUTATIONS = 1500 };

struct tally {
    int read, refused, codes, fills;
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Both ways, at one size and with or without the shortcuts. */
static void compare(struct eng_decoder *d, const uint8_t *bytes, size_t len, int side, int full,
                    const char *what, struct tally *t)
{
    static uint8_t ours[SIDE * SIDE * 3], library[SIDE * SIDE * 3];
    struct eng_preprocess p = image_plain(side);
    struct eng_image_options o = {.full_decode = full, .limits = {.max_pixels = 4000000}};
    struct eng_image_report report;
    char err[256] = "", other[256];
    int r = eng_decoder_run(d, bytes, len, &p, &o, ours, &report, err, sizeof(err));
    o.lenient = 1;
    int l = eng_decoder_run(d, bytes, len, &p, &o, library, &report, other, sizeof(other));
    if (l < 0 || report.truncated) {
        if (r == 0)
            fail_msg("%s: read, though the library says %s", what, l < 0 ? other : "truncated");
        t->refused++;
        return;
    }
    if (r < 0) { /* the library passes over codes that do not exist, except near the end */
        if (!strstr(err, "bad Huffman code"))
            fail_msg("%s: %s, though the library reads it", what, err);
        t->codes++;
        return;
    }
    int same = memcmp(ours, library, (size_t)side * (size_t)side * 3) == 0;
    if (!same && memmem(bytes, len, "\xff\xff", 2)) {
        /* The library's fast path takes a fill byte for a marker, begins the block again in its
         * slow one, and leaves in it what the first attempt made up. */
        t->fills++;
        return;
    }
    if (!same)
        fail_msg("%s: other pixels at %d%s", what, side, full ? ", whole" : "");
    t->read++;
}

static void compare_all(struct eng_decoder *d, const uint8_t *bytes, size_t len, const char *what,
                        struct tally *t)
{
    static const int sides[] = {224, 100, 24, 8}; /* scaled decoding to a half, ... an eighth */
    for (size_t i = 0; i < sizeof(sides) / sizeof(*sides); i++)
        compare(d, bytes, len, sides[i], 0, what, t);
    compare(d, bytes, len, SIDE, 1, what, t);
}

static void damage(uint8_t *bytes, size_t *len, uint32_t *seed)
{
    size_t at = next_random(seed) % *len;
    switch (next_random(seed) % 5) {
    case 0:
        bytes[at] ^= (uint8_t)(1u << next_random(seed) % 8);
        break;
    case 1:
        bytes[at] = (uint8_t)next_random(seed);
        break;
    case 2:
        bytes[at] = 0xff;
        break;
    case 3:
        memmove(bytes + at, bytes + at + 1, --*len - at);
        break;
    default:
        *len = at + 1;
    }
}

static void compare_damaged(struct eng_decoder *d, const uint8_t *bytes, size_t len,
                            const char *what, int n, struct tally *t)
{
    uint32_t seed = 20261124;
    for (int i = 0; i < n; i++) {
        size_t left = len;
        char name[300];
        uint8_t *copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, bytes, len);
        for (uint32_t k = 0; k <= next_random(&seed) % 3 && left > 2; k++)
            damage(copy, &left, &seed);
        uint8_t *exact = realloc(copy, left);
        snprintf(name, sizeof(name), "%s, damage %d", what, i);
        compare(d, exact, left, i % 2 ? SIDE : 8, i % 3 == 0, name, t);
        free(exact);
    }
}

static int is_jpeg(const uint8_t *bytes, size_t len)
{
    return len > 3 && bytes[0] == 0xff && bytes[1] == 0xd8;
}

/* Every JPEG of a folder; the first `skip` bytes of a file are not part of it. */
static struct tally compare_folder(const char *dir, size_t skip, int mutations)
{
    struct dirent **names;
    struct tally t = {0};
    struct eng_decoder *d;
    int n = scandir(dir, &names, NULL, alphasort);
    assert_true(n > 0);
    assert_int_equal(eng_decoder_create(&d, 0), 0);
    for (int i = 0; i < n; i++) {
        char path[1024];
        size_t len;
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
        uint8_t *bytes = names[i]->d_name[0] == '.' ? NULL : image_read(path, &len);
        if (bytes && len > skip && is_jpeg(bytes + skip, len - skip)) {
            compare_all(d, bytes + skip, len - skip, names[i]->d_name, &t);
            compare_damaged(d, bytes + skip, len - skip, names[i]->d_name, mutations, &t);
        }
        free(bytes);
        free(names[i]);
    }
    free(names);
    eng_decoder_destroy(d);
    print_message(
        "# %s: %d read, %d refused, %d for a code that does not exist, %d with fill bytes\n", dir,
        t.read, t.refused, t.codes, t.fills);
    assert_true(t.fills * 50 <= t.read);
    return t;
}

static int mutations(void)
{
    return getenv("MOBILENETD_QUICK") ? MUTATIONS / 10 : MUTATIONS;
}

static void small_ones(void **state)
{
    (void)state;
    struct tally t = compare_folder(SOURCE_ROOT "/tests/fuzz/corpus/image", 1, mutations());
    assert_true(t.read > 100 && t.refused > 100);
}

static void photos(void **state)
{
    char path[1024];
    (void)state;
    image_need_shared();
    struct tally t =
        compare_folder(image_shared(path, sizeof(path), "images/photos"), 0, mutations() / 10);
    assert_true(t.read > 50 && t.refused > 50);
    t = compare_folder(image_shared(path, sizeof(path), "images/imagenet100"), 0,
                       mutations() / 300);
    assert_true(t.read >= (getenv("MOBILENETD_QUICK") ? 400 : 500));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_ones), cmocka_unit_test(photos)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
