/* One model, one input, on this thread: run_net FOLDER INPUT OUTPUT. The input is NHWC floats; the
 * logits go to OUTPUT as floats. Without them: how long it takes until the model is ready. Then it
 * answers "seconds" lines with "least median" milliseconds, as tests/bench/peers do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "engine/context.h"

enum { MAX_RUNS = 4096 };

static int fail(const char *what)
{
    fprintf(stderr, "run_net: %s\n", what);
    return 1;
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int read_input(const char *path, void *to, size_t bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return -1;
    size_t n = fread(to, 1, bytes, f);
    int more = fgetc(f) != EOF;
    fclose(f);
    return n == bytes && !more ? 0 : -1;
}

static int write_logits(const char *path, const float *logits, int n)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return -1;
    size_t done = fwrite(logits, sizeof(*logits), (size_t)n, f);
    return fclose(f) == 0 && done == (size_t)n ? 0 : -1;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void answer(struct eng_context *c)
{
    static double ms[MAX_RUNS];
    double seconds;
    puts("ready");
    fflush(stdout);
    while (scanf("%lf", &seconds) == 1) {
        double end = now_ms() + seconds * 1e3;
        int n = 0;
        while (n < MAX_RUNS && (n < 3 || now_ms() < end)) {
            double start = now_ms();
            eng_context_run(c, 1, NULL);
            ms[n++] = now_ms() - start;
        }
        qsort(ms, (size_t)n, sizeof(*ms), compare);
        printf("%.4f %.4f\n", ms[0], ms[n / 2]);
        fflush(stdout);
    }
}

/* From the file to one run on a picture of zeros. */
static int say_ready(struct eng_model *m, double since, char *err, size_t errlen)
{
    struct eng_context *c;
    struct rusage use;
    if (eng_context_create(&c, m, 1, 1, err, errlen) < 0)
        return fail(err);
    const struct eng_preprocess *p = &eng_model_info(m)->preprocess;
    memset(eng_context_input(c, 0), 0,
           (size_t)p->height * (size_t)p->width * 3 * eng_type_size(p->type));
    int rc = eng_context_run(c, 1, NULL);
    double ms = now_ms() - since;
    getrusage(RUSAGE_SELF, &use);
    double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e3 +
                 (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e3;
    printf("ready after %.1f ms (%.1f of the processor), at most %ld KB resident\n", ms, cpu,
           use.ru_maxrss);
    eng_context_destroy(c);
    return rc < 0;
}

static int run(struct eng_model *m, char **argv, char *err, size_t errlen)
{
    const struct eng_model_info *info = eng_model_info(m);
    const struct eng_preprocess *p = &info->preprocess;
    struct eng_context *c;
    int rc = 1;
    if (eng_context_create(&c, m, 1, 1, err, errlen) < 0)
        return fail(err);
    size_t bytes = (size_t)p->height * (size_t)p->width * 3 * eng_type_size(p->type);
    if (read_input(argv[2], eng_context_input(c, 0), bytes) < 0)
        fail("the input is not one image of the model");
    else if (eng_context_run(c, 1, NULL) < 0 ||
             write_logits(argv[3], eng_context_logits(c, 0), info->outputs) < 0)
        fail("no output");
    else
        rc = 0;
    if (rc == 0)
        answer(c);
    eng_context_destroy(c);
    return rc;
}

int main(int argc, char **argv)
{
    char err[512] = "";
    struct eng_model *m;
    struct eng_model_options o = {.reference = getenv("RUN_NET_REFERENCE") != NULL};
    double since = now_ms();
    if (argc != 4 && argc != 2)
        return fail("run_net FOLDER [INPUT OUTPUT]");
    if (eng_model_load(&m, argv[1], &o, err, sizeof(err)) < 0)
        return fail(err);
    int rc = argc == 2 ? say_ready(m, since, err, sizeof(err)) : run(m, argv, err, sizeof(err));
    eng_model_unref(m);
    return rc;
}
