/* See compress.h. The manifest is the old one but for the names of the files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/compress.h"
#include "engine/importers/compressed_parts.h"
#include "engine/importers/manifest.h"
#include "engine/inside.h"
#include "engine/optimize/codebook.h"
#include "engine/optimize/compressed_write.h"
#include "engine/optimize/folder.h"
#include "engine/optimize/quantize_parts.h"
#include "engine/plan/plan.h"

enum { MAX_FILE = 1 << 30 };

struct job {
    const char *from, *to;
    struct eng_compress_sizes sizes;
    char *err;
    size_t errlen;
};

static int no_memory(const struct job *j)
{
    return eng_fail(j->err, j->errlen, -ENOMEM, "not enough memory to compress the model");
}

/* "network.json.press": a name of its own beside the manifest. */
static int new_name(const struct job *j, const char *name, char *ret, size_t len)
{
    if (strchr(name, '/'))
        return eng_fail(j->err, j->errlen, ENG_E_UNSUPPORTED, "%.120s lies in a folder of its own",
                        name);
    const char *base = strcmp(name, "model.json") == 0 ? "network.json" : name;
    if (snprintf(ret, len, "%s" ENG_COMPRESSED_SUFFIX, base) >= (int)len)
        return eng_fail(j->err, j->errlen, -ENAMETOOLONG, "%.80s: the name is too long", name);
    return 0;
}

static int read_from(const struct job *j, const char *name, struct eng_file *ret)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/%s", j->from, name) >= (int)sizeof(path))
        return eng_fail(j->err, j->errlen, -ENAMETOOLONG, "%.80s: the path is too long", j->from);
    return eng_file_read(ret, path, MAX_FILE, j->err, j->errlen);
}

static int add_size(struct job *j, const char *name)
{
    struct eng_file file;
    int rc = read_from(j, name, &file);
    if (rc < 0)
        return rc;
    j->sizes.before += file.len;
    eng_file_finish(&file);
    return 0;
}

/* A model file, compressed under its new name. */
static int compress_file(struct job *j, const char *name)
{
    char made[300];
    struct eng_file file;
    void *packed = NULL;
    size_t len = 0;
    int rc = new_name(j, name, made, sizeof(made));
    if (rc >= 0)
        rc = read_from(j, name, &file);
    if (rc < 0)
        return rc;
    if (eng_compressed_is(file.bytes, file.len))
        rc = eng_fail(j->err, j->errlen, -EINVAL, "%.200s is compressed already", name);
    else if (eng_compressed_pack(&packed, &len, file.bytes, file.len) < 0)
        rc = no_memory(j);
    else
        rc = eng_folder_write(j->to, made, packed, len, j->err, j->errlen);
    j->sizes.before += file.len;
    j->sizes.after += len;
    free(packed);
    eng_file_finish(&file);
    return rc;
}

/* Labels, a golden picture: as they are. `optional`: it need not be there. */
static int copy_file(const struct job *j, const char *name, int optional)
{
    struct eng_file file;
    if (strchr(name, '/'))
        return eng_fail(j->err, j->errlen, ENG_E_UNSUPPORTED, "%.120s lies in a folder of its own",
                        name);
    int rc = read_from(j, name, &file);
    if (rc == -ENOENT && optional)
        return 0;
    if (rc < 0)
        return rc;
    rc = eng_folder_write(j->to, name, file.bytes, file.len, j->err, j->errlen);
    eng_file_finish(&file);
    return rc;
}

static int compress_list(struct job *j, char *const *names, int n, json_t **ret)
{
    char made[300];
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        int rc = compress_file(j, names[i]);
        if (rc == 0)
            rc = new_name(j, names[i], made, sizeof(made));
        if (rc < 0) {
            json_decref(list);
            return rc;
        }
        json_array_append_new(list, json_string(made));
    }
    *ret = list;
    return list ? 0 : no_memory(j);
}

/* The old manifest as JSON, to be changed; an object of nothing where it stood for itself. */
static json_t *old_manifest(const struct job *j)
{
    char path[4096];
    snprintf(path, sizeof(path), "%.4000s/model.json", j->from);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    if (root && !json_object_get(root, "modelTopology"))
        return root;
    json_decref(root);
    return json_object();
}

static int write_manifest(const struct job *j, const struct eng_manifest *m, json_t *files_take,
                          json_t *head_take)
{
    json_t *root = old_manifest(j);
    int bad = json_object_set_new(root, "files", files_take);
    if (head_take)
        bad |= json_object_set_new(root, "head", head_take);
    if (m->format)
        bad |= json_object_set_new(root, "format", json_string(m->format));
    char *text = bad ? NULL : json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(root);
    if (!text)
        return no_memory(j);
    int rc = eng_folder_write(j->to, "model.json", text, strlen(text), j->err, j->errlen);
    free(text);
    return rc;
}

static int compress_all(struct job *j, const struct eng_manifest *m)
{
    json_t *files = NULL, *head = NULL;
    int rc = compress_list(j, m->files, m->n_files, &files);
    if (rc == 0 && m->n_head > 0)
        rc = compress_list(j, m->head, m->n_head, &head);
    if (rc == 0)
        rc = copy_file(j, m->labels ? m->labels : "labels.txt", !m->labels);
    if (rc == 0 && m->golden.n > 0)
        rc = copy_file(j, m->golden.image, 0);
    if (rc == 0)
        return write_manifest(j, m, files, head);
    json_decref(files);
    json_decref(head);
    return rc;
}

/* ---- a codebook first ---- */

static int write_network(struct job *j, const struct eng_graph *g)
{
    void *bytes, *packed = NULL;
    size_t len, n;
    int rc = eng_onnx_write(&bytes, &len, g, j->err, j->errlen);
    if (rc < 0)
        return rc;
    rc = eng_compressed_pack(&packed, &n, bytes, len) < 0
             ? no_memory(j)
             : eng_folder_write(j->to, "model.onnx" ENG_COMPRESSED_SUFFIX, packed, n, j->err,
                                j->errlen);
    free(bytes);
    free(packed);
    j->sizes.after = n;
    return rc;
}

int eng_compress_network(struct eng_compress_sizes *ret, const char *from, const char *to,
                         const struct eng_model *like, const struct eng_graph *g,
                         const char *source, char *err, size_t errlen)
{
    struct eng_manifest mf;
    struct job j = {.from = from, .to = to, .err = err, .errlen = errlen};
    const struct eng_model_info *info = eng_model_info(like);
    struct eng_folder_manifest f = {.format = "onnx",
                                    .file = "model.onnx" ENG_COMPRESSED_SUFFIX,
                                    .source = source,
                                    .class_offset = info->class_offset,
                                    .preprocess = &info->preprocess,
                                    .like = info};
    int rc = eng_manifest_load(&mf, from, err, errlen);
    if (rc < 0)
        return rc;
    rc = write_network(&j, g);
    for (int i = 0; i < mf.n_files + mf.n_head; i++) {
        if (rc < 0)
            break;
        rc = add_size(&j, i < mf.n_files ? mf.files[i] : mf.head[i - mf.n_files]);
    }
    if (rc == 0)
        rc = eng_folder_manifest(to, &f, err, errlen);
    if (rc == 0)
        rc = eng_folder_labels(to, like, err, errlen);
    eng_manifest_finish(&mf);
    if (rc == 0)
        *ret = j.sizes;
    return rc;
}

static int few_values(struct job *j, const struct eng_model *m, int codebook)
{
    struct eng_graph *g;
    char source[400];
    if (eng_graph_clone(&g, eng_plan_graph(eng_model_plan(m))) < 0)
        return no_memory(j);
    int rc = eng_codebook_graph(g, codebook);
    if (rc < 0)
        eng_fail(j->err, j->errlen, rc, "no room for the codebooks of the model");
    if (rc == 0)
        rc = eng_graph_check(g, j->err, j->errlen);
    snprintf(source, sizeof(source), "%.200s, with %d values a layer by mobilenetd",
             eng_model_info(m)->name, codebook);
    if (rc == 0)
        rc = eng_compress_network(&j->sizes, j->from, j->to, m, g, source, j->err, j->errlen);
    eng_graph_destroy(g);
    return rc;
}

static int compress_codebook(struct job *j, int codebook)
{
    struct eng_model *m;
    struct eng_model_options o = {.reference = 1};
    int rc = eng_model_load(&m, j->from, &o, j->err, j->errlen);
    if (rc < 0)
        return rc;
    rc = strcmp(eng_model_info(m)->precision, "fp32") != 0
             ? eng_fail(j->err, j->errlen, -EINVAL,
                        "the model is %s: only a float model gets a codebook",
                        eng_model_info(m)->precision)
             : few_values(j, m, codebook);
    eng_model_unref(m);
    return rc;
}

int eng_compress_folder(struct eng_compress_sizes *ret, const char *from, const char *to,
                        int codebook, char *err, size_t errlen)
{
    struct eng_manifest m;
    struct job j = {.from = from, .to = to, .err = err, .errlen = errlen};
    int rc = eng_manifest_load(&m, from, err, errlen);
    if (rc < 0)
        return rc;
    rc = codebook ? compress_codebook(&j, codebook) : compress_all(&j, &m);
    eng_manifest_finish(&m);
    if (rc == 0)
        *ret = j.sizes;
    return rc;
}
