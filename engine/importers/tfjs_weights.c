/* The weightsManifest: names, shapes and storage over the joined bytes of each group's shards.
 * https://www.tensorflow.org/js/guide/save_load and tfjs-core's io/types.ts (WeightsManifestEntry).
 *
 * Bytes are copied out piece by piece: a weight may straddle two shards, and none is aligned. */
#include "engine/importers/tfjs.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/half.h"

enum { MAX_GROUPS = 1024, MAX_WEIGHTS = 1 << 14, CHUNK = 1024 };

struct span {
    const uint8_t *bytes;
    size_t len;
};

struct group {
    struct span *spans;
    int n;
    size_t total;
};

struct eng_tfj_weights {
    struct eng_tfj_weight *list; /* by name */
    int n;
    struct group *groups;
    int n_groups;
};

void eng_tfj_weights_destroy(struct eng_tfj_weights *w)
{
    if (!w)
        return;
    for (int i = 0; i < w->n_groups; i++)
        free(w->groups[i].spans);
    free(w->groups);
    free(w->list);
    free(w);
}

static const struct eng_part *find_file(const struct eng_part *files, int n, const char *path)
{
    if (strncmp(path, "./", 2) == 0)
        path += 2;
    for (int i = 0; i < n; i++)
        if (strcmp(files[i].name, path) == 0)
            return &files[i];
    return NULL;
}

static int read_paths(struct eng_tfj *f, struct group *group, const json_t *paths,
                      const struct eng_part *files, int n_files)
{
    size_t n = json_array_size(paths);
    if (n < 1 || n > (size_t)n_files)
        return eng_tfj_fail(f, ENG_E_DATA, "a group of weights names %zu shards, there are %d", n,
                            n_files);
    group->spans = calloc(n, sizeof(*group->spans));
    if (!group->spans)
        return eng_tfj_no_memory(f);
    for (size_t i = 0; i < n; i++) {
        const char *path = json_string_value(json_array_get(paths, i));
        const struct eng_part *file = path ? find_file(files, n_files, path) : NULL;
        if (!file)
            return eng_tfj_fail(f, ENG_E_DATA, "its shard %.120s is not among \"files\"",
                                path ? path : "?");
        group->spans[i] = (struct span){file->bytes, file->len};
        group->n++;
        if (__builtin_add_overflow(group->total, file->len, &group->total))
            return eng_tfj_fail(f, ENG_E_LIMIT, "the shards are too large");
    }
    return 0;
}

static int read_shape(struct eng_tfj *f, struct eng_tfj_weight *w, const json_t *shape)
{
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > ENG_MAX_RANK)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "weight %.80s has %zu dimensions", w->name, rank);
    w->rank = (int)rank;
    w->elements = 1;
    for (size_t i = 0; i < rank; i++) {
        json_int_t d = json_integer_value(json_array_get(shape, i));
        if (!json_is_integer(json_array_get(shape, i)) || d < 0 || d > ENG_MAX_DIM)
            return eng_tfj_fail(f, ENG_E_DATA, "weight %.80s has a broken shape", w->name);
        w->dim[i] = (int32_t)d;
        w->elements *= (size_t)d; /* at most 2^28 * 2^20 before the check */
        if (w->elements > ENG_MAX_ELEMENTS)
            return eng_tfj_fail(f, ENG_E_LIMIT, "weight %.80s is too large", w->name);
    }
    return 0;
}

static int read_quantisation(struct eng_tfj *f, struct eng_tfj_weight *w, const json_t *q)
{
    const char *dtype = eng_tfj_string(q, "dtype");
    if (strcmp(dtype, "float16") == 0 && !w->is_integer) {
        w->stored = ENG_F16;
        return 0;
    }
    if (strcmp(dtype, "uint8") != 0 && strcmp(dtype, "uint16") != 0)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "weight %.80s is stored as \"%.40s\"", w->name,
                            dtype);
    w->stored = ENG_U8;
    w->wide = strcmp(dtype, "uint16") == 0;
    w->quantised = 1;
    int rc = eng_tfj_number(f, q, "min", NAN, &w->min);
    if (rc == 0)
        rc = eng_tfj_number(f, q, "scale", NAN, &w->scale);
    if (rc == 0 && (!isfinite(w->min) || !isfinite(w->scale)))
        rc = eng_tfj_fail(f, ENG_E_DATA, "weight %.80s has a broken quantisation", w->name);
    return rc;
}

static int read_weight(struct eng_tfj *f, struct eng_tfj_weight *w, const json_t *json)
{
    const char *dtype = eng_tfj_string(json, "dtype");
    const json_t *q = json_object_get(json, "quantization");
    w->name = eng_tfj_string(json, "name");
    if (!w->name[0])
        return eng_tfj_fail(f, ENG_E_DATA, "a weight has no name");
    if (strcmp(dtype, "float32") == 0)
        w->stored = ENG_F32;
    else if (strcmp(dtype, "float16") == 0)
        w->stored = ENG_F16;
    else if (strcmp(dtype, "int32") == 0)
        w->stored = ENG_I32;
    else if (strcmp(dtype, "bool") == 0)
        w->stored = ENG_BOOL;
    else
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "weight %.80s is of type \"%.40s\"", w->name,
                            dtype);
    w->is_integer = w->stored == ENG_I32 || w->stored == ENG_BOOL;
    int rc = read_shape(f, w, json_object_get(json, "shape"));
    if (rc == 0 && json_is_object(q))
        rc = read_quantisation(f, w, q);
    return rc;
}

static size_t unit_of(const struct eng_tfj_weight *w)
{
    return w->wide ? 2 : eng_type_size(w->stored);
}

static int read_group(struct eng_tfj *f, int index, const json_t *json,
                      const struct eng_part *files, int n_files)
{
    struct eng_tfj_weights *all = f->weights;
    struct group *group = &all->groups[index];
    const json_t *weights = json_object_get(json, "weights"), *entry;
    size_t i, at = 0;
    int rc = read_paths(f, group, json_object_get(json, "paths"), files, n_files);
    if (rc < 0)
        return rc;
    json_array_foreach(weights, i, entry)
    {
        struct eng_tfj_weight w = {.group = index, .at = at};
        rc = read_weight(f, &w, entry);
        if (rc < 0)
            return rc;
        size_t bytes = w.elements * unit_of(&w);
        if (bytes > group->total - at)
            return eng_tfj_fail(f, ENG_E_DATA, "weight %.80s ends behind the last shard", w.name);
        at += bytes;
        all->list[all->n++] = w;
    }
    if (at != group->total)
        return eng_tfj_fail(f, ENG_E_DATA, "the shards of a group hold %zu bytes, its weights %zu",
                            group->total, at);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct eng_tfj_weight *x = a, *y = b;
    return strcmp(x->name, y->name);
}

int eng_tfj_weights_read(struct eng_tfj *f, const json_t *manifest, const struct eng_part *files,
                         int n_files)
{
    size_t n = json_array_size(manifest), weights = 0;
    if (!json_is_array(manifest) || n > MAX_GROUPS)
        return eng_tfj_fail(f, ENG_E_DATA, "its weightsManifest is no list of at most %d groups",
                            MAX_GROUPS);
    for (size_t i = 0; i < n; i++)
        weights += json_array_size(json_object_get(json_array_get(manifest, i), "weights"));
    if (weights > MAX_WEIGHTS)
        return eng_tfj_fail(f, ENG_E_LIMIT, "it has %zu weights", weights);
    f->weights = calloc(1, sizeof(*f->weights));
    if (!f->weights)
        return eng_tfj_no_memory(f);
    f->weights->list = calloc(weights + 1, sizeof(*f->weights->list));
    f->weights->groups = calloc(n + 1, sizeof(*f->weights->groups));
    if (!f->weights->list || !f->weights->groups)
        return eng_tfj_no_memory(f);
    f->weights->n_groups = (int)n;
    for (size_t i = 0; i < n; i++) {
        int rc = read_group(f, (int)i, json_array_get(manifest, i), files, n_files);
        if (rc < 0)
            return rc;
    }
    qsort(f->weights->list, weights, sizeof(*f->weights->list), by_name);
    for (size_t i = 1; i < weights; i++)
        if (by_name(&f->weights->list[i - 1], &f->weights->list[i]) == 0)
            return eng_tfj_fail(f, ENG_E_DATA, "two weights are named %.80s",
                                f->weights->list[i].name);
    return 0;
}

const struct eng_tfj_weight *eng_tfj_weight(const struct eng_tfj *f, const char *name)
{
    struct eng_tfj_weight key = {.name = name};
    return bsearch(&key, f->weights->list, (size_t)f->weights->n, sizeof(key), by_name);
}

/* Does the path have `layer` among its folders and `name` as its last part? */
static int path_has(const char *path, const char *layer, const char *name)
{
    const char *last = strrchr(path, '/');
    size_t len = strlen(layer);
    if (!last || strcmp(last + 1, name) != 0)
        return 0;
    for (const char *p = path; p < last; p = strchr(p, '/') + 1)
        if (strncmp(p, layer, len) == 0 && p[len] == '/')
            return 1;
    return 0;
}

const struct eng_tfj_weight *eng_tfj_layer_weight(const struct eng_tfj *f, const char *layer,
                                                  const char *name)
{
    char path[512];
    const struct eng_tfj_weight *found = NULL;
    if (snprintf(path, sizeof(path), "%s/%s", layer, name) >= (int)sizeof(path))
        return NULL;
    if ((found = eng_tfj_weight(f, path)) != NULL)
        return found;
    for (int i = 0; i < f->weights->n; i++) {
        if (!path_has(f->weights->list[i].name, layer, name))
            continue;
        if (found)
            return NULL;
        found = &f->weights->list[i];
    }
    return found;
}

/* ---- bytes and values ---- */

static void copy(const struct group *group, size_t at, size_t len, uint8_t *to)
{
    for (int i = 0; i < group->n && len > 0; i++) {
        const struct span *s = &group->spans[i];
        if (at >= s->len) {
            at -= s->len;
            continue;
        }
        size_t k = s->len - at < len ? s->len - at : len;
        memcpy(to, s->bytes + at, k);
        to += k;
        len -= k;
        at = 0;
    }
}

/* Little-endian, as the format says, whatever the machine is. */
static uint32_t word(const uint8_t *p, size_t unit)
{
    uint32_t v = 0;
    for (size_t i = unit; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static double value(const struct eng_tfj_weight *w, uint32_t bits)
{
    float real;
    if (w->quantised)
        return w->min + w->scale * (double)bits;
    if (w->stored == ENG_F16)
        return (double)eng_half_to_float((uint16_t)bits);
    if (w->stored == ENG_I32)
        return (double)(int32_t)bits;
    if (w->stored == ENG_BOOL)
        return bits != 0;
    memcpy(&real, &bits, sizeof(real));
    return (double)real;
}

int eng_tfj_floats(struct eng_tfj *f, const struct eng_tfj_weight *w, float **ret)
{
    uint8_t bytes[CHUNK * 4];
    size_t unit = unit_of(w);
    float *out = eng_graph_alloc_constant(f->g, w->elements + 1, sizeof(*out));
    if (!out)
        return eng_tfj_no_memory(f);
    for (size_t i = 0; i < w->elements; i += CHUNK) {
        size_t n = w->elements - i < CHUNK ? w->elements - i : CHUNK;
        copy(&f->weights->groups[w->group], w->at + i * unit, n * unit, bytes);
        for (size_t k = 0; k < n; k++)
            out[i + k] = (float)value(w, word(bytes + k * unit, unit));
    }
    *ret = out;
    return 0;
}

int eng_tfj_integers(struct eng_tfj *f, const struct eng_tfj_weight *w, int64_t *ret, int max)
{
    uint8_t bytes[CHUNK * 4];
    size_t unit = unit_of(w);
    if (w->elements > (size_t)max || max > CHUNK)
        return eng_tfj_fail(f, ENG_E_UNSUPPORTED, "its argument %.80s is too long", w->name);
    copy(&f->weights->groups[w->group], w->at, w->elements * unit, bytes);
    for (size_t i = 0; i < w->elements; i++) {
        double v = round(value(w, word(bytes + i * unit, unit)));
        if (!(fabs(v) <= INT32_MAX))
            return eng_tfj_fail(f, ENG_E_DATA, "its argument %.80s is no integer", w->name);
        ret[i] = (int64_t)v;
    }
    return (int)w->elements;
}
