/* Each thread takes the next picture, decodes it into its own context and runs a batch when that is
 * full: no hand-over, no sharing, no waiting. Nothing that answers requests can be faster. */
#include "server/cli/bench_images.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/context.h"
#include "server/base/clock.h"
#include "server/base/table.h"
#include "server/cli/chosen_model.h"
#include "server/cli/picture_bytes.h"

struct images_bench {
    struct srv_picture_bytes pictures;
    struct eng_model *model;
    const struct eng_model_info *info;
    int batch, threads;
    uint32_t cpu_bits;
    atomic_ullong next, end_ns; /* picture to take; when to stop */
};

struct runner {
    struct images_bench *bench;
    pthread_t thread;
    struct eng_decoder *decoder;
    struct eng_context *context;
    uint64_t images, decode_ns, run_ns, end_ns;
    int rc;
    char error[160];
};

static int decode_next(struct runner *r, int slot)
{
    struct images_bench *b = r->bench;
    unsigned long long i = atomic_fetch_add(&b->next, 1) % (unsigned)b->pictures.n;
    const struct srv_picture *p = &b->pictures.list[i];
    return eng_decoder_run(r->decoder, p->bytes, p->len, &b->info->picture, NULL,
                           eng_context_picture(r->context, slot), NULL, r->error, sizeof(r->error));
}

static void *run_main(void *arg)
{
    struct runner *r = arg;
    struct images_bench *b = r->bench;
    struct eng_prediction best[5];
    while (r->rc == 0 && srv_now_ns() < atomic_load(&b->end_ns)) {
        uint64_t start = srv_now_ns();
        for (int i = 0; i < b->batch; i++) {
            r->rc = decode_next(r, i);
            if (r->rc < 0)
                break;
        }
        uint64_t decoded = srv_now_ns();
        if (r->rc == 0)
            r->rc = eng_context_run(r->context, b->batch, NULL);
        if (r->rc < 0)
            break;
        for (int i = 0; i < b->batch; i++)
            eng_context_topk(r->context, i, 5, best);
        r->images += (uint64_t)b->batch;
        r->decode_ns += decoded - start;
        r->run_ns += srv_now_ns() - decoded;
    }
    r->end_ns = srv_now_ns();
    return NULL;
}

static int prepare(struct runner *r, struct images_bench *b, char *err, size_t errlen)
{
    r->bench = b;
    int rc = eng_decoder_create(&r->decoder, b->cpu_bits);
    if (rc < 0)
        snprintf(err, errlen, "out of memory for a decoder");
    else
        rc = eng_context_create(&r->context, b->model, b->batch, 1, err, errlen);
    return rc;
}

/* With a line on stderr for each. */
static int drop_broken(struct images_bench *b, struct runner *r, const char *dir, char *err,
                       size_t errlen)
{
    for (int i = b->pictures.n - 1; i >= 0; i--) {
        atomic_store(&b->next, (unsigned long long)i);
        if (decode_next(r, 0) == 0)
            continue;
        fprintf(stderr, "%s: %s\n", b->pictures.list[i].name, r->error);
        srv_picture_bytes_drop(&b->pictures, i);
    }
    if (b->pictures.n > 0)
        return 0;
    snprintf(err, errlen, "%s holds no picture that can be decoded", dir);
    return -EINVAL;
}

static void print(const struct images_bench *b, const struct runner *all, uint64_t took, int json,
                  FILE *out)
{
    double images = 0, decode = 0, run = 0;
    for (int i = 0; i < b->threads; i++) {
        images += (double)all[i].images;
        decode += (double)all[i].decode_ns;
        run += (double)all[i].run_ns;
    }
    double rate = images / ((double)took / 1e9);
    if (json) {
        fputs("{\"model\":", out);
        srv_print_json_string(out, b->info->name);
        fprintf(out,
                ",\"threads\":%d,\"batch\":%d,\"pictures\":%d,\"images\":%.0f,"
                "\"images_per_s\":%.2f,\"decode_ms\":%.4f,\"run_ms\":%.4f}\n",
                b->threads, b->batch, b->pictures.n, images, rate, decode / images / 1e6,
                run / images / 1e6);
        return;
    }
    fprintf(out,
            "%s, %d threads, batches of %d, %d pictures: %.1f images/s; of one thread a picture "
            "takes %.3f ms to decode and %.3f ms to classify\n",
            b->info->name, b->threads, b->batch, b->pictures.n, rate, decode / images / 1e6,
            run / images / 1e6);
}

static int run_all(struct images_bench *b, const struct cfg *cfg, struct runner *all, FILE *out,
                   char *err, size_t errlen)
{
    int rc = 0, started = 0;
    for (int i = 0; i < b->threads; i++) {
        rc = prepare(&all[i], b, err, errlen);
        if (rc < 0)
            break;
    }
    if (rc == 0)
        rc = drop_broken(b, &all[0], cfg->images, err, errlen);
    if (rc < 0)
        return rc;
    uint64_t start = srv_now_ns(), last = start;
    atomic_store(&b->end_ns, start + (uint64_t)(cfg->seconds * 1e9));
    while (rc == 0 && started < b->threads) {
        rc = -pthread_create(&all[started].thread, NULL, run_main, &all[started]);
        started += rc == 0;
    }
    if (rc < 0)
        atomic_store(&b->end_ns, 0);
    for (int i = 0; i < started; i++) {
        pthread_join(all[i].thread, NULL);
        last = all[i].end_ns > last ? all[i].end_ns : last;
        if (rc == 0 && all[i].rc < 0) {
            rc = all[i].rc;
            snprintf(err, errlen, "%s", all[i].error[0] ? all[i].error : strerror(-rc));
        }
    }
    if (rc == 0)
        print(b, all, last - start, cfg->json, out);
    return rc;
}

int srv_bench_images(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    struct images_bench b = {
        .batch = (int)cfg->batch,
        .threads = (int)cfg->threads,
        .cpu_bits = srv_allowed_cpu(cfg),
    };
    struct runner *all = calloc((size_t)b.threads, sizeof(*all));
    int rc = all ? srv_chosen_model(&b.model, cfg, err, errlen) : -ENOMEM;
    if (rc == 0) {
        b.info = eng_model_info(b.model);
        rc = srv_picture_bytes_read(&b.pictures, cfg->images, err, errlen);
    }
    if (rc == 0)
        rc = run_all(&b, cfg, all, out, err, errlen);
    for (int i = 0; all && i < b.threads; i++) {
        eng_context_destroy(all[i].context);
        eng_decoder_destroy(all[i].decoder);
    }
    free(all);
    srv_picture_bytes_finish(&b.pictures);
    eng_model_unref(b.model);
    return rc;
}
