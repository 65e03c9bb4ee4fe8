/* The taught model's folder: the backbone's files, a head (a TF.js layers model: flatten, dense,
 * softmax), a manifest that names both, labels. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/base/file.h"
#include "engine/importers/manifest.h"
#include "engine/optimize/folder.h"
#include "engine/teach.h"

/* A name that our own files do not take. */
static const char *new_name(const char *name)
{
    return strcmp(name, "model.json") == 0 ? "network.json" : name;
}

static int copy_files(const struct eng_manifest *m, const char *from, const char *to, char *err,
                      size_t errlen)
{
    char path[4096];
    for (int i = 0; i < m->n_files; i++) {
        struct eng_file file = {0};
        if (strchr(m->files[i], '/'))
            return eng_fail(err, errlen, ENG_E_UNSUPPORTED, "%.120s lies in a folder of its own",
                            m->files[i]);
        if (snprintf(path, sizeof(path), "%s/%s", from, m->files[i]) >= (int)sizeof(path))
            return eng_fail(err, errlen, -ENAMETOOLONG, "%.80s: the path is too long", from);
        int rc = eng_file_read(&file, path, (size_t)1 << 30, err, errlen);
        if (rc < 0)
            return rc;
        rc = eng_folder_write(to, new_name(m->files[i]), file.bytes, file.len, err, errlen);
        eng_file_finish(&file);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int write_json(const char *to, const char *name, json_t *root_take, char *err, size_t errlen)
{
    char *text = root_take ? json_dumps(root_take, JSON_INDENT(1)) : NULL;
    json_decref(root_take);
    if (!text)
        return eng_fail(err, errlen, -ENOMEM, "not enough memory for %.40s", name);
    int rc = eng_folder_write(to, name, text, strlen(text), err, errlen);
    free(text);
    return rc;
}

/* The kernel is [d][classes] there. */
static int write_weights(const char *to, const struct eng_teach_head *h, char *err, size_t errlen)
{
    size_t d = (size_t)h->d, k = (size_t)h->classes, n = d * k + k;
    float *all = malloc(n * sizeof(*all));
    if (!all)
        return eng_fail(err, errlen, -ENOMEM, "not enough memory for the head");
    for (size_t c = 0; c < d; c++)
        for (size_t o = 0; o < k; o++)
            all[c * k + o] = h->w[o * d + c];
    memcpy(all + d * k, h->b, k * sizeof(*all));
    int rc = eng_folder_write(to, "head.bin", all, n * sizeof(*all), err, errlen);
    free(all);
    return rc;
}

static int write_head(const char *to, const struct eng_teach_head *h, char *err, size_t errlen)
{
    json_t *root = json_pack(
        "{s:s,s:{s:{s:s,s:{s:s,s:[{s:s,s:{s:s,s:[n,i,i,i]}},{s:s,s:{s:s,s:i,s:b,s:s}}]}}},"
        "s:[{s:[s],s:[{s:s,s:[i,i],s:s},{s:s,s:[i],s:s}]}]}",
        "format", "layers-model", "modelTopology", "model_config", "class_name", "Sequential",
        "config", "name", "head", "layers", "class_name", "Flatten", "config", "name", "embedding",
        "batch_input_shape", 1, 1, h->d, "class_name", "Dense", "config", "name", "classes",
        "units", h->classes, "use_bias", 1, "activation", "softmax", "weightsManifest", "paths",
        "head.bin", "weights", "name", "classes/kernel", "shape", h->d, h->classes, "dtype",
        "float32", "name", "classes/bias", "shape", h->classes, "dtype", "float32");
    int rc = write_json(to, "head.json", root, err, errlen);
    return rc < 0 ? rc : write_weights(to, h, err, errlen);
}

static int write_labels(const char *to, const struct eng_teach_head *h, char *err, size_t errlen)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    for (int k = 0; f && k < h->classes; k++)
        fprintf(f, "%s\n", h->labels[k]);
    int rc = f && fclose(f) == 0 ? eng_folder_write(to, "labels.txt", text, len, err, errlen)
                                 : eng_fail(err, errlen, -ENOMEM, "not enough memory for labels");
    free(text);
    return rc;
}

static json_t *file_list(const struct eng_manifest *m)
{
    json_t *list = json_array();
    for (int i = 0; list && i < m->n_files; i++)
        json_array_append_new(list, json_string(new_name(m->files[i])));
    return list;
}

static int save(const struct eng_manifest *m, const struct eng_model *model, const char *from,
                const char *to, const struct eng_teach_head *h, char *err, size_t errlen)
{
    const struct eng_model_info *info = eng_model_info(model);
    int rc = copy_files(m, from, to, err, errlen);
    if (rc >= 0)
        rc = write_head(to, h, err, errlen);
    if (rc >= 0)
        rc = write_labels(to, h, err, errlen);
    if (rc < 0)
        return rc;
    json_t *root = json_pack("{s:s,s:o,s:[s,s],s:s,s:i,s:s,s:s,s:o}", "format", info->format,
                             "files", file_list(m), "head", "head.json", "head.bin", "labels",
                             "labels.txt", "class_offset", 0, "licence", info->licence, "source",
                             h->source, "input", eng_folder_input(&info->preprocess));
    if (root && m->task == ENG_TASK_EMBEDDING)
        json_object_set_new(root, "task", json_string(eng_task_name(m->task)));
    if (root && m->output)
        json_object_set_new(root, "output", json_string(m->output));
    if (root && m->shows_all)
        json_object_set_new(root, "shown_outputs", json_string("all"));
    return write_json(to, "model.json", root, err, errlen);
}

int eng_teach_save(const char *from, const char *to, const struct eng_teach_head *head, char *err,
                   size_t errlen)
{
    struct eng_manifest m = {0};
    struct eng_model *model = NULL;
    int rc = eng_manifest_load(&m, from, err, errlen);
    if (rc < 0)
        return rc;
    rc = eng_model_load(&model, from, NULL, err, errlen);
    if (rc == 0)
        rc = save(&m, model, from, to, head, err, errlen);
    eng_model_unref(model);
    eng_manifest_finish(&m);
    return rc;
}
