/* model.json by jansson: one row of a table per key. */
#include "engine/importers/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/base/file.h"

enum { MAX_MANIFEST = 16 << 20 }; /* the topology of a TF.js model may be long */

static const struct eng_manifest nothing_said = {.class_offset = -1, .activation = -1};

struct reader {
    struct eng_manifest *m;
    char *err;
    size_t errlen;
};

static int no_memory(char *err, size_t errlen)
{
    return eng_fail(err, errlen, -ENOMEM, "not enough memory for the manifest");
}

static int read_string(struct reader *r, const json_t *v, const char *key, char **ret)
{
    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
        return eng_fail(r->err, r->errlen, ENG_E_DATA, "\"%s\" is no string", key);
    free(*ret);
    *ret = strdup(json_string_value(v));
    return *ret ? 0 : no_memory(r->err, r->errlen);
}

/* Relative, and no component is "..". */
static int stays_inside(const char *path)
{
    if (path[0] == '\0' || path[0] == '/')
        return 0;
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
            return 0;
    }
    return 1;
}

static int read_path(struct reader *r, const json_t *v, const char *key, char **ret)
{
    int rc = read_string(r, v, key, ret);
    if (rc == 0 && !stays_inside(*ret))
        return eng_fail(r->err, r->errlen, ENG_E_DATA, "\"%s\": %.120s leads out of the folder",
                        key, *ret);
    return rc;
}

static int read_integer(struct reader *r, const json_t *v, const char *key, int lo, int hi,
                        int *ret)
{
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < lo || n > hi)
        return eng_fail(r->err, r->errlen, ENG_E_DATA, "\"%s\" is no integer of %d to %d", key, lo,
                        hi);
    *ret = (int)n;
    return 0;
}

static int read_word(struct reader *r, const json_t *v, const char *key, const char *const *words,
                     int *ret)
{
    const char *s = json_string_value(v);
    char list[160] = "";
    for (int i = 0; words[i]; i++) {
        if (s && strcmp(s, words[i]) == 0) {
            *ret = i;
            return 0;
        }
        size_t at = strlen(list);
        snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "", words[i]);
    }
    return eng_fail(r->err, r->errlen, ENG_E_DATA, "\"%s\" is none of: %s", key, list);
}

/* One number for all channels, or three. */
static int read_channels(struct reader *r, const json_t *v, const char *key, float ret[3])
{
    for (size_t i = 0; i < 3; i++) {
        const json_t *n = json_is_array(v) && json_array_size(v) == 3 ? json_array_get(v, i) : v;
        double d = json_number_value(n);
        if (!json_is_number(n) || !isfinite((float)d))
            return eng_fail(r->err, r->errlen, ENG_E_DATA,
                            "\"%s\" is neither a number nor three of them", key);
        ret[i] = (float)d;
    }
    return 0;
}

static int read_files(struct reader *r, const json_t *v)
{
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n < 1 || n > ENG_MAX_PARTS)
        return eng_fail(r->err, r->errlen, ENG_E_DATA, "\"files\" is no list of 1 to %d names",
                        ENG_MAX_PARTS);
    for (size_t i = 0; i < n; i++) {
        int rc = read_path(r, json_array_get(v, i), "files", &r->m->files[i]);
        if (rc < 0)
            return rc;
        r->m->n_files = (int)i + 1;
    }
    return 0;
}

static int read_head(struct reader *r, const json_t *v)
{
    if (json_array_size(v) != 2)
        return eng_fail(r->err, r->errlen, ENG_E_DATA, "\"head\" is no list of two names");
    for (int i = 0; i < 2; i++) {
        int rc = read_path(r, json_array_get(v, (size_t)i), "head", &r->m->head[i]);
        if (rc < 0)
            return rc;
        r->m->n_head = i + 1;
    }
    return 0;
}

static int read_input_key(struct reader *r, const char *key, const json_t *v)
{
    static const char *const channels[] = {"rgb", "bgr", NULL};
    static const char *const resizes[] = {"short_side", "squash", "central_crop", "letterbox",
                                          NULL};
    static const char *const filters[] = {"bilinear", "bicubic",     "nearest",
                                          "area",     "tf_bilinear", NULL};
    struct eng_manifest *m = r->m;
    int word, rc;
    if (strcmp(key, "height") == 0)
        return read_integer(r, v, key, 1, 1 << 14, &m->height);
    if (strcmp(key, "width") == 0)
        return read_integer(r, v, key, 1, 1 << 14, &m->width);
    if (strcmp(key, "channels") == 0)
        return read_word(r, v, key, channels, &m->bgr);
    if (strcmp(key, "resize") == 0) {
        if ((rc = read_word(r, v, key, resizes, &word)) == 0)
            m->resize = (enum eng_resize)word;
        return rc;
    }
    if (strcmp(key, "filter") == 0) {
        if ((rc = read_word(r, v, key, filters, &word)) == 0)
            m->filter = (enum eng_filter)word;
        return rc;
    }
    if (strcmp(key, "mean") == 0) {
        m->has_mean = 1;
        return read_channels(r, v, key, m->mean);
    }
    if (strcmp(key, "scale") == 0) {
        m->has_scale = 1;
        return read_channels(r, v, key, m->scale);
    }
    return eng_fail(r->err, r->errlen, ENG_E_DATA, "unknown key \"input\".\"%.60s\"", key);
}

static int read_input(struct reader *r, json_t *v)
{
    const char *key;
    json_t *value;
    if (!json_is_object(v))
        return eng_fail(r->err, r->errlen, ENG_E_DATA, "\"input\" is no object");
    json_object_foreach(v, key, value)
    {
        int rc = read_input_key(r, key, value);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_answer(struct reader *r, const json_t *classes, const json_t *scores)
{
    struct eng_golden *g = &r->m->golden;
    size_t n = json_array_size(classes);
    if (n < 1 || n > ENG_GOLDEN_MAX || json_array_size(scores) != n)
        return eng_fail(r->err, r->errlen, ENG_E_DATA,
                        "\"golden\": classes and scores are no lists of 1 to %d numbers, as long "
                        "as each other",
                        ENG_GOLDEN_MAX);
    for (size_t i = 0; i < n; i++) {
        double score = json_number_value(json_array_get(scores, i));
        int rc = read_integer(r, json_array_get(classes, i), "classes", 0, 1 << 20, &g->classes[i]);
        if (rc < 0)
            return rc;
        if (!json_is_number(json_array_get(scores, i)) || !(score >= 0 && score <= 1))
            return eng_fail(r->err, r->errlen, ENG_E_DATA, "\"scores\": no number of 0 to 1");
        g->scores[i] = (float)score;
    }
    g->n = (int)n;
    return 0;
}

static int read_golden(struct reader *r, json_t *v)
{
    struct eng_golden *g = &r->m->golden;
    char *image = NULL;
    const char *key;
    json_t *value;
    double tolerance = 0.02;
    json_object_foreach(v, key, value)
    {
        if (strcmp(key, "tolerance") == 0)
            tolerance = json_is_number(value) ? json_number_value(value) : -1;
        else if (strcmp(key, "image") != 0 && strcmp(key, "classes") != 0 &&
                 strcmp(key, "scores") != 0)
            return eng_fail(r->err, r->errlen, ENG_E_DATA, "unknown key \"golden\".\"%.60s\"", key);
    }
    if (!(tolerance >= 0 && tolerance <= 1))
        return eng_fail(r->err, r->errlen, ENG_E_DATA, "\"tolerance\": no number of 0 to 1");
    int rc = read_path(r, json_object_get(v, "image"), "image", &image);
    if (rc == 0 && strlen(image) >= sizeof(g->image))
        rc = eng_fail(r->err, r->errlen, ENG_E_DATA, "\"image\": the name is too long");
    if (rc == 0)
        memcpy(g->image, image, strlen(image) + 1);
    free(image);
    g->tolerance = (float)tolerance;
    return rc < 0 ? rc
                  : read_answer(r, json_object_get(v, "classes"), json_object_get(v, "scores"));
}

static int read_precision(struct reader *r, const json_t *v, const char *key)
{
    static const char *const names[] = {"fp32", "bf16", "fp32x", NULL};
    static const enum eng_precision of[] = {ENG_PRECISION_FP32, ENG_PRECISION_BF16,
                                            ENG_PRECISION_FP32X};
    int word, rc = read_word(r, v, key, names, &word);
    if (rc == 0)
        r->m->precision = of[word];
    return rc;
}

static const char *const task_names[] = {
#define MODEL_TASK(id, name) name,
#include "engine/tasks.def"
    NULL,
};

const char *eng_task_name(enum eng_task task)
{
    return task_names[task];
}

static int read_task(struct reader *r, const json_t *v, const char *key)
{
    int word, rc = read_word(r, v, key, task_names, &word);
    if (rc == 0)
        r->m->task = (enum eng_task)word;
    return rc;
}

static int read_key(struct reader *r, const char *key, json_t *v)
{
    static const char *const activations[] = {"none", "sigmoid", "softmax", NULL};
    static const char *const shown[] = {"usual", "all", NULL};
    struct eng_manifest *m = r->m;
    const struct {
        const char *key;
        char **to;
    } strings[] = {
        {"format", &m->format},   {"family", &m->family}, {"variant", &m->variant},
        {"licence", &m->licence}, {"source", &m->source}, {"output", &m->output},
    };
    for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++)
        if (strcmp(key, strings[i].key) == 0)
            return read_string(r, v, key, strings[i].to);
    if (strcmp(key, "files") == 0)
        return read_files(r, v);
    if (strcmp(key, "head") == 0)
        return read_head(r, v);
    if (strcmp(key, "labels") == 0)
        return read_path(r, v, key, &m->labels);
    if (strcmp(key, "task") == 0)
        return read_task(r, v, key);
    if (strcmp(key, "activation") == 0)
        return read_word(r, v, key, activations, &m->activation);
    if (strcmp(key, "shown_outputs") == 0)
        return read_word(r, v, key, shown, &m->shows_all);
    if (strcmp(key, "precision") == 0)
        return read_precision(r, v, key);
    if (strcmp(key, "class_offset") == 0)
        return read_integer(r, v, key, 0, 1 << 20, &m->class_offset);
    if (strcmp(key, "input") == 0)
        return read_input(r, v);
    if (strcmp(key, "golden") == 0)
        return read_golden(r, v);
    return eng_fail(r->err, r->errlen, ENG_E_DATA, "unknown key \"%.60s\"", key);
}

static int add_file(struct reader *r, const json_t *name)
{
    struct eng_manifest *m = r->m;
    if (m->n_files == ENG_MAX_PARTS)
        return eng_fail(r->err, r->errlen, ENG_E_LIMIT, "the model has more than %d files",
                        ENG_MAX_PARTS);
    int rc = read_path(r, name, "paths", &m->files[m->n_files]);
    m->n_files += rc == 0;
    return rc;
}

/* A TF.js model as its converter left it: model.json and the shards that it names. */
static int read_tfjs(struct reader *r, const json_t *root)
{
    const json_t *groups = json_object_get(root, "weightsManifest"), *group, *path;
    json_t *self = json_string("model.json");
    size_t i, k;
    int rc =
        self && (r->m->format = strdup("tfjs")) ? add_file(r, self) : no_memory(r->err, r->errlen);
    json_decref(self);
    json_array_foreach(groups, i, group)
    {
        json_array_foreach(json_object_get(group, "paths"), k, path)
        {
            if (rc == 0)
                rc = add_file(r, path);
        }
    }
    return rc;
}

static int read_manifest(struct reader *r, json_t *root)
{
    const char *key;
    json_t *value;
    if (!json_is_object(root))
        return eng_fail(r->err, r->errlen, ENG_E_DATA, "it is no JSON object");
    if (json_object_get(root, "modelTopology"))
        return read_tfjs(r, root);
    json_object_foreach(root, key, value)
    {
        int rc = read_key(r, key, value);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int eng_manifest_parse(struct eng_manifest *ret, const char *text, size_t len, char *err,
                       size_t errlen)
{
    struct eng_manifest m = nothing_said;
    struct reader r = {&m, err, errlen};
    json_error_t why;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!root && (!why.text[0] || json_error_code(&why) == json_error_out_of_memory))
        return no_memory(err, errlen);
    if (!root)
        return eng_fail(err, errlen, ENG_E_DATA, "line %d: %s", why.line, why.text);
    int rc = read_manifest(&r, root);
    json_decref(root);
    if (rc < 0) {
        eng_manifest_finish(&m);
        return rc;
    }
    *ret = m;
    return 0;
}

void eng_manifest_finish(struct eng_manifest *m)
{
    for (int i = 0; i < ENG_MAX_PARTS; i++)
        free(m->files[i]);
    free(m->head[0]);
    free(m->head[1]);
    free(m->format);
    free(m->labels);
    free(m->family);
    free(m->variant);
    free(m->licence);
    free(m->source);
    free(m->output);
    memset(m, 0, sizeof(*m));
}

/* ---- the folder ---- */

static int is_model_file(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot != name && (strcmp(dot, ".tflite") == 0 || strcmp(dot, ".onnx") == 0);
}

/* The one model file of a folder that has no manifest. */
static int find_model_file(struct eng_manifest *m, const char *dir, char *err, size_t errlen)
{
    DIR *d = opendir(dir);
    if (!d)
        return eng_fail(err, errlen, -errno, "%.200s: %s", dir, strerror(errno));
    int found = 0;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        if (!is_model_file(e->d_name))
            continue;
        free(m->files[0]);
        m->files[0] = strdup(e->d_name);
        found++;
    }
    closedir(d);
    if (found != 1)
        return eng_fail(err, errlen, found ? ENG_E_DATA : -ENOENT,
                        "%.200s: no model.json, and %d model files where one would do", dir, found);
    if (!m->files[0])
        return no_memory(err, errlen);
    m->n_files = 1;
    return 0;
}

int eng_manifest_load(struct eng_manifest *ret, const char *dir, char *err, size_t errlen)
{
    char path[4096];
    struct eng_manifest m = nothing_said;
    struct eng_file file = {0};
    if (snprintf(path, sizeof(path), "%s/model.json", dir) >= (int)sizeof(path))
        return eng_fail(err, errlen, -ENAMETOOLONG, "%.80s: the path is too long", dir);
    int rc = eng_file_read(&file, path, MAX_MANIFEST, err, errlen);
    if (rc == 0) {
        rc = eng_manifest_parse(&m, file.bytes, file.len, err, errlen);
        eng_file_finish(&file);
        if (rc < 0)
            return eng_fail_in(err, errlen, rc, path);
    } else if (rc != -ENOENT) {
        return rc;
    }
    if (m.n_files == 0)
        rc = find_model_file(&m, dir, err, errlen);
    if (rc < 0) {
        eng_manifest_finish(&m);
        return rc;
    }
    *ret = m;
    return 0;
}
