/* Pictures to tensors: the files of ../shared answered as its README says, pixels equal to the
 * golden ones. */
#include "engine/image.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "tests/unit/image_support.h"

static int create(void **state)
{
    struct eng_decoder *d;
    if (eng_decoder_create(&d, 0) < 0)
        return -1;
    *state = d;
    return 0;
}

static int destroy(void **state)
{
    eng_decoder_destroy(*state);
    return 0;
}

static int run_file(struct eng_decoder *d, const char *path, const struct eng_preprocess *p,
                    const struct eng_image_options *o, void *dst, struct eng_image_report *ret)
{
    size_t len;
    char err[256] = "";
    uint8_t *bytes = image_read(path, &len);
    if (!bytes)
        fail_msg("cannot read %s", path);
    int r = eng_decoder_run(d, bytes, len, p, o, dst, ret, err, sizeof(err));
    free(bytes);
    if (r < 0 && err[0] == '\0')
        fail_msg("%s: %d without a sentence", path, r);
    return r;
}

static double mean_difference(const uint8_t *a, const uint8_t *b, size_t n, int *max)
{
    uint64_t sum = 0;
    *max = 0;
    for (size_t i = 0; i < n; i++) {
        int d = abs(a[i] - b[i]);
        sum += (uint64_t)d;
        *max = d > *max ? d : *max;
    }
    return (double)sum / (double)n;
}

static const struct {
    const char *name;
    int result;
} photos[] = {
    {"bomb_20000x20000.png", ENG_E_LIMIT},
    {"lying_65500x65500.jpg", ENG_E_LIMIT},
    {"corrupt_idat.png", ENG_E_DATA},
    {"empty.jpg", ENG_E_DATA},
    {"truncated.jpg", ENG_E_DATA},
    {"truncated.png", ENG_E_DATA},
    {"truncated_header.jpg", ENG_E_DATA},
    {"zero_size.jpg", ENG_E_DATA},
    {"html.png", ENG_E_FORMAT},
    {"text.jpg", ENG_E_FORMAT},
};

static int expected(const char *name)
{
    for (size_t i = 0; i < sizeof(photos) / sizeof(*photos); i++)
        if (strcmp(photos[i].name, name) == 0)
            return photos[i].result;
    return 0;
}

/* Every file of the folder, with and without the shortcuts. */
static void photos_answered(void **state)
{
    image_need_shared();
    char path[512];
    uint8_t *out = malloc(224 * 224 * 3);
    struct eng_preprocess p = image_plain(224);
    DIR *dir = opendir(image_shared(path, sizeof(path), "images/photos"));
    assert_non_null(dir);
    int files = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        files++;
        for (int full = 0; full < 2; full++) {
            /* the pictures are judged here, not the speed of a busy machine under a sanitizer */
            struct eng_image_options o = {.full_decode = full, .limits.max_decode_ms = 600000};
            image_shared(path, sizeof(path), "images/photos/%s", e->d_name);
            int r = run_file(*state, path, &p, &o, out, NULL);
            if (r != expected(e->d_name))
                fail_msg("%s: %d, not %d", e->d_name, r, expected(e->d_name));
        }
    }
    closedir(dir);
    free(out);
    assert_in_range(files, 40, 1000);
}

/* Each orientation, once turned, is the upright picture (JPEG loss apart). */
static void orientations_turned(void **state)
{
    image_need_shared();
    static const char *const names[] = {"1", "2", "3", "4", "5", "6", "7", "8", "6_bigendian"};
    char path[512];
    size_t n = 224 * 224 * 3;
    uint8_t *upright = malloc(n), *out = malloc(n);
    struct eng_preprocess p = image_plain(224);
    struct eng_image_report report;
    image_shared(path, sizeof(path), "images/photos/upright.png");
    assert_int_equal(run_file(*state, path, &p, NULL, upright, NULL), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        int max;
        image_shared(path, sizeof(path), "images/photos/orient_%s.jpg", names[i]);
        assert_int_equal(run_file(*state, path, &p, NULL, out, &report), 0);
        assert_int_equal(report.applied_orientation, names[i][0] - '0');
        double turned = mean_difference(out, upright, n, &max);
        struct eng_image_options ignore = {.ignore_exif = 1};
        assert_int_equal(run_file(*state, path, &p, &ignore, out, &report), 0);
        assert_int_equal(report.applied_orientation, 1);
        assert_int_equal(report.info.orientation, names[i][0] - '0');
        double lying = mean_difference(out, upright, n, &max);
        if (turned > 2.6 || (i > 0 && lying < 10))
            fail_msg("orientation %s: %f turned, %f not turned", names[i], turned, lying);
    }
    free(upright);
    free(out);
}

/* A truncated JPEG is judged the same with and without the crop shortcut, wherever it ends. */
static void truncation_found(void **state)
{
    image_need_shared();
    char path[512], err[256];
    size_t len;
    struct eng_preprocess p = image_plain(224);
    uint8_t *out = malloc(224 * 224 * 3);
    struct eng_image_report report;
    uint8_t *bytes = image_read(image_shared(path, sizeof(path), "images/photos/s420.jpg"), &len);
    assert_non_null(bytes);
    for (size_t cut = 1000; cut < len; cut = cut < len - 1500 ? cut + 1500 : cut + 1)
        for (int full = 0; full < 2; full++) {
            struct eng_image_options o = {.full_decode = full};
            int r = eng_decoder_run(*state, bytes, cut, &p, &o, out, NULL, err, sizeof(err));
            if (r != ENG_E_DATA)
                fail_msg("cut at %zu of %zu, full %d: %d", cut, len, full, r);
            o.lenient = 1;
            r = eng_decoder_run(*state, bytes, cut, &p, &o, out, &report, err, sizeof(err));
            assert_int_equal(r, 0);
            assert_true(report.truncated);
        }
    struct eng_image_options o = {.lenient = 1};
    assert_int_equal(eng_decoder_run(*state, bytes, len, &p, &o, out, &report, err, sizeof(err)),
                     0);
    assert_false(report.truncated);
    free(bytes);
    free(out);
}

/* One file per limit: over it by one, and just within it. */
static void limits_kept(void **state)
{
    image_need_shared();
    static const struct {
        const char *name;
        struct eng_image_limits over, within;
    } cases[] = {
        {"progressive.jpg", {.max_scans = 9}, {.max_scans = 10}},
        {"progressive.jpg", {.max_coefficients = 230399}, {.max_coefficients = 230400}},
        {"interlaced.png", {.max_coefficients = 230399}, {.max_coefficients = 230400}},
        {"lossless.webp", {.max_coefficients = 300000}, {.max_coefficients = 600000}},
        {"upright.png", {.max_pixels = 76799}, {.max_pixels = 76800}},
    };
    char path[512];
    uint8_t *out = malloc(224 * 224 * 3);
    struct eng_preprocess p = image_plain(224);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        image_shared(path, sizeof(path), "images/photos/%s", cases[i].name);
        struct eng_image_options o = {.limits = cases[i].over};
        int r = run_file(*state, path, &p, &o, out, NULL);
        if (r != ENG_E_LIMIT)
            fail_msg("%s, case %zu: %d over the limit", cases[i].name, i, r);
        o.limits = cases[i].within;
        r = run_file(*state, path, &p, &o, out, NULL);
        if (r != 0)
            fail_msg("%s, case %zu: %d within the limit", cases[i].name, i, r);
    }
    free(out);
}

/* The files' names stand in this order in index.json and labels.tsv. */
static double golden_pixels_of_size(struct eng_decoder *d, int size, int full)
{
    char path[512], line[512];
    size_t n = (size_t)size * (size_t)size * 3, len;
    image_shared(path, sizeof(path), "golden/inputs/inputs_8x%dx%dx3.u8", size, size);
    uint8_t *golden = image_read(path, &len), *out = malloc(n);
    assert_non_null(golden);
    assert_int_equal(len, 8 * n);
    FILE *index = fopen(image_shared(path, sizeof(path), "golden/inputs/index.json"), "r");
    assert_non_null(index);
    struct eng_preprocess p = image_plain(size);
    struct eng_image_options o = {.full_decode = full};
    size_t i = 0;
    double sum = 0;
    while (fgets(line, sizeof(line), index)) {
        char name[256];
        int max;
        if (sscanf(line, " \"file\": \"%255[^\"]\"", name) != 1)
            continue;
        image_shared(path, sizeof(path), "images/imagenet100/%s", name);
        assert_int_equal(run_file(d, path, &p, &o, out, NULL), 0);
        double mean = mean_difference(out, golden + n * i, n, &max);
        if (full && max > 0)
            fail_msg("%s at %d: mean %f, max %d", name, size, mean, max);
        sum += mean;
        i++;
    }
    assert_int_equal(i, 8);
    fclose(index);
    free(golden);
    free(out);
    return sum / 8;
}

/* Full decode equals Pillow's pixels to the bit. Scaled decoding, which most pictures meet at the
 * small sizes, cannot; cropping alone, which is all that they meet at 224, can. */
static void golden_pixels(void **state)
{
    static const int sizes[] = {96, 128, 160, 192, 224};
    static const double bounds[] = {1.0, 1.2, 1.0, 0.5, 0.3};
    image_need_shared();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        golden_pixels_of_size(*state, sizes[i], 1);
        double mean = golden_pixels_of_size(*state, sizes[i], 0);
        if (mean >= bounds[i])
            fail_msg("shortcuts at %d: mean difference %f", sizes[i], mean);
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Reading a PNM is copying bytes, so that much of its time must be the resampling's; together the
 * two are no more than what the caller's own clock sees. */
static void stages_told_apart(void **state)
{
    enum { W = 1200, H = 900 };
    struct eng_preprocess p = image_plain(224);
    p.filter = ENG_FILTER_BICUBIC;
    struct eng_image_options full = {.full_decode = 1};
    struct eng_image_report report;
    char err[256];
    size_t len = 3 * W * H + 64;
    uint8_t *bytes = calloc(1, len), *out = malloc(224 * 224 * 3);
    assert_true(bytes && out);
    snprintf((char *)bytes, 64, "P6\n%d %d\n255\n", W, H);
    uint64_t decode = UINT64_MAX, preprocess = UINT64_MAX; /* the least: others want the CPU, too */
    for (int i = 0; i < 20; i++) {
        uint64_t start = now_ns();
        int r = eng_decoder_run(*state, bytes, len, &p, &full, out, &report, err, sizeof(err));
        uint64_t wall = now_ns() - start;
        assert_int_equal(r, 0);
        assert_true(report.decode_ns + report.preprocess_ns <= wall);
        decode = report.decode_ns < decode ? report.decode_ns : decode;
        preprocess = report.preprocess_ns < preprocess ? report.preprocess_ns : preprocess;
    }
    assert_true(decode > 0);
    assert_true(preprocess > decode / 2);
    free(bytes);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(photos_answered),  cmocka_unit_test(orientations_turned),
        cmocka_unit_test(truncation_found), cmocka_unit_test(limits_kept),
        cmocka_unit_test(golden_pixels),    cmocka_unit_test(stages_told_apart),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
