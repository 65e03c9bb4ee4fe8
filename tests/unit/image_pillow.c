/* Pixels against Pillow, which makes pictures of every kind and its own answers (image_pillow.py)
 * while the test runs. With a full decode nothing may differ; a picture on its side by 1, because
 * there Pillow resamples in the other order. */
#include "engine/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/image_support.h"

struct row {
    char name[64];
    int mode, filter, size, tolerance;
};

static void check(struct eng_decoder *d, const char *dir, const struct row *r, int full)
{
    char path[256], err[256] = "";
    size_t len, want_len, n = (size_t)r->size * (size_t)r->size * 3;
    snprintf(path, sizeof(path), "%s/%s", dir, r->name);
    uint8_t *bytes = image_read(path, &len), *out = malloc(n);
    snprintf(path, sizeof(path), "%s/%s.u8", dir, r->name);
    uint8_t *want = image_read(path, &want_len);
    assert_true(bytes && want && want_len == n);
    static const enum eng_filter filters[] = {ENG_FILTER_BILINEAR, ENG_FILTER_BICUBIC,
                                              ENG_FILTER_NEAREST, ENG_FILTER_AREA};
    struct eng_preprocess p = image_plain(r->size);
    p.resize = (enum eng_resize)r->mode;
    p.filter = filters[r->filter];
    struct eng_image_options o = {.full_decode = full};
    struct eng_image_report report;
    int result = eng_decoder_run(d, bytes, len, &p, &o, out, &report, err, sizeof(err));
    if (result < 0)
        fail_msg("%s: %d %s", r->name, result, err);
    int max = 0;
    for (size_t i = 0; i < n; i++)
        max = abs(out[i] - want[i]) > max ? abs(out[i] - want[i]) : max;
    if (report.scale_denominator == 1 && max > r->tolerance)
        fail_msg("%s, full %d: differs by %d", r->name, full, max);
    free(bytes);
    free(want);
    free(out);
}

static void equal_to_pillow(void **state)
{
    (void)state;
    char dir[] = "/tmp/image_pillow.XXXXXX", path[256], command[1024], line[256];
    if (system("/usr/bin/python3 -c 'import PIL' 2>/dev/null") != 0)
        skip();
    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof(command), "/usr/bin/python3 '%s/tests/unit/image_pillow.py' %s",
             SOURCE_ROOT, dir);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof(path), "%s/list", dir);
    FILE *list = fopen(path, "r");
    assert_non_null(list);
    struct eng_decoder *d;
    assert_int_equal(eng_decoder_create(&d, 0), 0);
    int rows = 0;
    while (fgets(line, sizeof(line), list)) {
        struct row r;
        assert_int_equal(
            sscanf(line, "%63s %d %d %d %d", r.name, &r.mode, &r.filter, &r.size, &r.tolerance), 5);
        check(d, dir, &r, 1);
        check(d, dir, &r, 0);
        rows++;
    }
    fclose(list);
    eng_decoder_destroy(d);
    assert_in_range(rows, 200, 1000);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal_to_pillow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
