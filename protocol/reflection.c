/* Reflection out of the descriptor set that the build embeds: the very files that the code was made
 * from. They are walked in place for each question, as protobuf's own descriptors are laid out
 * (descriptor.proto); v1 and v1alpha differ in nothing but their package. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/rpc.h"
#include "protocol/unpack.h"
#include "protocol/wire.h"
#include "reflection.pb-c.h"

extern const unsigned char proto_descriptors[];
extern const size_t proto_descriptors_len;

/* Fields of FileDescriptorSet, FileDescriptorProto, and of what it holds: name is 1 everywhere. */
enum {
    SET_FILE = 1,
    NAME = 1,
    FILE_PACKAGE = 2,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    SERVICE_METHOD = 2,
};

enum { FILES_MAX = 16 };

static struct proto_span text_of(struct proto_span message, uint32_t number)
{
    struct proto_wire w;
    struct proto_field f;
    struct proto_span ret = {"", 0};
    proto_wire_init(&w, message);
    while (proto_wire_next(&w, &f) > 0)
        if (f.number == number && f.type == PROTO_WIRE_BYTES)
            ret = f.bytes;
    return ret;
}

static int file_at(int index, struct proto_span *ret)
{
    struct proto_wire w;
    struct proto_field f;
    proto_wire_init(&w,
                    (struct proto_span){(const char *)proto_descriptors, proto_descriptors_len});
    while (proto_wire_next(&w, &f) > 0)
        if (f.number == SET_FILE && index-- == 0) {
            *ret = f.bytes;
            return 1;
        }
    return 0;
}

/* Takes `name` and what follows it off the front of a dotted path: 2 = that was all, 1 = more is
 * left, 0 = it does not begin so. */
static int step(const char **path, struct proto_span name)
{
    if (strncmp(*path, name.s, name.len) != 0)
        return 0;
    const char *rest = *path + name.len;
    if (*rest != 0 && *rest != '.')
        return 0;
    *path = *rest ? rest + 1 : rest;
    return *rest ? 1 : 2;
}

/* Does a message, enum or service hold the rest of a path? */
static int holds(struct proto_span of, uint32_t kind, const char *path)
{
    struct proto_wire w;
    struct proto_field f;
    int whole = step(&path, text_of(of, NAME));
    if (whole != 1)
        return whole == 2;
    if (kind == FILE_ENUM)
        return 0;
    proto_wire_init(&w, of);
    while (proto_wire_next(&w, &f) > 0) {
        if (f.type != PROTO_WIRE_BYTES)
            continue;
        const char *rest = path;
        if (f.number == MESSAGE_FIELD && step(&rest, text_of(f.bytes, NAME)) == 2)
            return 1; /* SERVICE_METHOD has the same number */
        if (kind == FILE_MESSAGE && f.number == MESSAGE_NESTED &&
            holds(f.bytes, FILE_MESSAGE, path))
            return 1;
        if (kind == FILE_MESSAGE && f.number == MESSAGE_ENUM && holds(f.bytes, FILE_ENUM, path))
            return 1;
    }
    return 0;
}

static int file_holds(struct proto_span file, const char *symbol)
{
    struct proto_wire w;
    struct proto_field f;
    if (step(&symbol, text_of(file, FILE_PACKAGE)) != 1)
        return 0;
    proto_wire_init(&w, file);
    while (proto_wire_next(&w, &f) > 0)
        if ((f.number == FILE_MESSAGE || f.number == FILE_ENUM || f.number == FILE_SERVICE) &&
            holds(f.bytes, f.number, symbol))
            return 1;
    return 0;
}

static int find_file(const char *name, const char *symbol, struct proto_span *ret)
{
    for (int i = 0; file_at(i, ret); i++)
        if (name ? proto_span_is(text_of(*ret, NAME), name) : file_holds(*ret, symbol))
            return 1;
    return 0;
}

int proto_reflection_service(int i, char *ret, size_t retlen)
{
    struct proto_span file;
    for (int k = 0; file_at(k, &file); k++) {
        struct proto_span package = text_of(file, FILE_PACKAGE);
        struct proto_wire w;
        struct proto_field f;
        proto_wire_init(&w, file);
        while (proto_wire_next(&w, &f) > 0) {
            if (f.number != FILE_SERVICE || i-- != 0)
                continue;
            struct proto_span name = text_of(f.bytes, NAME);
            snprintf(ret, retlen, "%.*s.%.*s", (int)package.len, package.s, (int)name.len, name.s);
            return 1;
        }
    }
    return 0;
}

/* ---- the answer ---- */

typedef Grpc__Reflection__V1__ServerReflectionRequest request_message;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_message;

struct answer {
    response_message m;
    Grpc__Reflection__V1__FileDescriptorResponse files;
    ProtobufCBinaryData file;
    Grpc__Reflection__V1__ListServiceResponse list;
    Grpc__Reflection__V1__ServiceResponse services[FILES_MAX], *pointers[FILES_MAX];
    char names[FILES_MAX][PROTO_RPC_NAME_MAX];
    Grpc__Reflection__V1__ErrorResponse error;
    char sentence[128];
};

static void answer_error(struct answer *a, enum proto_rpc_status code, const char *sentence)
{
    grpc__reflection__v1__error_response__init(&a->error);
    a->error.error_code = (int32_t)code;
    snprintf(a->sentence, sizeof(a->sentence), "%s", sentence);
    a->error.error_message = a->sentence;
    a->m.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    a->m.error_response = &a->error;
}

static void answer_file(struct answer *a, const char *name, const char *symbol)
{
    struct proto_span file;
    if (!find_file(name, symbol, &file)) {
        answer_error(a, PROTO_RPC_NOT_FOUND, name ? "there is no such file" : "no such symbol");
        return;
    }
    a->file = (ProtobufCBinaryData){file.len, (uint8_t *)(uintptr_t)file.s};
    grpc__reflection__v1__file_descriptor_response__init(&a->files);
    a->files.n_file_descriptor_proto = 1;
    a->files.file_descriptor_proto = &a->file;
    a->m.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    a->m.file_descriptor_response = &a->files;
}

static void answer_list(struct answer *a)
{
    int n = 0;
    while (n < FILES_MAX && proto_reflection_service(n, a->names[n], sizeof(a->names[n]))) {
        grpc__reflection__v1__service_response__init(&a->services[n]);
        a->services[n].name = a->names[n];
        a->pointers[n] = &a->services[n];
        n++;
    }
    grpc__reflection__v1__list_service_response__init(&a->list);
    a->list.n_service = (size_t)n;
    a->list.service = a->pointers;
    a->m.message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    a->m.list_services_response = &a->list;
}

static void answer(struct answer *a, request_message *q)
{
    grpc__reflection__v1__server_reflection_response__init(&a->m);
    a->m.valid_host = q->host;
    a->m.original_request = q;
    switch (q->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        answer_file(a, q->file_by_filename, NULL);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        answer_file(a, NULL, q->file_containing_symbol);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        answer_list(a);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST__NOT_SET:
        answer_error(a, PROTO_RPC_INVALID_ARGUMENT, "the request asks for nothing");
        break;
    default:
        answer_error(a, PROTO_RPC_NOT_FOUND, "proto3 has no extensions");
    }
}

int proto_reflection_reply(const void *data, size_t len, char **ret_take, size_t *ret_len)
{
    struct proto_unpacked u;
    struct answer a;
    int rc =
        proto_unpack(&u, &grpc__reflection__v1__server_reflection_request__descriptor, data, len);
    if (rc < 0)
        return rc;
    answer(&a, u.message);
    *ret_take = proto_pack(&a.m, ret_len);
    proto_unpack_finish(&u);
    return *ret_take ? 0 : -ENOMEM;
}
