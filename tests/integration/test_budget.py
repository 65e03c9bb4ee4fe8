"""max_inflight_bytes is a promise about resident memory, whatever clients try, and one that wants little is served meanwhile.
The full size is tests/load/hoard."""
import contextlib
import gzip
from concurrent.futures import ThreadPoolExecutor

import pytest

import pictures
from daemon import SANITIZED, keys_file, wait_for
from hoard import Bombs, Growth, Partial, Watchers, WellBehaved, http_bomb, inference, padded, together

MIB = 1 << 20
BUDGET = 48 * MIB
USES = {"request", "message", "inflated", "picture", "answer", "stream"}


@contextlib.contextmanager
def one_is_served(d, budget=BUDGET):
    """While the rest goes on; and memory stays within the budget and a quarter of it."""
    for _ in range(10):
        assert d.classify(pictures.RED_JPEG).status == 200
    growth = None if SANITIZED else Growth(d)
    with WellBehaved(d, pictures.RED_JPEG) as one:
        yield one
        one.served(3)
    assert one.answers and not one.failures, one.failures[:3]
    assert not growth or growth() <= budget * 5 // 4


def is_all_given_back(d):
    """This request for the metrics is all there is."""
    wait_for(lambda: sum(d.metric("mobilenetd_memory_bytes", account=u) for u in USES - {"answer"}) == 0)


@pytest.fixture
def daemon(start):
    return start("--max-inflight-bytes", str(BUDGET))


def test_messages_without_their_end(daemon):
    with one_is_served(daemon) as one:
        with together([Partial(daemon, 4, 3 * MIB) for _ in range(8)]) as all_:
            one.served(3)
            assert sum(p.refused for p in all_) > 0
            held = daemon.metric("mobilenetd_memory_bytes", account="message")
            assert 8 * MIB < held <= BUDGET
        assert daemon.metric("mobilenetd_memory_refusals_total") > 0
    is_all_given_back(daemon)


def test_bombs_by_http(daemon):
    message, statuses = http_bomb(pictures.RED_JPEG, 6 * MIB), []
    with one_is_served(daemon):
        sockets = [daemon.socket() for _ in range(30)]
        for s in sockets:
            s.sendall(message)
        for s in sockets:
            statuses.append(int(s.recv(64).split()[1]))
            s.close()
    assert set(statuses) <= {200, 429}, statuses
    assert 200 in statuses
    is_all_given_back(daemon)


def test_bombs_by_grpc(daemon):
    message = inference("", padded(pictures.RED_JPEG, 6 * MIB))
    with one_is_served(daemon), together([Bombs(daemon, 8, message) for _ in range(4)]) as all_:
        codes = [c for b in all_ for c in b.codes]
    assert len(codes) == 32 and set(codes) <= {"0", "8"}, codes
    assert "0" in codes
    is_all_given_back(daemon)


def test_watchers(start):
    budget = 4 * MIB
    d = start("--max-inflight-bytes", str(budget))
    with one_is_served(d, budget), together([Watchers(d, 250) for _ in range(4)]) as all_:
        assert sum(w.refused for w in all_) > 0  # REFUSED_STREAM: safe to be asked again
        assert sum(w.told for w in all_) > 100
        assert all(w.told + w.refused == 250 for w in all_)
        assert d.metric("mobilenetd_memory_bytes", account="stream") > 100 << 10
    is_all_given_back(d)


def test_a_key_is_an_account(start, tmp_path):
    """Six bodies of 4 MB, on connections of which each could have more than that."""
    d = start("--max-inflight-bytes", str(BUDGET), "--api-keys", keys_file(tmp_path, "alice infer,metrics"))

    def of_alice(name):
        text = d.request("GET", "/metrics", headers={"Authorization": "Bearer alice"}).body.decode()
        return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith(name))

    head = (b"PUT /v1/classify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nContent-Length: %d\r\n\r\n"
            % (4 * MIB))
    sockets = [d.socket() for _ in range(6)]
    for s in sockets:
        with contextlib.suppress(OSError):  # it was refused, and closed
            s.sendall(head + b"\xff\xd8" + b"x" * (4 * MIB - 3))
    wait_for(lambda: of_alice("mobilenetd_memory_refusals_total") > 0)
    assert 4 * MIB < of_alice('mobilenetd_key_memory_bytes{key="alice"}') < 0.28 * BUDGET  # without it, half
    for s in sockets:
        s.close()
    wait_for(lambda: of_alice('mobilenetd_memory_bytes{account="request"}') == 0)


def test_a_whole_picture_needs_room(start):
    picture = pictures.plain((255, 0, 0), (1500, 1500), "JPEG", progressive=True, subsampling=0)  # 13 MB of coefficients
    d = start("--max-inflight-bytes", str(20 * MIB))
    assert d.classify(picture).status == 413
    d = start("--max-inflight-bytes", str(40 * MIB))
    assert d.classify(picture).status == 200
    with together([Partial(d, 1, 4 * MIB) for _ in range(4)]):  # less than twice its need is left
        wait_for(lambda: d.metric("mobilenetd_memory_bytes", account="message") > 13 * MIB)
        r = d.classify(picture)
        assert (r.status, "no room" in r.json["error"]) == (429, True)


def test_nothing_waits_longer_than_its_deadline(start):
    """A compressed body waits for a worker, too; before, it was told when it had one."""
    d = start("--workers", "1", "--max-decode-ms", "600000", "--default-timeout-ms", "600000",
              "--cache-bytes", "1M")  # with it, nothing is refused before its body is here
    body, kind = pictures.multipart([("image", "a.png", pictures.plain((9, 9, 9), (4000, 4000)))] * 8)

    def attempt():
        """Whether the short one came while the worker was at the long one, and what it was told in which order."""
        ends = []
        with ThreadPoolExecutor(1) as other:
            long = other.submit(lambda: (d.request("POST", "/v1/classify", body, {"Content-Type": kind}, timeout=600),
                                         ends.append("long")))
            wait_for(lambda: d.metric("mobilenetd_images_running") > 0 or ends)
            r = d.classify(gzip.compress(pictures.RED_JPEG),
                           headers={"Content-Encoding": "gzip", "X-Request-Timeout-Ms": "30"})
            ends.append("short")
            long.result()
        return r.status, ends
    for _ in range(10):  # a test that is held up itself may come too late
        status, ends = attempt()
        if ends == ["short", "long"] and status != 200:
            break
    assert status == 504 and ends == ["short", "long"]
