"""Adds an invented operator, instruction set, picture format, task, endpoint and metric to a copy of the tree, each where
docs/CONTRIBUTING.md says, by inserting at the anchors of the lists; one build from where the last one ended makes all
six work. The operator is the one that the page itself writes, step by step. The lists themselves are held so: a slot
that is missing or empty does not compile."""
import json
import os
import re
import shutil
import subprocess

import pytest

import daemon
import pictures
import tinymodel
from daemon import ROOT, SANITIZED, Daemon

pytestmark = [pytest.mark.slow, pytest.mark.patient,
              pytest.mark.skipif(SANITIZED, reason="it builds a tree of its own")]
ARM = os.uname().machine == "aarch64"
TARGETS = ["mobilenetd", "tests/unit/unit_cpu", "tests/unit/unit_graph"]

# ---- what is added: (file, anchor, text above it), or (new file, None, text) ----

PAGE = "docs/CONTRIBUTING.md"
STEP = re.compile(r"^(?:New: )?`([^`]+)`(?:, above `([^`]+)`)?:\n\n```\w*\n(.*?)^```$", re.M | re.S)


def written(page):
    """What the page tells a newcomer to write, as rows like those below."""
    return [(path, anchor or None, text) for path, anchor, text in STEP.findall(page)]


with open(os.path.join(ROOT, PAGE), encoding="utf-8") as page_file:
    OPERATOR = written(page_file.read())
INSTRUCTION_SET = [
    ("engine/isa.def", "/* The next bit of Arm", "ARM_BIT(INVENTED, 30, HWCAP, HWCAP_ASIMD)\n") if ARM else
    ("engine/isa.def", "/* The next bit of x86", "X86_BIT(INVENTED, 30, ECX_1, bit_SSE4_1, NONE, 0)\n"),
    ("engine/isa.def", "/* The next level of Arm", 'ARM_ISA(invented, "invented", neon, ENG_CPU_INVENTED, 0, "", )\n')
    if ARM else
    ("engine/isa.def", "/* The next level of x86",
     'X86_ISA(invented, "invented", sse41, ENG_CPU_INVENTED, 0, "-msse4.1", )\n'),
    ("engine/kernels/meson.build", "  # The next folder of " + ("Arm" if ARM else "x86"), "  'invented': ['add_u8.c'],\n"),
    ("engine/kernels/kernels.def", "/* The next row of u8 on " + ("Arm" if ARM else "x86"),
     "KERNEL(add_u8, invented, ENG_CPU_INVENTED)\n"),
    ("engine/kernels/invented/add_u8.c", None, """\
/* Sum of two quantised maps, for a processor that does not exist. */
#define ADD_ISA invented
#define ADD_BITS ENG_CPU_INVENTED
#include "engine/kernels/add_u8.inc"
"""),
]
FORMAT = [
    ("engine/formats.def", "/* The next format goes above this line. */",
     'FORMAT(INVENTED, invented, "Invented", AT(0, "INVENTED"), 1)\n'),
    ("engine/image/meson.build", "'source_jpeg.c'", "'source_invented.c', "),
    ("engine/image/source_invented.c", None, """\
/* A format that does not exist: "INVENTED", width and height in a byte each, one colour for all pixels. */
#include "engine/image/source.h"

#include <errno.h>

#include "engine/image/probe.h"

int eng_probe_invented(struct eng_image_info *info, const uint8_t *p, size_t len,
                       const struct eng_sentence *err)
{
    if (len < 13)
        return eng_image_fail(err, ENG_E_DATA, "the Invented picture is truncated");
    info->width = p[8];
    info->height = p[9];
    info->channels = 3;
    info->bits = 8;
    return 0;
}

static int invented_open(struct eng_source *s)
{
    s->channels = 3;
    s->max_denominator = 1;
    return 0;
}

static int invented_start(struct eng_source *s)
{
    s->stride = eng_size(s->x1 - s->x0, 3, ENG_ROW_SLACK);
    return eng_buffer_reserve(s->rows, s->stride) < 0 ? -ENOMEM : 0;
}

static int invented_read(struct eng_source *s, const uint8_t **ret_rows)
{
    uint8_t *row = s->rows->data;
    for (size_t i = 0; i < 3 * (size_t)(s->x1 - s->x0); i++)
        row[i] = s->bytes[10 + i % 3];
    *ret_rows = row;
    return 1;
}

const struct eng_source_ops eng_source_invented = {
    1, invented_open, invented_start, invented_read, eng_source_all_is_read, eng_source_holds_nothing,
};
"""),
]
ENDPOINT = [
    ("server/handlers/routes.def", 'RPC(INFERENCE "', """\
ROUTE("/invented", READ, 0, NULL, srv_invented_finish, SRV_SCOPE_OPEN, NULL, "Nothing")
"""),
    ("server/handlers/handlers.h", "void srv_live_finish(", "void srv_invented_finish(struct srv_call *c);\n"),
    ("server/handlers/invented.c", None, """\
/* An endpoint that nobody needs. */
#include "server/handlers/admission.h"
#include "server/handlers/handlers.h"

void srv_invented_finish(struct srv_call *c)
{
    srv_api_text(c, 200, "application/json", "{\\"invented\\":true}");
}
"""),
    ("server/handlers/meson.build", "  'load_model.c',", "  'invented.c',\n"),
]
TASK = [
    ("server/handlers/tasks/tasks.def", "/* The next task goes above this line. */", "TASK(count)\n"),
    ("server/handlers/meson.build", "  'tasks/embed.c',", "  'tasks/count.c',\n"),
    ("server/handlers/routes.def", 'ROUTE("/v1/models/{}/teach"', """\
ROUTE("/v1/models/{}/count", SEND, 1, srv_count_begin, srv_images_finish, SRV_SCOPE_INFER,
      "above version " PICTURE, "How many outputs exceed a number")
"""),
    ("server/handlers/tasks/count.c", None, """\
/* A task that does not exist: how many numbers of the first output are above `above` hundredths, and where the network
 * looked on the picture. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/query.h"
#include "server/handlers/tasks/task.h"
#include "server/scheduler/request.h"

static int is_for(const struct srv_model *m)
{
    (void)m;
    return 0;
}

static int check(const struct srv_model *m, char *why, size_t len)
{
    int rc = m->info->n_outputs == 1 ? 0 : -1;
    snprintf(why, len, "cannot be counted");
    return rc;
}

static size_t bytes(const struct srv_rows *rows, const struct eng_model_info *info)
{
    (void)rows;
    (void)info;
    return 2 * sizeof(float);
}

static void take(const struct srv_rows *rows, const struct srv_job *j, struct eng_context *c, int slot, void *row)
{
    size_t n = j->model->info->output[0].elements;
    float *to = row, *all = malloc(n * sizeof(*all));
    to[0] = to[1] = 0;
    if (all && eng_context_output_floats(c, slot, 0, all) == 0)
        for (size_t i = 0; i < n; i++)
            to[all[i] * 100 <= (float)rows->a] += 1;
    free(all);
}

static const struct srv_row_kind row = {.bytes = bytes, .take = take, .kept = 1};

static int begin(struct srv_req *r)
{
    int64_t *above = srv_arena_alloc(&r->arena, sizeof(*above));
    r->options = above;
    return above ? 0 : -ENOMEM;
}

static int set(struct srv_req *r, const char *name, const char *value, char *err, size_t errlen)
{
    long long above;
    if (proto_parse_int(value, 0, 100, &above) < 0) {
        snprintf(err, errlen, "%s must be a whole number from 0 to 100", name);
        return -EINVAL;
    }
    *(int64_t *)r->options = above;
    return 0;
}

static int want(struct srv_req *r)
{
    return srv_rows_want(r, &row, *(int64_t *)r->options, 0);
}

static void print(struct proto_buf *to, const struct srv_req *r, const struct srv_job *j)
{
    const float *counted = srv_job_row(j, srv_rows_find(r, &row));
    const struct eng_preprocess *p = &r->model->info->preprocess;
    struct eng_placement at;
    if (eng_image_place(&at, p, j->picture.width, j->picture.height) < 0)
        return;
    proto_buf_key(to, "above");
    proto_buf_int(to, (int64_t)counted[0]);
    proto_buf_key(to, "seen");
    proto_buf_floats(to, (const float[]){(float)at.x0, (float)at.y0, (float)(at.x0 + p->width * at.dx),
                                         (float)(at.y0 + p->height * at.dy)}, 4);
}

static size_t cost(const struct srv_req *r)
{
    (void)r;
    return 5;
}

static void convert(const struct srv_output *o, const struct srv_job *j, const void *from, void *to)
{
    const float *counted = from;
    (void)o;
    (void)j;
    ((int32_t *)to)[0] = (int32_t)counted[0];
    ((int32_t *)to)[1] = (int32_t)counted[1];
}

static int output(const struct srv_model *m, int index, struct srv_output *ret)
{
    if (index > 0 || m->info->n_outputs > 1)
        return 0;
    *ret = (struct srv_output){.name = "counts", .datatype = PROTO_INT32, .n_dims = 1, .shape = {2}, .elements = 2,
                               .kind = &row, .a = 50, .convert = convert, .listed = 1};
    return 1;
}

const struct srv_task srv_task_count = {
    .name = "count",
    .is_for = is_for,
    .check = check,
    .fields = "above",
    .begin = begin,
    .set = set,
    .want = want,
    .print = print,
    .cost = cost,
    .output = output,
};
"""),
]
METRIC = [
    ("server/handlers/metrics.def", "\n#undef METRIC", 'SERVER(invented_total, counter, "things", "Things invented.", 42)\n'),
]


def add(tree, rows):
    for path, anchor, text in rows:
        path = os.path.join(tree, path)
        if anchor is None:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            whole = text
        else:
            with open(path) as f:
                before, found, after = f.read().partition(anchor)
            assert found, f"{path} has no «{anchor}»"
            whole = before + text + found + after
        with open(path, "w") as f:
            f.write(whole)


def run(tree, *command):
    return subprocess.run(["nice", *command], cwd=tree, capture_output=True, text=True, check=False)


def build(tree, *targets):
    r = run(tree, "ninja", "-C", "build", *targets)
    return r.returncode, r.stdout + r.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree, built once as it is."""
    if not shutil.which("meson") or not shutil.which("ninja"):
        pytest.skip("no meson or no ninja")
    path = str(tmp_path_factory.mktemp("tree"))
    for folder in ("config", "engine", "protocol", "server", "tests", "docs", "deploy"):
        shutil.copytree(os.path.join(ROOT, folder), os.path.join(path, folder), symlinks=True,
                        ignore=shutil.ignore_patterns("node_modules", "__pycache__", "corpus"))
    for file in ("meson.build", "meson_options.txt"):
        shutil.copy2(os.path.join(ROOT, file), path)
    r = run(path, "meson", "setup", "build", "-Dtests=true", "-Doptimization=1")
    assert r.returncode == 0, r.stdout[-3000:]
    status, said = build(path, *TARGETS)
    assert status == 0, said[-3000:]
    return path


@pytest.fixture(scope="module")
def grown(tree):
    """The tree with one more of each, after one build; and how many steps that took of how many."""
    for rows in (OPERATOR, INSTRUCTION_SET, FORMAT, TASK, ENDPOINT, METRIC):
        add(tree, rows)
    status, said = build(tree, *TARGETS)
    assert status == 0, said[-6000:]
    print("built anew in", re.findall(r"^.\d+/(\d+)", said, re.M)[-1], "steps")
    return tree


@pytest.fixture(scope="module")
def served(grown, tmp_path_factory):
    """The daemon of that tree, with models that end in the invented operator and in the one that it is like."""
    models = str(tmp_path_factory.mktemp("models"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemon, "BINARY", os.path.join(grown, "build", "mobilenetd"))
        patch.setitem(tinymodel.ENDS, "invented", 150)
        for end in ("clamp", "invented"):
            tinymodel.write(models, end, 16, end=end)
        d = Daemon(models, "--isa", "invented", "--cache-bytes", "1000000")
    yield d
    d.stop()


def test_a_row_that_lacks_a_slot_does_not_compile(tree):
    path = os.path.join(tree, "engine/graph/ops.def")
    with open(path) as f:
        kept = f.read()
    rows = ['OP(BROKEN, "broken", "broken", 1, 1, same_shape, moving, eng_ref_pad, not_written, NONE, NONE)\n',
            'OP(BROKEN, "broken", "broken", 1, 1, same_shape, moving, eng_ref_pad, not_written, NONE, , NONE)\n',
            'OP(BROKEN, "broken", "broken", 1, 1, same_shape, , eng_ref_pad, not_written, NONE, NONE, NONE)\n',
            'OP(BROKEN, "broken", "broken", 1, 1, same_shape, moving, , not_written, NONE, NONE, NONE)\n']
    objects = [f"engine/libeng.a.p/{name}.c.o" for name in ("graph_ops", "graph_arith", "kernels_ref_ref")]
    try:
        for row in rows:
            add(tree, [("engine/graph/ops.def", "/* The next operator goes above this line. */", row)])
            status, _ = build(tree, *objects)
            assert status != 0, row
            with open(path, "w") as f:
                f.write(kept)
    finally:
        with open(path, "w") as f:
            f.write(kept)
    status, said = build(tree, *objects)
    assert status == 0, said[-3000:]


def test_the_page_writes_an_operator():
    assert len(OPERATOR) == 6 and sum(anchor is None for _, anchor, _ in OPERATOR) == 2
    with open(os.path.join(ROOT, PAGE), encoding="utf-8") as f:
        assert len(re.findall(r"^```\w+$", f.read(), re.M)) == len(OPERATOR)  # none that is not tried


def test_their_own_tests_know_them(grown):
    for name in ("unit_cpu", "unit_graph"):
        r = run(grown, f"build/tests/unit/{name}")
        assert r.returncode == 0, r.stdout + r.stderr


def test_operator(served):
    red = pictures.plain((200, 30, 30))
    likes = [served.request("PUT", f"/v1/models/{name}/classify", red).json["predictions"] for name in ("invented", "clamp")]
    assert likes[0] == likes[1] and likes[0][0]["label"] == "red"


def test_instruction_set(grown):
    r = run(grown, "build/mobilenetd", "bench", "--generation", "2", "--alpha", "0.35", "--rho", "96", "--isa", "invented",
            "--layers", "--seconds", "0.01")
    assert r.returncode == 0 and "add_u8_invented" in r.stdout, r.stdout + r.stderr
    assert "add_u8_invented" not in run(grown, "build/mobilenetd", "bench", "--generation", "2", "--alpha", "0.35", "--rho",
                                        "96", "--isa", "c", "--layers", "--seconds", "0.01").stdout


def test_format(served):
    mine = b"INVENTED" + bytes([64, 48, 200, 30, 30])
    r = served.request("PUT", "/v1/models/clamp/classify", mine)
    same = served.request("PUT", "/v1/models/clamp/classify", pictures.plain((200, 30, 30), (64, 48)))
    assert r.status == 200 and r.json["predictions"] == same.json["predictions"]
    assert served.request("PUT", "/v1/models/clamp/classify", mine[:12]).status == 422
    assert "Invented" in served.request("PUT", "/v1/models/clamp/classify", b"no picture").json["error"]


def test_task(served):
    """Our own JSON in each of its forms, named tensors through both protocols, parameters and the cache."""
    red = pictures.plain((200, 30, 30), (32, 64))
    path = "/v1/models/clamp/count"
    first = served.request("PUT", path + "?above=50", red)
    a = first.json
    assert a["above"] == 1 and a["seen"] == pytest.approx([2, 18, 30, 46], abs=0.5) and a["model"] == "clamp"
    again = served.request("PUT", path + "?above=50", red)
    assert (again.json["above"], again.json["seen"]) == (1, a["seen"])
    assert (first.headers["X-Cache"], again.headers["X-Cache"]) == ("miss", "hit")
    assert served.request("PUT", path + "?above=50", red, {"If-None-Match": first.headers["ETag"]}).status == 304
    other = served.request("PUT", path + "?above=100", red)
    assert other.json["above"] == 0 and other.headers["X-Cache"] == "miss"
    for query, says in (("above=x", "above must be a whole number"), ("top_k=1", "top_k")):
        r = served.request("PUT", f"{path}?{query}", red)
        assert r.status == 400 and says in r.json["error"]
    form = (b'--b\r\nContent-Disposition: form-data; name="above"\r\n\r\n100\r\n--b\r\nContent-Disposition: form-data; '
            b'name="image"\r\n\r\n' + red + b"\r\n--b--\r\n")
    assert served.request("POST", path, form, {"Content-Type": "multipart/form-data; boundary=b"}).json["above"] == 0
    body = {"inputs": [{"name": "input", "shape": [1, 16, 16, 3], "datatype": "UINT8", "data": [200, 30, 30] * 256}],
            "outputs": [{"name": "counts"}]}
    o, = served.request("POST", "/v2/models/clamp/infer", json.dumps(body)).json["outputs"]
    assert (o["datatype"], o["shape"], o["data"]) == ("INT32", [1, 2], [1, 3])
    rows = {"instances": [[[[200, 30, 30]] * 16] * 16] * 2, "signature_name": "counts"}
    assert served.request("POST", "/v1/models/clamp:predict", json.dumps(rows)).json == {"predictions": [[1, 3]] * 2}
    assert "counts" in [o["name"] for o in served.request("GET", "/v2/models/clamp?outputs=all").json["outputs"]]
    assert any(p.endswith("/count") for p in served.request("GET", "/openapi.json").json["paths"])


def test_endpoint(served):
    assert served.request("GET", "/invented").json == {"invented": True}
    assert "/invented" in served.request("GET", "/openapi.json").json["paths"]


def test_metric(served):
    assert served.metric("mobilenetd_invented_total") == 42
