/* Input: two bytes of header length, then a REST body. Every span lies in the body or in the
 * strings of the request; accessors stay within the shape. */
#include "protocol/base64.h"
#include "protocol/infer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ELEMENTS_MAX = 4096 };

static void require(int condition)
{
    if (!condition)
        abort();
}

static void read_items(const struct proto_input *in)
{
    struct proto_item items[16];
    char err[128];
    int n = proto_input_items(in, items, 16, err, sizeof(err));
    for (int i = 0; i < n; i++) {
        require(items[i].data.s >= in->data.s);
        require(items[i].data.s + items[i].data.len <= in->data.s + in->data.len);
    }
}

static void read_input(const struct proto_input *in)
{
    char err[128] = "";
    require(in->elements <= PROTO_ELEMENTS_MAX && in->n_dims <= PROTO_DIMS_MAX);
    if (in->elements > ELEMENTS_MAX)
        return;
    float *floats = malloc(in->elements * sizeof(*floats) + 1);
    uint8_t *bytes = malloc(in->elements + 1);
    require(floats && bytes);
    require(proto_input_floats(in, floats, err, sizeof(err)) == 0 || err[0]);
    require(proto_input_bytes(in, bytes, err, sizeof(err)) == 0 || err[0]);
    read_items(in);
    free(floats);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proto_infer_request r;
    char err[256] = "";
    if (size < 2)
        return 0;
    long header = (long)data[0] | (long)data[1] << 8;
    header = header == 0xffff ? -1 : header;
    int code = proto_infer_parse_json(&r, data + 2, size - 2, header, err, sizeof(err));
    require(code == 0 || err[0]);
    if (code < 0)
        return 0;
    for (int i = 0; i < r.n_inputs; i++)
        read_input(&r.inputs[i]);
    struct proto_infer_reply reply = {"m", "1", r.id, NULL, 0};
    size_t len, header_len;
    char *text = proto_infer_reply_json(&reply, &len, &header_len);
    require(text && strlen(text) == len);
    free(text);
    proto_infer_finish(&r);
    return 0;
}
