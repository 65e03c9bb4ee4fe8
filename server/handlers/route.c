/* Matching is a walk over the rows: cheaper than any structure, and the table stays the truth. What
 * is asked every second, and by load balancers without end, stands first. */
#include "server/handlers/route.h"

#include "protocol/query.h"
#include "server/handlers/handlers.h"
#include "server/handlers/auth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { READ = SRV_GET | SRV_HEAD, SEND = SRV_POST | SRV_PUT };

#define PICTURE "exif lenient degrade min_variant"

static const struct srv_route routes[] = {
    {"/v2/health/live", READ, 0, NULL, srv_live_finish, "200 while the process runs",
     SRV_SCOPE_OPEN},
    {"/v2/health/ready", READ, 0, NULL, srv_ready_finish,
     "200 while requests are welcome, else 503", SRV_SCOPE_OPEN},
    {"/healthz", READ, 0, NULL, srv_ready_finish, "As /v2/health/ready", SRV_SCOPE_OPEN},
    {"/v1/classify", SEND, 1, srv_classify_begin, srv_images_finish,
     "Classify one image or many with the default model", .query = "top_k model version " PICTURE},
    {"/v1/models/{}/classify", SEND, 1, srv_classify_begin, srv_images_finish,
     "Classify with a model or family", .query = "top_k version " PICTURE},
    {"/v1/models/{}/versions/{}/classify", SEND, 1, srv_classify_begin, srv_images_finish,
     "Classify with a version, by number or label", .query = "top_k " PICTURE},
    {"/v1/embed", SEND, 1, srv_embed_begin, srv_images_finish,
     "Embedding of one image or many by the default model", .query = "model version " PICTURE},
    {"/v1/models/{}/embed", SEND, 1, srv_embed_begin, srv_images_finish, "Embedding by a model",
     .query = "version " PICTURE},
    {"/v1/models/{}/preprocess", SEND, 1, srv_preprocess_begin, srv_images_finish,
     "What the network would see: digest, or the tensor itself", .query = "as version " PICTURE},
    {"/v1/models/{}/teach", SRV_POST, 1, srv_teach_begin, srv_teach_finish,
     "A new model: new classes, from labelled images, on an old backbone (needs `admin`)",
     SRV_SCOPE_ADMIN, .query = "as version exif lenient"},
    {"/v1/models/{}:predict", SRV_POST, 1, srv_tfs_begin, srv_tfs_predict_finish,
     "TensorFlow Serving: probabilities of instances"},
    {"/v1/models/{}/versions/{}:predict", SRV_POST, 1, srv_tfs_begin, srv_tfs_predict_finish,
     "TensorFlow Serving: the same with one version"},
    {"/v1/models/{}:classify", SRV_POST, 1, srv_tfs_begin, srv_tfs_classify_finish,
     "TensorFlow Serving: labels and scores of examples", .query = "top_k"},
    {"/v1/models/{}/versions/{}:classify", SRV_POST, 1, srv_tfs_begin, srv_tfs_classify_finish,
     "TensorFlow Serving: the same with one version", .query = "top_k"},
    {"/v1/models/{}:regress", SRV_POST, 1, srv_tfs_begin, srv_tfs_regress_finish,
     "TensorFlow Serving: 501, the models classify"},
    {"/v1/models/{}/versions/{}:regress", SRV_POST, 1, srv_tfs_begin, srv_tfs_regress_finish,
     "TensorFlow Serving: 501, the models classify"},
    {"/v1/models/{}/metadata", READ, 0, NULL, srv_tfs_metadata_finish,
     "TensorFlow Serving: the signature of a model"},
    {"/v1/models/{}/versions/{}/metadata", READ, 0, NULL, srv_tfs_metadata_finish,
     "TensorFlow Serving: the signature of one version"},
    {"/v1/models/{}/labels/{}:predict", SRV_POST, 1, srv_tfs_begin, srv_tfs_predict_finish,
     "TensorFlow Serving: the same with the version of a label"},
    {"/v1/models/{}/labels/{}:classify", SRV_POST, 1, srv_tfs_begin, srv_tfs_classify_finish,
     "TensorFlow Serving: the same with the version of a label", .query = "top_k"},
    {"/v1/models/{}/labels/{}/metadata", READ, 0, NULL, srv_tfs_metadata_finish,
     "TensorFlow Serving: the signature of the version of a label"},
    {"/v1/models/{}/labels/{}", READ, 0, NULL, srv_tfs_status_finish,
     "TensorFlow Serving: state of the version of a label"},
    {"/v1/models/{}/versions/{}", READ, 0, NULL, srv_tfs_status_finish,
     "TensorFlow Serving: state of one version"},
    {"/v1/models/{}", READ, 0, NULL, srv_tfs_status_finish, "TensorFlow Serving: state of a model"},
    {"/v1/models", READ, 0, NULL, srv_models_finish, "The models that are served"},
    {"/v2", READ, 0, NULL, srv_oip_server_finish, "Name, version and extensions of the server"},
    {"/v2/", READ, 0, NULL, srv_oip_server_finish, "As /v2"},
    {"/v2/models/stats", READ, 0, NULL, srv_oip_all_statistics_finish, "Statistics of every model"},
    {"/v2/models/{}", READ, 0, NULL, srv_oip_model_finish, "Inputs and outputs of a model"},
    {"/v2/models/{}/versions/{}", READ, 0, NULL, srv_oip_model_finish,
     "Inputs and outputs of one version of a model"},
    {"/v2/models/{}/ready", READ, 0, NULL, srv_oip_model_ready_finish,
     "200 if the model can be asked"},
    {"/v2/models/{}/versions/{}/ready", READ, 0, NULL, srv_oip_model_ready_finish,
     "200 if this version can be asked"},
    {"/v2/models/{}/config", READ, 0, NULL, srv_oip_config_finish,
     "Configuration of a model, in Triton's form"},
    {"/v2/models/{}/versions/{}/config", READ, 0, NULL, srv_oip_config_finish,
     "Configuration of one version of a model"},
    {"/v2/models/{}/stats", READ, 0, NULL, srv_oip_statistics_finish, "Statistics of a model"},
    {"/v2/models/{}/versions/{}/stats", READ, 0, NULL, srv_oip_statistics_finish,
     "Statistics of one version of a model"},
    {"/v2/repository/index", SRV_POST, 1, NULL, srv_oip_index_finish,
     "The models of the repository and their state"},
    {"/v2/repository/models/{}/load", SRV_POST, 2, NULL, srv_oip_load_finish,
     "Load a model, or load it again (needs `admin`)", SRV_SCOPE_ADMIN},
    {"/v2/repository/models/{}/unload", SRV_POST, 2, NULL, srv_oip_unload_finish,
     "Serve a model no longer (needs `admin`)", SRV_SCOPE_ADMIN},
    {"/v2/logging", SRV_GET | SRV_HEAD | SRV_POST, 1, NULL, srv_oip_logging_finish,
     "What is logged; POST changes it (needs `admin`)", SRV_SCOPE_INFER | SRV_SCOPE_ADMIN},
    {"/v2/trace/setting", SRV_GET | SRV_POST, 1, NULL, srv_oip_unsupported_finish,
     "Not supported: 501"},
    {"/v2/models/{}/trace/setting", SRV_GET | SRV_POST, 1, NULL, srv_oip_unsupported_finish,
     "Not supported: 501"},
    {"/v2/systemsharedmemory/status", SRV_GET, 0, NULL, srv_oip_unsupported_finish,
     "Not supported: 501"},
    {"/v2/cudasharedmemory/status", SRV_GET, 0, NULL, srv_oip_unsupported_finish,
     "Not supported: 501"},
    {"/v2/models/{}/infer", SRV_POST, 1, srv_oip_infer_begin, srv_oip_infer_finish,
     "Inference (Open Inference Protocol v2)"},
    {"/v2/models/{}/versions/{}/infer", SRV_POST, 1, srv_oip_infer_begin, srv_oip_infer_finish,
     "Inference with one version of a model"},
    {"/metrics", READ, 0, NULL, srv_metrics_finish, "Prometheus text", SRV_SCOPE_METRICS},
    {"/openapi.json", READ, 0, NULL, srv_openapi_finish, "This API as OpenAPI 3.1"},
    {"/", READ, 0, NULL, srv_root_finish, "This list"},
};

enum { ROUTES = sizeof(routes) / sizeof(routes[0]) };

const struct srv_route *srv_route_at(int index)
{
    return index < ROUTES ? &routes[index] : NULL;
}

int srv_route_index(const struct srv_route *r)
{
    return (int)(r - routes);
}

/* Takes what {} stands for out of a segment; 0 if the segment does not fit its pattern. */
static int fits_segment(const char *pattern, size_t pattern_len, const char *path, size_t len,
                        const char **ret_at, size_t *ret_len)
{
    const char *hole = memmem(pattern, pattern_len, "{}", 2);
    if (!hole)
        return pattern_len == len && memcmp(pattern, path, len) == 0;
    size_t before = (size_t)(hole - pattern), after = pattern_len - before - 2;
    if (len <= before + after || memcmp(pattern, path, before) != 0 ||
        memcmp(hole + 2, path + len - after, after) != 0)
        return 0;
    *ret_at = path + before;
    *ret_len = len - before - after;
    return 1;
}

static size_t segment(const char *s, size_t len)
{
    const char *slash = memchr(s, '/', len);
    return slash ? (size_t)(slash - s) : len;
}

struct hole {
    const char *at;
    size_t len;
};

static int fits(const char *pattern, const char *path, size_t len, struct hole holes[SRV_PARAMS])
{
    size_t pattern_len = strlen(pattern);
    int n = 0;
    for (;;) {
        size_t want = segment(pattern, pattern_len), have = segment(path, len);
        struct hole h = {NULL, 0};
        if (!fits_segment(pattern, want, path, have, &h.at, &h.len))
            return 0;
        if (h.at)
            holes[n++] = h;
        if (want == pattern_len || have == len)
            return want == pattern_len && have == len;
        pattern += want + 1;
        pattern_len -= want + 1;
        path += have + 1;
        len -= have + 1;
    }
}

/* The part in front of the first {} rules most rows out within a few bytes. */
static int fits_row(const char *pattern, const char *path, size_t len,
                    struct hole holes[SRV_PARAMS])
{
    size_t n = 0;
    while (n < len && pattern[n] == path[n] && pattern[n] && pattern[n] != '{')
        n++;
    return pattern[n] == '{' ? fits(pattern, path, len, holes) : !pattern[n] && n == len;
}

const struct srv_route *srv_route_find(const char *path, size_t len,
                                       char params[SRV_PARAMS][SRV_PARAM_MAX], int *ret_rc)
{
    *ret_rc = 0;
    for (int i = 0; i < ROUTES; i++) {
        struct hole holes[SRV_PARAMS] = {0};
        if (!fits_row(routes[i].pattern, path, len, holes))
            continue;
        for (int k = 0; k < SRV_PARAMS && holes[k].at; k++) {
            int rc = proto_percent_decode(holes[k].at, holes[k].len, params[k], SRV_PARAM_MAX);
            if (rc < 0)
                *ret_rc = rc;
        }
        return &routes[i];
    }
    return NULL;
}

static const struct {
    unsigned bit;
    const char *name;
} method_names[] = {
    {SRV_GET, "GET"}, {SRV_HEAD, "HEAD"},     {SRV_POST, "POST"},
    {SRV_PUT, "PUT"}, {SRV_DELETE, "DELETE"}, {SRV_OPTIONS, "OPTIONS"},
};

unsigned srv_method_parse(const char *name)
{
    for (size_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++)
        if (strcmp(name, method_names[i].name) == 0)
            return method_names[i].bit;
    return SRV_OTHER;
}

void srv_methods_text(unsigned methods, char *buf, size_t len)
{
    size_t n = 0;
    buf[0] = 0;
    for (size_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++)
        if (methods & method_names[i].bit && n < len)
            n += (size_t)snprintf(buf + n, len - n, "%s%s", n ? ", " : "", method_names[i].name);
}
