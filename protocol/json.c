/* Documents of whole numbers and texts, on top of jansson. */
#include "protocol/json.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/utf8.h"

json_t *proto_json_object(struct proto_json *w)
{
    json_t *ret = json_object();
    w->failed |= !ret;
    return ret;
}

json_t *proto_json_array(struct proto_json *w)
{
    json_t *ret = json_array();
    w->failed |= !ret;
    return ret;
}

void proto_json_add(struct proto_json *w, json_t *to, const char *key, json_t *value_take)
{
    int r = key ? json_object_set_new_nocheck(to, key, value_take)
                : json_array_append_new(to, value_take);
    w->failed |= r < 0;
}

void proto_json_text(struct proto_json *w, json_t *to, const char *key, const char *text)
{
    if (!text) {
        proto_json_add(w, to, key, json_null());
        return;
    }
    size_t len = strlen(text);
    char *repaired = proto_utf8_is_valid(text, len) ? NULL : proto_utf8_repair(text, len);
    proto_json_add(w, to, key, json_string(repaired ? repaired : text));
    free(repaired);
}

void proto_json_int(struct proto_json *w, json_t *to, const char *key, uint64_t value)
{
    proto_json_add(w, to, key, json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

double proto_json_round_ms(uint64_t ns)
{
    return (double)(ns / 1000 + (ns % 1000 >= 500)) / 1000.0;
}

char *proto_json_dump(struct proto_json *w, json_t *root_take, size_t *ret_len)
{
    size_t flags = JSON_COMPACT;
    size_t len = w->failed ? 0 : json_dumpb(root_take, NULL, 0, flags);
    char *ret = len ? malloc(len + 2) : NULL;
    if (ret && json_dumpb(root_take, ret, len, flags) != len) {
        free(ret);
        ret = NULL;
    }
    json_decref(root_take);
    if (!ret)
        return NULL;
    ret[len] = '\n';
    ret[len + 1] = 0;
    if (ret_len)
        *ret_len = len + 1;
    return ret;
}
