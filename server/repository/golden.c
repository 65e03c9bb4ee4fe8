/* By the way that every picture goes, decoding and preprocessing included, without its shortcuts.
 */
#include "server/repository/golden.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/read_file.h"
#include "server/base/table.h"

enum { PATH = 4096, PICTURE_MAX = 64 << 20 };

static int decode(struct srv_model *m, const void *bytes, size_t len, uint32_t cpu_bits, char *err,
                  size_t errlen)
{
    const struct eng_image_options options = {.full_decode = 1};
    struct eng_decoder *d;
    int rc = eng_decoder_create(&d, cpu_bits);
    if (rc < 0) {
        snprintf(err, errlen, "out of memory");
        return rc;
    }
    rc = eng_decoder_run(d, bytes, len, &m->info->picture, &options,
                         eng_context_picture(m->warm->eng, 0), NULL, err, errlen);
    eng_decoder_destroy(d);
    return rc;
}

static int compare(struct srv_model *m, const struct eng_golden *g, char *err, size_t errlen)
{
    struct eng_context *c = m->warm->eng;
    struct eng_prediction best;
    const float *scores = eng_context_probabilities(c, 0) + m->info->class_offset;
    for (int i = 0; i < g->n; i++) {
        float score = scores[g->classes[i]];
        if (fabsf(score - g->scores[i]) <= g->tolerance)
            continue;
        snprintf(err, errlen,
                 "the golden answer to %.80s is class %d with %.4f, the model says %.4f", g->image,
                 g->classes[i], (double)g->scores[i], (double)score);
        return -EBADMSG;
    }
    if (eng_context_topk(c, 0, 1, &best) == 1 && best.class_number != g->classes[0] &&
        best.score > scores[g->classes[0]] + g->tolerance) {
        snprintf(err, errlen, "the golden answer to %.80s is class %d, the model says %d", g->image,
                 g->classes[0], best.class_number);
        return -EBADMSG;
    }
    return 0;
}

int srv_golden_check(struct srv_model *m, const char *dir, uint32_t cpu_bits, char *err,
                     size_t errlen)
{
    const struct eng_golden *g = m->info->golden;
    char path[PATH], why[160] = "";
    void *bytes = NULL;
    size_t len = 0;
    if (!g)
        return 0;
    int rc = snprintf(path, sizeof(path), "%s/%s", dir, g->image) < PATH ? 0 : -ENAMETOOLONG;
    if (rc == 0)
        rc = srv_read_file(&bytes, &len, path, PICTURE_MAX, why, sizeof(why));
    if (rc == 0)
        rc = decode(m, bytes, len, cpu_bits, why, sizeof(why));
    free(bytes);
    if (rc < 0) {
        snprintf(err, errlen, "the golden picture %.80s: %s", g->image,
                 why[0] ? why : strerror(-rc));
        return rc;
    }
    rc = eng_context_run(m->warm->eng, 1, NULL);
    if (rc == 0)
        return compare(m, g, err, errlen);
    snprintf(err, errlen, "the run of the golden picture failed (%d)", rc);
    return rc;
}

void srv_golden_print(FILE *out, const char *path, const struct eng_prediction *best, int n)
{
    const char *slash = strrchr(path, '/');
    n = n < ENG_GOLDEN_MAX ? n : ENG_GOLDEN_MAX;
    fputs("\"golden\": {\"image\": ", out);
    srv_print_json_string(out, slash ? slash + 1 : path);
    fputs(", \"classes\": [", out);
    for (int i = 0; i < n; i++)
        fprintf(out, "%s%d", i ? ", " : "", best[i].class_number);
    fputs("], \"scores\": [", out);
    for (int i = 0; i < n; i++)
        fprintf(out, "%s%.6f", i ? ", " : "", (double)best[i].score);
    fputs("], \"tolerance\": 0.02}\n", out);
}
