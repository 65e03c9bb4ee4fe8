/* See folder.h. */
#include "engine/optimize/folder.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"

int eng_folder_write(const char *dir, const char *name, const void *bytes, size_t len, char *err,
                     size_t errlen)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return eng_fail(err, errlen, -ENAMETOOLONG, "%.80s: the path is too long", dir);
    FILE *f = fopen(path, "wbe");
    int rc = f ? 0 : -errno;
    if (f && fwrite(bytes, 1, len, f) != len)
        rc = errno ? -errno : -EIO;
    if (f && fclose(f) != 0 && rc == 0)
        rc = -errno;
    return rc < 0 ? eng_fail(err, errlen, rc, "cannot write %.200s: %s", path, strerror(-rc)) : 0;
}

static json_t *three(const float v[3])
{
    return json_pack("[f,f,f]", (double)v[0], (double)v[1], (double)v[2]);
}

json_t *eng_folder_input(const struct eng_preprocess *p)
{
    static const char *const resizes[] = {"short_side", "squash", "central_crop", "letterbox"};
    static const char *const filters[] = {"bilinear", "bicubic", "nearest", "area", "tf_bilinear"};
    return json_pack("{s:i,s:i,s:s,s:s,s:s,s:o,s:o}", "height", p->height, "width", p->width,
                     "resize", resizes[p->resize], "filter", filters[p->filter], "channels",
                     p->bgr ? "bgr" : "rgb", "mean", three(p->mean), "scale", three(p->scale));
}

int eng_folder_manifest(const char *dir, const struct eng_folder_manifest *m, char *err,
                        size_t errlen)
{
    const struct {
        const char *key, *value;
    } strings[] = {{"family", m->like->family},
                   {"variant", m->like->variant},
                   {"licence", m->like->licence},
                   {"source", m->source}};
    json_t *root = json_pack("{s:s,s:[s],s:i}", "format", m->format, "files", m->file,
                             "class_offset", m->class_offset);
    for (size_t i = 0; root && i < sizeof(strings) / sizeof(*strings); i++)
        if (strings[i].value[0])
            json_object_set_new(root, strings[i].key, json_string(strings[i].value));
    if (root && m->like->task != ENG_TASK_CLASSIFICATION)
        json_object_set_new(root, "task", json_string(eng_task_name(m->like->task)));
    if (root && m->like->activation != m->like->end)
        json_object_set_new(root, "activation",
                            json_string(eng_activation_name(m->like->activation)));
    if (root && m->like->shows_all)
        json_object_set_new(root, "shown_outputs", json_string("all"));
    int rc = root ? json_object_set_new(root, "input", eng_folder_input(m->preprocess)) : -1;
    char *text = rc == 0 ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(root);
    if (!text)
        return eng_fail(err, errlen, -ENOMEM, "not enough memory for the manifest");
    rc = eng_folder_write(dir, "model.json", text, strlen(text), err, errlen);
    free(text);
    return rc;
}

int eng_folder_labels(const char *dir, const struct eng_model *m, char *err, size_t errlen)
{
    const struct eng_model_info *info = eng_model_info(m);
    int n = info->outputs - info->class_offset, any = 0;
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    for (int c = 0; f && c < n; c++) {
        any |= eng_model_label(m, c)[0] != '\0';
        fprintf(f, "%s\n", eng_model_label(m, c));
    }
    int rc =
        f && fclose(f) == 0 ? 0 : eng_fail(err, errlen, -ENOMEM, "not enough memory for labels");
    if (rc == 0 && any)
        rc = eng_folder_write(dir, "labels.txt", text, len, err, errlen);
    free(text);
    return rc;
}
