"""The cache of answers: what is the same question, entity tags, equal pictures in flight, clients that leave."""
import concurrent.futures
import json
import socket
import time

import pytest

import pictures
from daemon import wait_for
from pictures import BLUE, GREEN, RED, RED_JPEG

SLOW = pictures.noise(1500, 1200)


@pytest.fixture(scope="module")
def cached(tiny_models):
    from daemon import Daemon
    d = Daemon(tiny_models, "--cache-bytes", "1M", "--workers", "1")
    yield d
    d.stop()


def counts(d):
    return [d.metric(f"mobilenetd_cache_{what}_total") for what in ("hits", "shared", "misses")]


def test_off_by_default(tiny):
    r = tiny.classify(RED)
    assert "ETag" not in r.headers and "X-Cache" not in r.headers
    assert counts(tiny) == [0, 0, 0]


def test_the_second_answer_is_the_first(cached):
    path = "/v1/models/inverse/classify"
    first = cached.request("PUT", path, RED)
    batches = cached.metric("mobilenetd_model_batches_total")
    second = cached.request("PUT", path, RED)
    assert first.headers["X-Cache"] == "miss" and second.headers["X-Cache"] == "hit"
    assert cached.metric("mobilenetd_model_batches_total") == batches  # nothing was run
    assert first.headers["ETag"] == second.headers["ETag"] and first.headers["ETag"].startswith('W/"')
    for key in ("model", "version", "predictions"):
        assert first.json[key] == second.json[key]
    assert cached.metric("mobilenetd_cache_entries") > 0 and cached.metric("mobilenetd_cache_bytes") < 1 << 20


def test_other_questions(cached):
    """Another picture, model or option is another question."""
    def ask(path, body):
        return cached.request("PUT", path, body).headers["X-Cache"]
    picture = pictures.plain((90, 20, 40), (33, 21))
    assert ask("/v1/models/colour_16/classify", picture) == "miss"
    assert ask("/v1/models/colour_16/classify", picture) == "hit"
    assert ask("/v1/models/colour_16/classify?top_k=5", picture) == "hit"  # as before: there are three classes
    assert ask("/v1/models/colour_16/classify?top_k=1", picture) == "miss"
    assert ask("/v1/models/colour_16/classify?exif=0", picture) == "miss"
    assert ask("/v1/models/colour_16/classify?lenient=1", picture) == "miss"
    assert ask("/v1/models/colour_32/classify", picture) == "miss"
    assert ask("/v1/models/colour_16/classify", picture + b"\0") == "miss"
    assert ask("/v1/models/colour_16/preprocess", picture) == "miss"
    assert ask("/v1/models/colour_16/preprocess", picture) == "miss"  # is not run anyway
    before = counts(cached)
    assert cached.request("PUT", "/v1/models/colour_16/classify", b"no picture").status == 415
    assert cached.request("PUT", "/v1/models/colour_16/classify", b"no picture").status == 415
    assert counts(cached)[0] == before[0]  # a failure is not kept


def test_large_pictures(cached):
    """Hashed on a worker."""
    picture = pictures.noise(600, 500)
    assert len(picture) > 128 << 10
    first, second = cached.classify(picture), cached.classify(picture)
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("miss", "hit")
    assert first.json["predictions"] == second.json["predictions"]


def test_not_modified(cached):
    tag = cached.classify(BLUE).headers["ETag"]
    batches = cached.metric("mobilenetd_model_batches_total")
    for given in (tag, tag[2:], f'"other", {tag}'):
        r = cached.classify(BLUE, headers={"If-None-Match": given})
        assert r.status == 304 and r.body == b"" and r.headers["ETag"] == tag, given
    assert cached.metric("mobilenetd_model_batches_total") == batches
    for body, query in ((RED, ""), (BLUE, "?top_k=1")):
        assert cached.classify(body, query, headers={"If-None-Match": tag}).status == 200
    assert cached.classify(BLUE, headers={"If-None-Match": '"other"'}).status == 200


def test_many_at_once(cached):
    """Each image of a list is a question of its own."""
    a, b = pictures.plain((7, 90, 3), (20, 20)), pictures.plain((7, 3, 90), (20, 20))
    before = counts(cached)
    body, kind = pictures.multipart([("image", "a.png", a), ("image", "b.png", b), ("image", "x.png", b"none")])
    for again in range(2):
        r = cached.request("POST", "/v1/classify", body, {"Content-Type": kind})
        assert [x["status"] for x in r.json["results"]] == [200, 200, 415]
        assert [x["predictions"][0]["label"] for x in r.json["results"][:2]] == ["green", "blue"]
        assert "ETag" not in r.headers
    hits, shared, misses = (x - y for x, y in zip(counts(cached), before))
    assert (hits, misses) == (2, 4) and shared == 0


def test_tensors(cached):
    def infer(*outputs):
        body = {"inputs": [{"name": "input", "shape": [1, 16, 16, 3], "datatype": "UINT8", "data": [9, 200, 31] * 256}],
                "outputs": [{"name": o} for o in outputs]}
        r = cached.request("POST", "/v2/models/colour_16/infer", json.dumps(body))
        assert r.status == 200
        return r.json["outputs"]
    before = counts(cached)
    first = infer("logits", "probabilities")
    assert infer("logits", "probabilities") == first
    assert infer("logits") == first[:1]  # another question
    hits, _, misses = (x - y for x, y in zip(counts(cached), before))
    assert (hits, misses) == (1, 2)


def test_the_cache_is_bounded(start):
    d = start("--cache-bytes", "8K")
    for i in range(150):
        assert d.classify(pictures.plain((i, 0, 0), (4, 4))).status == 200
    assert d.metric("mobilenetd_cache_bytes") <= 8 << 10 and d.metric("mobilenetd_cache_evictions_total") > 0
    assert d.classify(pictures.plain((149, 0, 0), (4, 4))).headers["X-Cache"] == "hit"
    assert d.classify(pictures.plain((0, 0, 0), (4, 4))).headers["X-Cache"] == "miss"


def test_equal_pictures_in_flight_are_computed_once(start):
    d = start("--cache-bytes", "1M", "--workers", "1", "--max-batch", "1")
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        first = pool.submit(d.classify, SLOW, timeout=120)
        wait_for(lambda: d.metric("mobilenetd_images_running") + d.metric("mobilenetd_cache_misses_total") >= 1)
        answers = [pool.submit(d.classify, RED_JPEG, timeout=120) for _ in range(20)]
        answers = [a.result() for a in answers]
        assert first.result().status == 200 and {a.status for a in answers} == {200}
    assert len({json.dumps(a.json["predictions"]) for a in answers}) == 1
    hits, shared, misses = counts(d)
    assert hits + shared + misses == 21
    assert 2 <= misses <= 11  # whose deadline is nearer than that of the first does not wait for it
    assert d.metric("mobilenetd_images_total", outcome="ok") == misses


def put(d, body, *lines):
    s = socket.create_connection(("127.0.0.1", d.port), 60)
    head = ["PUT /v1/classify HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", "Connection: close", *lines, "", ""]
    s.sendall("\r\n".join(head).encode() + body)
    return s


def answer(s):
    with s, s.makefile("rb") as f:
        return f.read()


def test_whoever_waits_is_not_harmed(start):
    """The one that is computed leaves, others leave, one has no time; whoever is left gets the answer."""
    d = start("--cache-bytes", "1M", "--workers", "1", "--max-batch", "1")
    busy = [put(d, pictures.noise(1500, 1200 + i)) for i in range(3)]
    wait_for(lambda: d.metric("mobilenetd_cache_misses_total") == 3)
    leaders = put(d, GREEN)
    wait_for(lambda: d.metric("mobilenetd_cache_misses_total") == 4)
    waiting = [put(d, GREEN) for _ in range(6)]
    wait_for(lambda: d.metric("mobilenetd_cache_shared_total") == 6 or d.metric("mobilenetd_images_waiting") == 0)
    leaders.close()
    waiting[0].close()
    waiting[3].close()
    for s in (waiting[i] for i in (1, 2, 4, 5)):
        text = answer(s)
        assert text.startswith(b"HTTP/1.1 200 ") and b"green" in text, text
    for s in busy:
        assert answer(s).startswith(b"HTTP/1.1 200 ")
    wait_for(lambda: d.metric("mobilenetd_requests_open") <= 1)
    assert d.classify(GREEN).status == 200


def test_deadlines_of_those_that_wait(start):
    d = start("--cache-bytes", "1M", "--workers", "1", "--max-batch", "1")
    busy = [put(d, pictures.noise(2000, 1500 + i)) for i in range(6)]
    wait_for(lambda: d.metric("mobilenetd_cache_misses_total") == 6)
    patient = put(d, BLUE)
    wait_for(lambda: d.metric("mobilenetd_cache_misses_total") == 7)
    hasty = put(d, BLUE, "X-Request-Timeout-Ms: 5")  # does not wait for what has more time than itself
    assert answer(hasty).split()[1] in (b"200", b"429", b"504")
    assert answer(patient).startswith(b"HTTP/1.1 200 ")
    for s in busy:
        assert answer(s).startswith(b"HTTP/1.1 200 ")


def test_a_reload_turns_it_on_and_off(start, tmp_path, tiny_models):
    import signal
    conf = tmp_path / "mobilenetd.conf"
    conf.write_text("cache_bytes = 0\n")
    d = start("--config", str(conf))
    for n, (size, there) in enumerate([("64K", True), ("128K", True), ("0", False)]):
        conf.write_text(f"cache_bytes = {size}\n")
        d.signal(signal.SIGHUP)
        wait_for(lambda: d.metric("mobilenetd_reloads_total") == n + 1)
        assert [d.classify(RED).headers["X-Cache"] for _ in range(2)] == (["miss", "hit"] if there else [None, None])


def test_under_load_and_reloads(start):
    """Many threads, few pictures, answers that never mix."""
    import signal
    d = start("--cache-bytes", "2K")  # evicts all the time
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]

    def run(n):
        for i in range(60):
            k = (n * 7 + i) % 30
            r = d.classify(pictures.plain(colours[k % 3], (20 + k, 20)))
            assert r.status == 200 and r.json["predictions"][0]["label"] == ("red", "green", "blue")[k % 3]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(run, n) for n in range(8)]
        for _ in range(3):
            d.signal(signal.SIGHUP)
            time.sleep(0.05)
        for r in runs:
            r.result()
