/* Rounds over all pictures, each timed on its own: what a neighbour on the machine disturbs is one
 * picture of one round, and the least and the median over rounds show through it. */
#include "server/cli/bench_decode.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/image.h"
#include "server/base/clock.h"
#include "server/base/read_file.h"
#include "server/base/table.h"
#include "server/cli/chosen_model.h"

enum { SIDE = 224, MAX_ROUNDS = 4096 };

struct picture {
    char *name;
    void *bytes;
    size_t len;
    int scale;    /* what it was decoded at: 1/scale */
    uint32_t *ns; /* [MAX_ROUNDS] */
};

struct decode_bench {
    struct picture *pictures;
    int count, rounds;
    struct eng_decoder *decoder;
    float *tensor;
};

static void finish(struct decode_bench *b)
{
    for (int i = 0; i < b->count; i++) {
        free(b->pictures[i].name);
        free(b->pictures[i].bytes);
        free(b->pictures[i].ns);
    }
    free(b->pictures);
    free(b->tensor);
    eng_decoder_destroy(b->decoder);
}

/* Puts one file behind the others; what is no regular file is passed over. */
static int add(struct decode_bench *b, const char *dir, const char *name)
{
    char path[4096], why[64];
    struct picture p = {0};
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int rc = srv_read_file(&p.bytes, &p.len, path, SIZE_MAX, why, sizeof(why));
    if (rc < 0)
        return rc == -ENOMEM ? rc : 0;
    p.name = strdup(name);
    p.ns = calloc(MAX_ROUNDS, sizeof(uint32_t));
    struct picture *grown = realloc(b->pictures, ((size_t)b->count + 1) * sizeof(*grown));
    if (grown)
        b->pictures = grown;
    if (!grown || !p.name || !p.ns) {
        free(p.name);
        free(p.bytes);
        free(p.ns);
        return -ENOMEM;
    }
    b->pictures[b->count++] = p;
    return 0;
}

static int read_folder(struct decode_bench *b, const char *dir, char *err, size_t errlen)
{
    struct dirent **names;
    int rc = 0, n = scandir(dir, &names, NULL, alphasort);
    if (n < 0) {
        rc = -errno;
        snprintf(err, errlen, "cannot read the folder %s: %s", dir, strerror(errno));
        return rc;
    }
    for (int i = 0; i < n; i++) {
        if (rc == 0 && names[i]->d_name[0] != '.')
            rc = add(b, dir, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    if (rc < 0)
        snprintf(err, errlen, "out of memory for the pictures");
    return rc;
}

static int decode(struct decode_bench *b, struct picture *p, uint32_t *ret_ns, char *err,
                  size_t errlen)
{
    static const struct eng_preprocess preprocess = {
        .height = SIDE,
        .width = SIDE,
        .resize = ENG_RESIZE_SHORT_SIDE,
        .filter = ENG_FILTER_BILINEAR,
        .type = ENG_F32,
        .mean = {127.5f, 127.5f, 127.5f},
        .scale = {1 / 127.5f, 1 / 127.5f, 1 / 127.5f},
        .q_scale = 1,
    };
    struct eng_image_report report = {0};
    uint64_t start = srv_now_ns();
    int rc = eng_decoder_run(b->decoder, p->bytes, p->len, &preprocess, NULL, b->tensor, &report,
                             err, errlen);
    uint64_t ns = srv_now_ns() - start;
    p->scale = report.scale_denominator;
    *ret_ns = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
    return rc;
}

/* One round; the first drops, with a line on stderr, what cannot be decoded. */
static void drop_broken(struct decode_bench *b)
{
    char why[256];
    int kept = 0;
    for (int i = 0; i < b->count; i++) {
        struct picture p = b->pictures[i];
        if (decode(b, &p, &p.ns[0], why, sizeof(why)) < 0) {
            fprintf(stderr, "%s: %s\n", p.name, why);
            free(p.name);
            free(p.bytes);
            free(p.ns);
        } else {
            b->pictures[kept++] = p;
        }
    }
    b->count = kept;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print(struct decode_bench *b, const struct cfg *cfg, FILE *out)
{
    double min = 0, median = 0, bytes = 0;
    for (int i = 0; i < b->count; i++) {
        struct picture *p = &b->pictures[i];
        qsort(p->ns, (size_t)b->rounds, sizeof(*p->ns), by_value);
        min += p->ns[0] / 1e6;
        median += p->ns[b->rounds / 2] / 1e6;
        bytes += (double)p->len;
    }
    if (!cfg->json) {
        for (int i = 0; i < b->count; i++)
            fprintf(out, "%-40s %9zu bytes   min %8.3f ms   median %8.3f ms\n",
                    srv_tail(b->pictures[i].name, 40), b->pictures[i].len,
                    b->pictures[i].ns[0] / 1e6, b->pictures[i].ns[b->rounds / 2] / 1e6);
        fprintf(out, "%d pictures, %d rounds: min %.3f ms, median %.3f ms each, %.1f MB/s\n",
                b->count, b->rounds, min / b->count, median / b->count, bytes / min / 1e3);
        return;
    }
    fprintf(out,
            "{\"pictures\":%d,\"rounds\":%d,\"size\":%d,\"min_ms\":%.4f,\"median_ms\":%.4f,"
            "\"mb_per_s\":%.2f,\"decoder_bytes\":%zu,\"files\":[",
            b->count, b->rounds, SIDE, min / b->count, median / b->count, bytes / min / 1e3,
            eng_decoder_bytes(b->decoder));
    for (int i = 0; i < b->count; i++) {
        fputs(i ? ",\n {\"name\":" : "\n {\"name\":", out);
        srv_print_json_string(out, b->pictures[i].name);
        fprintf(out, ",\"bytes\":%zu,\"scale\":%d,\"min_ms\":%.4f,\"median_ms\":%.4f}",
                b->pictures[i].len, b->pictures[i].scale, b->pictures[i].ns[0] / 1e6,
                b->pictures[i].ns[b->rounds / 2] / 1e6);
    }
    fputs("]}\n", out);
}

static int measure(struct decode_bench *b, const struct cfg *cfg, char *err, size_t errlen)
{
    drop_broken(b);
    if (b->count == 0) {
        snprintf(err, errlen, "%s holds no picture that can be decoded", cfg->decode);
        return -EINVAL;
    }
    uint64_t end = srv_now_ns() + (uint64_t)(cfg->seconds * 1e9);
    do {
        for (int i = 0; i < b->count; i++) {
            struct picture *p = &b->pictures[i];
            int rc = decode(b, p, &p->ns[b->rounds], err, errlen);
            if (rc < 0)
                return rc;
        }
        b->rounds++;
    } while (b->rounds < MAX_ROUNDS && srv_now_ns() < end);
    return 0;
}

int srv_bench_decode(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    struct decode_bench b = {.tensor = malloc((size_t)SIDE * SIDE * 3 * sizeof(float))};
    int rc = b.tensor ? eng_decoder_create(&b.decoder, srv_allowed_cpu(cfg)) : -ENOMEM;
    if (rc < 0)
        snprintf(err, errlen, "out of memory");
    if (rc == 0)
        rc = read_folder(&b, cfg->decode, err, errlen);
    if (rc == 0)
        rc = measure(&b, cfg, err, errlen);
    if (rc == 0)
        print(&b, cfg, out);
    finish(&b);
    return rc;
}
