/* /openapi.json: OpenAPI 3.1 written from the table of routes, so that the two cannot differ. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/table.h"
#include "server/handlers/admission.h"
#include "server/handlers/api.h"
#include "server/handlers/handlers.h"
#include "server/handlers/parameters.h"
#include "server/handlers/route.h"

/* What stands for the holes of a pattern. */
static const char *hole_name(const char *pattern, int hole)
{
    if (hole == 0)
        return "model";
    return strstr(pattern, "/labels/") ? "label" : "version";
}

static int put_path(FILE *f, const char *pattern)
{
    int holes = 0;
    putc('"', f);
    for (const char *p = pattern; *p; p++) {
        if (p[0] != '{') {
            putc(*p, f);
            continue;
        }
        fprintf(f, "{%s}", hole_name(pattern, holes++));
        p++;
    }
    putc('"', f);
    return holes;
}

/* Parameters of the query are whole numbers but for these. */
static int is_text(const char *name, size_t len)
{
    return srv_parameters_has("model version min_variant as", name, len);
}

static void put_parameters(FILE *f, const struct srv_route *r, int holes)
{
    const char *before = "";
    fputs("\"parameters\":[", f);
    for (int i = 0; i < holes; i++, before = ",")
        fprintf(f,
                "%s{\"name\":\"%s\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":"
                "\"string\"}}",
                before, hole_name(r->pattern, i));
    for (const char *p = r->query; p && *p; before = ",") {
        size_t len = strcspn(p, " ");
        fprintf(f, "%s{\"name\":\"%.*s\",\"in\":\"query\",\"schema\":{\"type\":\"%s\"}}", before,
                (int)len, p, is_text(p, len) ? "string" : "integer");
        p += len + (p[len] == ' ');
    }
    putc(']', f);
}

static int takes_pictures(const char *pattern)
{
    return strstr(pattern, "/classify") || strstr(pattern, "/embed") ||
           strstr(pattern, "/preprocess");
}

static void put_body(FILE *f, const char *pattern)
{
    static const char object[] = "\"application/json\":{\"schema\":{\"type\":\"object\"}}";
    fprintf(f, ",\"requestBody\":{\"content\":{%s", object);
    if (takes_pictures(pattern))
        fputs(",\"image/*\":{},\"multipart/form-data\":{\"schema\":{\"type\":\"object\"}},"
              "\"application/x-ndjson\":{}",
              f);
    else if (strstr(pattern, "/infer"))
        fputs(",\"application/octet-stream\":{}", f);
    fputs("}}", f);
}

static void put_operation(FILE *f, const struct srv_route *r, const char *method, int number)
{
    fprintf(f, "\"");
    for (const char *m = method; *m; m++)
        putc(tolower((unsigned char)*m), f);
    fprintf(f, "\":{\"operationId\":\"%s_%d\",\"summary\":", method, number);
    srv_print_json_string(f, r->summary);
    if (r->body && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        put_body(f, r->pattern);
    fputs(",\"responses\":{\"200\":{\"description\":\"The answer\"},"
          "\"default\":{\"$ref\":\"#/components/responses/Error\"}}}",
          f);
}

static void put_operations(FILE *f, const struct srv_route *r, int number)
{
    char methods[64];
    srv_methods_text(r->methods, methods, sizeof(methods));
    for (char *m = methods; *m;) {
        size_t len = strcspn(m, ",");
        int last = m[len] == 0;
        m[len] = 0;
        putc(',', f);
        put_operation(f, r, m, number);
        m += len + (last ? 0 : 2);
    }
}

static void put_document(FILE *f, const struct srv_route *routes)
{
    fputs("{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"mobilenetd\",\"version\":"
          "\"" MOBILENETD_VERSION "\"},\"paths\":{",
          f);
    for (int i = 0; i < SRV_ROUTES; i++) {
        const struct srv_route *r = &routes[i];
        if (i)
            putc(',', f);
        int holes = put_path(f, r->pattern);
        fputs(":{", f);
        put_parameters(f, r, holes);
        put_operations(f, r, i);
        putc('}', f);
    }
    fputs("},\"components\":{\"responses\":{\"Error\":{\"description\":\"What went wrong\","
          "\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/"
          "Error\"}}}}},"
          "\"schemas\":{\"Error\":{\"type\":\"object\",\"required\":[\"error\"],"
          "\"properties\":{\"error\":{\"type\":\"string\"}}}}}}\n",
          f);
}

void srv_openapi_finish(struct srv_call *c)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (f) {
        put_document(f, c->api->routes);
        if (fclose(f) != 0) {
            free(text);
            text = NULL;
        }
    }
    srv_call_reply(c, 200, "application/json", text, len);
}
