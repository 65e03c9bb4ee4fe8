/* TensorFlow.js: model.json and the shards beside it.
 *
 * Two kinds share the weight manifest: layers models (a Keras configuration, tfjs_layers.c)
 * and graph models (a TensorFlow GraphDef as JSON, tfjs_graph.c). */
#include "engine/importers/tfjs.h"

#include <errno.h>
#include <string.h>

#include "engine/base/fail.h"

static int read_root(struct eng_tfj *f, const json_t *root, const struct eng_part *files,
                     int n_files)
{
    const json_t *topology = json_object_get(root, "modelTopology");
    const json_t *config = json_object_get(topology, "model_config");
    if (!json_is_object(topology))
        return eng_tfj_fail(f, ENG_E_FORMAT, "not a TensorFlow.js model (no modelTopology)");
    int rc =
        eng_tfj_weights_read(f, json_object_get(root, "weightsManifest"), files + 1, n_files - 1);
    if (rc < 0)
        return rc;
    if (json_is_array(json_object_get(topology, "node"))) {
        const json_t *signature = json_object_get(root, "signature");
        rc = eng_tfj_import_graph(f, topology,
                                  signature ? signature : json_object_get(topology, "signature"));
    } else {
        /* Files written by TF.js itself have the configuration without a wrapper. */
        rc = eng_tfj_import_layers(f, json_is_object(config) ? config : topology);
        f->g->output = rc;
    }
    if (rc < 0)
        return rc;
    return eng_graph_check(f->g, f->err, f->errlen);
}

int eng_import_tfjs(struct eng_graph **ret, const struct eng_part *files, int n_files,
                    struct eng_open_size open, char *err, size_t errlen)
{
    struct eng_tfj f = {.open_size = open, .err = err, .errlen = errlen};
    const char *text = files[0].bytes;
    json_error_t why;
    size_t at = 0;
    while (at < files[0].len && strchr(" \t\r\n", text[at]) && text[at])
        at++;
    if (at == files[0].len || text[at] != '{')
        return eng_fail(err, errlen, ENG_E_FORMAT, "not a TensorFlow.js model.json");
    json_t *root = json_loadb(text, files[0].len, JSON_REJECT_DUPLICATES, &why);
    if (!root && (!why.text[0] || json_error_code(&why) == json_error_out_of_memory))
        return eng_tfj_no_memory(&f);
    if (!root)
        return eng_fail(err, errlen, ENG_E_DATA, "line %d: %s", why.line, why.text);
    int rc =
        eng_graph_create(&f.g) < 0 ? eng_tfj_no_memory(&f) : read_root(&f, root, files, n_files);
    eng_tfj_weights_destroy(f.weights);
    json_decref(root);
    if (rc < 0) {
        eng_graph_destroy(f.g);
        return rc;
    }
    *ret = f.g;
    return 0;
}
