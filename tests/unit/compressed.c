/* Compressed model files: there and back for every kind of block, and what must be refused; version
 * folders whose files are compressed; codebooks. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "engine/optimize/codebook.h"
#include "engine/model.h"
#include "engine/compress.h"
#include "engine/importers/compressed_parts.h"
#include "engine/optimize/compressed_write.h"
#include "tests/unit/put_file.h"
#include "tests/unit/tflite_writer.h"

enum { BIG = 600000 };

static char err[512], root[64], from[128], to[128];
static uint8_t original[BIG], back[BIG];
static _Alignas(64) uint8_t whole[TFW_BYTES];

static uint32_t next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

/* Packs, expands, compares; the packed size. kinds: blocks of each kind, if not NULL. */
static size_t there_and_back(size_t len, int kinds[4])
{
    void *packed;
    size_t n, expanded;
    int seen[4] = {0};
    assert_int_equal(eng_compressed_pack(&packed, &n, original, len), 0);
    assert_true(eng_compressed_is(packed, n));
    assert_int_equal(eng_compressed_length(&expanded, packed, n, BIG, err, sizeof(err)), 0);
    assert_int_equal(expanded, len);
    memset(back, 0x55, sizeof(back));
    assert_int_equal(eng_compressed_expand(back, len, packed, n, err, sizeof(err)), 0);
    assert_memory_equal(back, original, len);
    const uint8_t *p = packed;
    for (size_t at = ENG_COMPRESSED_HEAD; at < n;) {
        seen[p[at]]++;
        at += ENG_COMPRESSED_BLOCK_HEAD +
              (p[at + 5] | (size_t)p[at + 6] << 8 | (size_t)p[at + 7] << 16);
    }
    if (kinds)
        memcpy(kinds, seen, sizeof(seen));
    free(packed);
    return n;
}

/* ---- kinds ---- */

static void every_length(void **state)
{
    (void)state;
    uint32_t x = 1;
    static const size_t lengths[] = {1,
                                     2,
                                     3,
                                     4,
                                     5,
                                     255,
                                     4095,
                                     4096,
                                     4097,
                                     ENG_COMPRESSED_BLOCK - 1,
                                     ENG_COMPRESSED_BLOCK,
                                     ENG_COMPRESSED_BLOCK + 1,
                                     3 * ENG_COMPRESSED_BLOCK + 7};
    for (int mask = 0; mask < 256; mask = mask * 4 + 3)
        for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
            for (size_t k = 0; k < lengths[i]; k++)
                original[k] = (uint8_t)(next_random(&x) >> 11 & (unsigned)mask);
            there_and_back(lengths[i], NULL);
        }
}

static void noise_is_stored(void **state)
{
    (void)state;
    int kinds[4];
    uint32_t x = 7;
    for (size_t i = 0; i < BIG; i++)
        original[i] = (uint8_t)(next_random(&x) >> 9);
    size_t n = there_and_back(BIG, kinds);
    assert_true(kinds[ENG_COMPRESSED_STORED] == 5 && n == BIG + ENG_COMPRESSED_HEAD + 5 * 9);
}

/* Integers as trained weights have them: the sum of twelve uniform ones. */
static void bytes(void **state)
{
    (void)state;
    int kinds[4];
    uint32_t x = 3;
    for (size_t i = 0; i < BIG; i++) {
        int sum = 0;
        for (int k = 0; k < 12; k++)
            sum += (int)(next_random(&x) >> 8 & 31);
        original[i] = (uint8_t)(sum - 60);
    }
    /* A normal distribution of deviation 32: 7.05 bits. */
    size_t n = there_and_back(BIG, kinds);
    assert_true(kinds[ENG_COMPRESSED_BYTES] == 5 && n > BIG * 0.87 && n < BIG * 0.89);
}

/* Counts that grow as Fibonacci numbers want codes of 1, 2, 3, ... bits: longer than there are. */
static void long_codes_are_cut(void **state)
{
    (void)state;
    size_t at = 0, a = 1, b = 1;
    for (int symbol = 0; symbol < 24; symbol++) {
        for (size_t k = 0; k < a && at < ENG_COMPRESSED_BLOCK; k++)
            original[at++] = (uint8_t)symbol;
        size_t sum = a + b;
        a = b;
        b = sum;
    }
    there_and_back(at, NULL);
}

static void floats_take_planes(void **state)
{
    (void)state;
    int kinds[4];
    uint32_t x = 5;
    for (size_t i = 0; i + 4 <= BIG; i += 4) {
        float v = (float)(int32_t)next_random(&x) * 0x1p-36f;
        memcpy(original + i, &v, sizeof(v));
    }
    size_t n = there_and_back(BIG, kinds);
    assert_true(kinds[ENG_COMPRESSED_PLANES] == 5 && n < BIG * 0.87);
}

/* Words of a codebook, at each alignment, between noise: found, at their true alignment. */
static void codebooks_take_words(void **state)
{
    (void)state;
    uint32_t x = 11, book[64];
    for (int i = 0; i < 64; i++)
        book[i] = next_random(&x);
    for (size_t phase = 0; phase < 4; phase++) {
        int kinds[4];
        for (size_t i = 0; i < BIG; i++)
            original[i] = (uint8_t)(next_random(&x) >> 9);
        for (size_t i = 10000 + phase; i < 500000; i += 4)
            memcpy(original + i, &book[next_random(&x) >> 9 & 63], 4);
        size_t n = there_and_back(BIG, kinds);
        assert_true(kinds[ENG_COMPRESSED_WORDS] == 4);
        /* 6 of 32 bits of the words, and the noise. */
        assert_true(n < 110000 + 490000 * 6 / 32 + 4000);
    }
}

/* ---- hostile files ---- */

static void expect(const void *bytes_, size_t n, size_t max, int code, const char *says)
{
    size_t len = 0;
    err[0] = '\0';
    int rc = eng_compressed_length(&len, bytes_, n, max, err, sizeof(err));
    if (rc == 0) {
        assert_true(len <= BIG);
        rc = eng_compressed_expand(back, len, bytes_, n, err, sizeof(err));
    }
    if (rc != code || !strstr(err, says))
        fail_msg("wanted %d '%s', got %d '%s'", code, says, rc, err);
}

static void damaged_files(void **state)
{
    (void)state;
    void *packed;
    size_t n;
    for (size_t i = 0; i < 1000; i++)
        original[i] = (uint8_t)(i % 7);
    assert_int_equal(eng_compressed_pack(&packed, &n, original, 1000), 0);
    uint8_t *p = packed, *block = p + ENG_COMPRESSED_HEAD,
            *table = block + ENG_COMPRESSED_BLOCK_HEAD;
    assert_int_equal(block[0], ENG_COMPRESSED_BYTES);
    for (size_t cut = 8; cut < n; cut++) /* of a shorter one nobody knows what it is */
        expect(p, cut, BIG, ENG_E_DATA, "damaged");
    expect(p, n, 999, ENG_E_LIMIT, "larger than 999 bytes when it is expanded");
    const struct {
        uint8_t *at, value;
        const char *says;
    } faults[] = {
        {p + 12, 1, "larger than"},         {p + 8, 0xe7, "a wrong length"},
        {p + 9, 0, "a wrong length"},       {p + 9, 4, "ends early"},
        {p + 10, 9, "holds so much"},       {p + 16, (uint8_t)(p[16] ^ 1), "the sum"},
        {block, 4, "wrong codes"},          {block, 0, "wrong codes"},
        {block, 2, "wrong codes"},          {block, 3, "wrong codes"},
        {block + 2, 0, "wrong codes"},      {block + 3, 2, "a wrong length"},
        {block + 8, 1, "a wrong length"},   {table, 0x11, "wrong codes"},
        {table, 0, "wrong codes"},          {table + 100, 0x0d, "wrong codes"},
        {table + 100, 0x03, "wrong codes"}, {block + 5, (uint8_t)(block[5] - 1), "wrong codes"},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
        uint8_t saved = *faults[i].at;
        *faults[i].at = faults[i].value;
        expect(p, n, BIG, i == 0 ? ENG_E_LIMIT : ENG_E_DATA, faults[i].says);
        *faults[i].at = saved;
    }
    expect(p, n, BIG, 0, "");
    free(packed);
}

/* ---- folders ---- */

static int make_folders(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/mobilenetd-press-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(from, sizeof(from), "%s/1", root);
    snprintf(to, sizeof(to), "%s/2", root);
    return mkdir(from, 0700) < 0 ? -1 : mkdir(to, 0700);
}

static int drop_folders(void **state)
{
    (void)state;
    char command[160];
    snprintf(command, sizeof(command), "rm -r '%s'", root);
    return system(command);
}

static void put_sample(void)
{
    struct tfw_model m;
    static const char manifest[] = "{\"files\": [\"a.tflite\"], \"family\": \"tiny\", "
                                   "\"labels\": \"names\"}";
    tfw_sample(&m);
    put_file(from, "a.tflite", whole, tfw_write(&m, whole));
    put_file(from, "model.json", manifest, strlen(manifest));
    put_file(from, "names", "a\nb\nc\n", 6);
}

static void a_folder_stays_the_same_model(void **state)
{
    (void)state;
    struct eng_model *a, *b;
    struct eng_compress_sizes sizes;
    put_sample();
    assert_int_equal(eng_compress_folder(&sizes, from, to, 0, err, sizeof(err)), 0);
    assert_true(sizes.before > 500 && sizes.after < sizes.before);
    assert_int_equal(eng_model_load(&a, from, NULL, err, sizeof(err)), 0);
    assert_int_equal(eng_model_load(&b, to, NULL, err, sizeof(err)), 0);
    assert_string_equal(eng_model_info(a)->digest, eng_model_info(b)->digest);
    assert_string_equal(eng_model_info(b)->family, "tiny");
    assert_string_equal(eng_model_label(b, 1), "b");
    eng_model_unref(a);
    eng_model_unref(b);

    /* The limit is one of what comes out. */
    struct eng_model_options o = {.max_file_bytes = sizes.before - 1};
    assert_int_equal(eng_model_load(&b, to, &o, err, sizeof(err)), ENG_E_LIMIT);
    assert_non_null(strstr(err, "a.tflite.press"));
    assert_int_equal(eng_compress_folder(&sizes, to, from, 0, err, sizeof(err)), -EINVAL);
    assert_non_null(strstr(err, "compressed already"));
    assert_int_equal(eng_compress_folder(&sizes, from, to, 16, err, sizeof(err)), -EINVAL);
    assert_non_null(strstr(err, "only a float model"));
    put_file(to, "a.tflite.press", ENG_COMPRESSED_MAGIC "123", 11);
    assert_int_equal(eng_model_load(&b, to, NULL, err, sizeof(err)), ENG_E_DATA);
    assert_non_null(strstr(err, "a.tflite.press: the compressed file is damaged"));
}

/* ---- codebooks ---- */

static void few_values_stay(void **state)
{
    (void)state;
    static const float weights[] = {1, -3, 1, 7.5f, 1, 7.5f, -3, -3};
    float values[256];
    int n = eng_codebook_fit(values, 3, weights, 8);
    assert_int_equal(n, 3);
    for (int i = 0; i < 8; i++)
        assert_true(fabsf(eng_codebook_nearest(values, n, weights[i]) - weights[i]) < 1e-6f);
    static const float same[] = {2, 2, 2, 2};
    n = eng_codebook_fit(values, 16, same, 4);
    assert_true(n >= 1 && eng_codebook_nearest(values, n, 2) == 2);
    assert_true(eng_codebook_fit(values, 1, weights, 8) == 1 && fabsf(values[0] - 1.125f) < 1e-6f);
}

/* For a normal distribution, the optimum of 64 values has a distortion of 31.9 dB (Max 1960 and
 * Panter and Dite 1951: 6.02 x 6 - 4.35). */
static void normal_weights(void **state)
{
    (void)state;
    enum { N = 40000 };
    float *w = calloc(N, sizeof(*w)), values[256];
    uint32_t x = 9;
    double signal = 0, noise = 0;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 24; k++)
            w[i] += (float)(int32_t)next_random(&x) * 0x1p-31f;
    int n = eng_codebook_fit(values, 64, w, N);
    assert_int_equal(n, 64);
    for (int i = 0; i < N; i++) {
        double off = (double)(eng_codebook_nearest(values, n, w[i]) - w[i]);
        signal += (double)w[i] * (double)w[i];
        noise += off * off;
    }
    double db = 10 * log10(signal / noise);
    print_message("%.2f dB\n", db);
    assert_true(db > 31 && db < 33);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length),
        cmocka_unit_test(noise_is_stored),
        cmocka_unit_test(bytes),
        cmocka_unit_test(long_codes_are_cut),
        cmocka_unit_test(floats_take_planes),
        cmocka_unit_test(codebooks_take_words),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test_setup_teardown(a_folder_stays_the_same_model, make_folders, drop_folders),
        cmocka_unit_test(few_values_stay),
        cmocka_unit_test(normal_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
