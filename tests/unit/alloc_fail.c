/* Every allocation of loading, building and preparing a model fails in turn: each time an error
 * with a sentence, nothing leaked, and the next try works. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/context.h"
#include "tests/unit/onnx_writer.h"
#include "tests/unit/tflite_writer.h"
#include "tests/unit/put_file.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define CAN_FAIL 1
#else
#define CAN_FAIL 0 /* a sanitizer has its own allocator */
#endif

static long countdown = -1; /* allocations until one fails; < 0: never */
static long live;           /* blocks that are held */

#if CAN_FAIL
#pragma GCC visibility push(default) /* in place of the C library's, for every library */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static int fails(void)
{
    return countdown >= 0 && countdown-- == 0;
}

static void *count(void *p)
{
    live += p != NULL;
    return p;
}

void *malloc(size_t n)
{
    return fails() ? NULL : count(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : count(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
    if (fails())
        return NULL;
    void *q = __libc_realloc(p, n);
    live += q && !p;
    return q;
}

void *aligned_alloc(size_t align, size_t n)
{
    return fails() ? NULL : count(__libc_memalign(align, n));
}

int posix_memalign(void **ret, size_t align, size_t n)
{
    void *p = fails() ? NULL : count(__libc_memalign(align, n));
    if (p)
        *ret = p;
    return p ? 0 : ENOMEM;
}

void free(void *p)
{
    live -= p != NULL;
    __libc_free(p);
}
#pragma GCC visibility pop
#endif

static char dir[64], err[512];
static _Alignas(64) uint8_t whole[TFW_BYTES];

static int use(struct eng_model *m)
{
    struct eng_context *c;
    int rc = eng_context_create(&c, m, 2, 2, err, sizeof(err));
    if (rc < 0)
        return rc;
    const struct eng_preprocess *p = &eng_model_info(m)->preprocess;
    for (int slot = 0; slot < 2; slot++)
        memset(eng_context_input(c, slot), 0, (size_t)p->height * (size_t)p->width * 3);
    rc = eng_context_run(c, 2, NULL);
    eng_context_destroy(c);
    return rc;
}

static int load_and_use(void)
{
    struct eng_model *m;
    int rc = eng_model_load(&m, dir, NULL, err, sizeof(err));
    if (rc < 0)
        return rc;
    rc = use(m);
    eng_model_unref(m);
    return rc;
}

static int build_and_use(void)
{
    struct eng_model *m;
    struct eng_mobilenet_spec spec = {1, 0.25, 32, 4, ENG_FORM_SEPARABLE, 1};
    struct eng_model_options o = {.precision = ENG_PRECISION_INT8};
    int rc = eng_model_build(&m, &spec, &o, err, sizeof(err));
    if (rc < 0)
        return rc;
    rc = use(m);
    eng_model_unref(m);
    return rc;
}

static void each_in_turn(int (*what)(void))
{
    int rc = -ENOMEM;
    long failed = 0;
    if (!CAN_FAIL)
        skip();
    for (long n = 0; rc < 0; n++) {
        long before = live;
        err[0] = '\0';
        countdown = n;
        rc = what();
        int ended = countdown >= 0; /* it was not reached: all that there are have failed once */
        countdown = -1;
        if (live != before)
            fail_msg("allocation %ld: %ld blocks leaked", n, live - before);
        /* jansson calls its own lack of memory a mistake in the text. */
        int of_jansson = rc == ENG_E_DATA && strstr(err, "model.json: line ");
        if (rc < 0 && ((rc != -ENOMEM && !of_jansson) || err[0] == '\0'))
            fail_msg("allocation %ld: %d '%s'", n, rc, err);
        failed += rc < 0;
        if (ended)
            break;
    }
    assert_int_equal(rc, 0);
    assert_true(failed > 20);
    print_message("# %ld allocations failed\n", failed);
}

static void put(const char *name, const void *bytes, size_t len)
{
    put_file(dir, name, bytes, len);
}

static void loading(void **state)
{
    (void)state;
    static void (*const samples[])(struct tfw_model *) = {tfw_sample, tfw_sample_float};
    static const char manifest[] = "{\"files\":[\"a.tflite\"],\"family\":\"f\",\"variant\":\"v\","
                                   "\"licence\":\"l\",\"source\":\"s\"}";
    snprintf(dir, sizeof(dir), "/tmp/mobilenetd-alloc-XXXXXX");
    assert_non_null(mkdtemp(dir));
    put("model.json", manifest, sizeof(manifest) - 1);
    put("labels.txt", "a\nb\nc\n", 6);
    for (int i = 0; i < 2; i++) {
        struct tfw_model m;
        samples[i](&m);
        put("a.tflite", whole, tfw_write(&m, whole));
        each_in_turn(load_and_use);
    }
    static void (*const onnx[])(struct onw_model *) = {onw_sample, onw_sample_qdq};
    put("model.json", "{\"files\":[\"a.onnx\"]}", 20);
    put("labels.txt", "a\nb\nc\nd\n", 8);
    for (int i = 0; i < 2; i++) {
        static struct onw_model m;
        static uint8_t bytes[ONW_BYTES];
        onnx[i](&m);
        put("a.onnx", bytes, onw_write(&m, bytes));
        each_in_turn(load_and_use);
    }
    char command[96];
    snprintf(command, sizeof(command), "rm -r '%s'", dir);
    assert_int_equal(system(command), 0);
}

static void building(void **state)
{
    (void)state;
    each_in_turn(build_and_use);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loading), cmocka_unit_test(building)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
