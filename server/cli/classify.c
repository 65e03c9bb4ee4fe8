/* `classify`: files in, top-k out, on all CPUs of the quota, without a daemon. A broken file fails
 * alone; the exit status is then 1. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/context.h"
#include "engine/image.h"
#include "protocol/buffer.h"
#include "protocol/reply.h"
#include "server/base/clock.h"
#include "server/base/quota.h"
#include "server/base/read_file.h"
#include "server/cli/commands.h"
#include "server/cli/team_threads.h"
#include "server/repository/golden.h"
#include "server/repository/registry.h"

struct session {
    const struct cfg *cfg;
    FILE *out;
    struct srv_model *model;
    const char *name; /* what answers call it */
    struct srv_context *context;
    struct eng_decoder *decoder;
    struct srv_team_threads *crew;
    struct eng_prediction *best; /* [k], n of them of the last picture */
    int k, n;
};

static int classify(struct session *s, const char *path, struct proto_result *ret, char *err,
                    size_t errlen)
{
    void *bytes;
    size_t len;
    struct eng_image_report report = {0};
    struct eng_image_options options = {
        .limits = {.max_pixels = (uint64_t)s->cfg->max_pixels,
                   .max_width = (uint32_t)s->cfg->max_width,
                   .max_height = (uint32_t)s->cfg->max_height,
                   .max_scans = (uint32_t)s->cfg->max_scans,
                   .max_coefficients = (size_t)s->cfg->max_picture_memory,
                   .max_chunk = (size_t)s->cfg->max_png_chunk,
                   .max_decode_ms = (uint32_t)s->cfg->max_decode_ms},
        .full_decode = s->cfg->full_decode,
    };
    uint64_t start = srv_now_ns();
    int rc = srv_read_file(&bytes, &len, path, SIZE_MAX, err, errlen);
    if (rc < 0)
        return rc;
    rc = eng_decoder_run(s->decoder, bytes, len, &s->model->info->picture, &options,
                         eng_context_picture(s->context->eng, 0), &report, err, errlen);
    free(bytes);
    uint64_t decoded = srv_now_ns();
    if (rc == 0)
        rc = srv_team_threads_run(s->crew, s->context->eng, 1);
    if (rc < 0)
        return rc;
    s->n = eng_context_topk(s->context->eng, 0, s->k, s->best);
    uint64_t end = srv_now_ns();
    *ret = (struct proto_result){
        .status = 200,
        .model = s->name,
        .version = s->model->info->version,
        .variant = s->model->info->variant,
        .orientation = report.applied_orientation,
        .truncated = report.truncated,
        .decode_ns = report.decode_ns,
        .preprocess_ns = report.preprocess_ns,
        .inference_ns = end - decoded,
        .total_ns = end - start,
        .batch = 1,
    };
    return 0;
}

static void print_text(const struct session *s, const char *path, const struct proto_result *r)
{
    fprintf(s->out, "%s: %s %s, %.2f ms (decode %.2f, preprocess %.2f, inference %.2f)\n", path,
            r->model, r->variant, (double)r->total_ns / 1e6, (double)r->decode_ns / 1e6,
            (double)r->preprocess_ns / 1e6, (double)r->inference_ns / 1e6);
    for (int i = 0; i < s->n; i++)
        fprintf(s->out, "  %6.2f %%  %4d  %s\n", (double)s->best[i].score * 100,
                s->best[i].class_number, eng_model_label(s->model->eng, s->best[i].class_number));
}

/* The daemon's answer. NULL: out of memory. */
static char *json_of(const struct session *s, struct proto_result *r)
{
    struct proto_buf b = {0};
    proto_buf_key(&b, "predictions");
    proto_buf_text(&b, "[");
    for (int i = 0; i < s->n; i++) {
        int number = s->best[i].class_number;
        proto_reply_put_prediction(
            &b, &(struct proto_prediction){number, eng_model_label(s->model->eng, number),
                                           s->best[i].score});
    }
    proto_buf_text(&b, "]");
    r->members = (struct proto_span){b.data, b.len};
    char *text = b.failed ? NULL : proto_reply_one(r, NULL);
    proto_buf_finish(&b);
    return text;
}

/* One line (JSON) or one paragraph a file, errors among them. */
static int one_file(struct session *s, const char *path)
{
    char err[256] = "";
    struct proto_result result;
    int rc = classify(s, path, &result, err, sizeof(err));
    if (rc < 0 && (!s->cfg->json || s->cfg->golden)) {
        fprintf(s->out, "%s: %s\n", path, err);
        return 1;
    }
    if (rc == 0 && s->cfg->golden) {
        srv_golden_print(s->out, path, s->best, s->n);
        return 0;
    }
    if (rc == 0 && !s->cfg->json) {
        print_text(s, path, &result);
        return 0;
    }
    char *text = rc < 0 ? proto_reply_error(err, NULL) : json_of(s, &result);
    if (text)
        fputs(text, s->out);
    free(text);
    return rc < 0 || !text;
}

static int prepare(struct session *s, struct srv_registry *registry, int threads, char *err,
                   size_t errlen)
{
    s->model = srv_registry_find(registry, s->cfg->model, &s->name);
    if (!s->model) {
        snprintf(err, errlen, "there is no model named \"%s\"", s->cfg->model);
        return -ENOENT;
    }
    if (s->model->info->no_classes[0]) {
        snprintf(err, errlen, "the model \"%s\" is no classifier: %s", s->name,
                 s->model->info->no_classes);
        return -EINVAL;
    }
    int classes = s->model->info->outputs - s->model->info->class_offset;
    s->k = s->cfg->top_k < classes ? (int)s->cfg->top_k : classes;
    s->best = calloc((size_t)s->k, sizeof(*s->best));
    int rc = s->best ? 0 : -ENOMEM;
    if (rc == 0)
        rc = srv_context_create(&s->context, s->model, 1, threads, err, errlen);
    if (rc == 0)
        rc = eng_decoder_create(&s->decoder, 0);
    if (rc == 0)
        rc = srv_team_threads_create(&s->crew, threads);
    if (rc < 0 && !err[0])
        snprintf(err, errlen, "%s", strerror(-rc));
    return rc;
}

int srv_cmd_classify(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    struct srv_registry *registry = NULL;
    struct session s = {.cfg = cfg, .out = out};
    struct srv_quota quota;
    uint32_t allowed = 0;
    if (cfg->n_args == 0) {
        snprintf(err, errlen, "no file is named");
        return -EINVAL;
    }
    srv_quota_read(&quota, "");
    eng_cpu_parse(&allowed, cfg->isa);
    struct srv_registry_options options = {
        .dir = srv_models_dir(cfg->models),
        .default_model = cfg->model,
        .only = cfg->model,
        .cpu_bits = eng_cpu_detect() & allowed,
        .max_batch = 1,
        .workers = quota.workers,
    };
    int rc = srv_registry_load(&registry, &options, NULL, err, errlen);
    if (rc == 0)
        rc = prepare(&s, registry, quota.workers, err, errlen);
    for (int i = 0; i < cfg->n_args; i++) {
        if (rc < 0)
            break;
        rc |= one_file(&s, cfg->args[i]);
    }
    srv_team_threads_destroy(s.crew);
    eng_decoder_destroy(s.decoder);
    srv_context_destroy(s.context);
    free(s.best);
    srv_registry_destroy(registry);
    return rc;
}
