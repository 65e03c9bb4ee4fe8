/* The files of a version folder -> one graph: read, imported, joined, cut and fitted as the
 * manifest says. */
#include <stdio.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/base/sha256.h"
#include "engine/graph/outputs.h"
#include "engine/importers/compressed.h"
#include "engine/importers/import.h"
#include "engine/loading.h"

/* Its tensors have sizes, and others are fitted to. */
static int import_tflite(struct eng_graph **ret, const void *bytes, size_t len,
                         struct eng_open_size open, char *err, size_t errlen)
{
    (void)open;
    return eng_import_tflite(ret, bytes, len, err, errlen);
}

static const struct importer {
    const char *format;
    int (*import)(struct eng_graph **ret, const void *bytes, size_t len, struct eng_open_size open,
                  char *err, size_t errlen);
} importers[] = {
    {"tflite", import_tflite},
    {"onnx", eng_import_onnx},
};

/* Of the part that takes the picture; of another, the manifest says nothing. */
static struct eng_open_size open_size(const struct eng_loading *l)
{
    const struct eng_manifest *mf = &l->manifest;
    return l->m->g ? (struct eng_open_size){0} : (struct eng_open_size){mf->height, mf->width};
}

static int import_part(struct eng_loading *l, const struct eng_file *file, struct eng_graph **ret)
{
    const char *want = l->manifest.format;
    for (size_t i = 0; i < sizeof(importers) / sizeof(*importers); i++) {
        if (want && strcmp(want, importers[i].format) != 0)
            continue;
        int rc = importers[i].import(ret, file->bytes, file->len, open_size(l), l->err, l->errlen);
        if (rc == 0)
            l->format = importers[i].format;
        if (rc != ENG_E_FORMAT || want)
            return rc;
    }
    if (want)
        return eng_fail(l->err, l->errlen, ENG_E_UNSUPPORTED,
                        "models of format \"%.40s\" are not supported", want);
    return eng_fail(l->err, l->errlen, ENG_E_FORMAT, "not a model file of a known format");
}

static size_t max_bytes(const struct eng_loading *l)
{
    return l->opts.max_file_bytes ? l->opts.max_file_bytes : (size_t)1 << 30;
}

static int read_file(struct eng_loading *l, int index, struct eng_sha256 *sum)
{
    struct eng_file *f = &l->m->files[index];
    int rc =
        eng_compressed_read(f, l->dir, l->manifest.files[index], max_bytes(l), l->err, l->errlen);
    if (rc < 0)
        return rc;
    l->m->n_files = index + 1;
    eng_sha256_add(sum, f->bytes, f->len);
    return 0;
}

/* By the manifest; else no other kind of model file begins like JSON. */
static int is_tfjs(const struct eng_loading *l)
{
    const char *want = l->manifest.format, *bytes = l->m->files[0].bytes;
    return want ? strcmp(want, "tfjs") == 0 : bytes[0] == '{';
}

/* All files are one model. */
static int import_tfjs(struct eng_loading *l)
{
    struct eng_part files[ENG_MAX_PARTS];
    struct eng_model *m = l->m;
    for (int i = 0; i < m->n_files; i++)
        files[i] = (struct eng_part){l->manifest.files[i], m->files[i].bytes, m->files[i].len};
    int rc = eng_import_tfjs(&m->g, files, m->n_files, open_size(l), l->err, l->errlen);
    l->format = "tfjs";
    return rc < 0 ? eng_fail_in(l->err, l->errlen, rc, files[0].name) : 0;
}

static int import_files(struct eng_loading *l)
{
    struct eng_model *m = l->m;
    if (is_tfjs(l))
        return import_tfjs(l);
    for (int i = 0; i < m->n_files; i++) {
        struct eng_graph *part;
        int rc = import_part(l, &m->files[i], &part);
        if (rc == 0 && m->g)
            rc = eng_graph_join(m->g, part, l->err, l->errlen);
        else if (rc == 0)
            m->g = part;
        if (rc < 0)
            return eng_fail_in(l->err, l->errlen, rc, l->manifest.files[i]);
    }
    return 0;
}

static int read_head(struct eng_loading *l, struct eng_file files[2], struct eng_sha256 *sum)
{
    for (int i = 0; i < 2; i++) {
        int rc = eng_compressed_read(&files[i], l->dir, l->manifest.head[i], max_bytes(l), l->err,
                                     l->errlen);
        if (rc < 0)
            return rc;
        eng_sha256_add(sum, files[i].bytes, files[i].len);
    }
    return 0;
}

/* What stands behind the embedding makes room for it. */
static int put_head(struct eng_loading *l, const struct eng_file files[2])
{
    struct eng_part parts[2];
    struct eng_graph *head;
    for (int i = 0; i < 2; i++)
        parts[i] = (struct eng_part){l->manifest.head[i], files[i].bytes, files[i].len};
    int rc = eng_import_tfjs(&head, parts, 2, open_size(l), l->err, l->errlen);
    if (rc < 0)
        return rc;
    rc = eng_graph_cut(l->m->g, l->err, l->errlen);
    if (rc < 0) {
        eng_graph_destroy(head);
        return rc;
    }
    return eng_graph_join(l->m->g, head, l->err, l->errlen);
}

/* A head that was taught. Its weights are copied at import, so its files need not stay. */
static int import_head(struct eng_loading *l, struct eng_sha256 *sum)
{
    struct eng_file files[2] = {{0}};
    int rc = read_head(l, files, sum);
    if (rc == 0)
        rc = put_head(l, files);
    for (int i = 0; i < 2; i++)
        eng_file_finish(&files[i]);
    return rc < 0 ? eng_fail_in(l->err, l->errlen, rc, "the head") : 0;
}

/* Of the files, so before a head takes the place of what is behind the embedding. */
static int set_task(struct eng_loading *l)
{
    struct eng_graph *g = l->m->g;
    int rc = 0;
    if (l->manifest.output)
        rc = eng_graph_choose_output(g, l->manifest.output, l->err, l->errlen);
    if (rc < 0)
        return rc;
    int embeds = l->manifest.task == ENG_TASK_EMBEDDING;
    if (embeds && g->is_open)
        return eng_fail(l->err, l->errlen, ENG_E_DATA,
                        "model.json says that it makes an embedding, and not which \"output\" of "
                        "%d that is",
                        g->n_outputs);
    if (!embeds && !l->manifest.output)
        return 0;
    g->embeds = embeds;
    return eng_graph_check(g, l->err, l->errlen);
}

/* The manifest may ask for another resolution than the file was made with. */
static int fit_size(struct eng_loading *l)
{
    const struct eng_manifest *mf = &l->manifest;
    struct eng_graph *g = l->m->g;
    const struct eng_tensor *in = &g->tensors[g->input];
    int height = mf->height ? mf->height : in->dim[1], width = mf->width ? mf->width : in->dim[2];
    if (in->rank != 4 || (height == in->dim[1] && width == in->dim[2]))
        return 0;
    char what[64];
    snprintf(what, sizeof(what), "an input of %dx%d", height, width);
    int rc = eng_graph_resize(g, height, width, l->err, l->errlen);
    return rc < 0 ? eng_fail_in(l->err, l->errlen, rc, what) : 0;
}

int eng_parts_load(struct eng_loading *l, struct eng_sha256 *sum)
{
    int rc = 0;
    for (int i = 0; i < l->manifest.n_files; i++) {
        rc = read_file(l, i, sum);
        if (rc < 0)
            break;
    }
    if (rc == 0)
        rc = import_files(l);
    if (rc == 0)
        rc = set_task(l);
    if (rc == 0 && l->manifest.n_head > 0)
        rc = import_head(l, sum);
    return rc < 0 ? rc : fit_size(l);
}
