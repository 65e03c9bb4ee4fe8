"""What is misspelt, missing or of no kind that is read is said so, with what would have been right."""
import re
import subprocess

import pytest
from PIL import Image

import tinymodel
from daemon import keys_file
from pictures import multipart, plain, RED

ROUTES = {
    "/v1/classify": "top_k model version exif lenient degrade min_variant",
    "/v1/models/colour_16/classify": "top_k version exif lenient degrade min_variant",
    "/v1/models/colour_16/versions/1/classify": "top_k exif lenient degrade min_variant",
    "/v1/models/colour_16/preprocess": "as version exif lenient degrade min_variant",
    "/v1/models/colour_16/embed": "version exif lenient degrade min_variant",
}
VALUES = {"top_k": "1", "model": "colour_16", "version": "1", "as": "digest", "min_variant": "16"}


@pytest.mark.parametrize("path", ROUTES)
def test_each_route_knows_its_own(tiny, path):
    for name in {n for names in ROUTES.values() for n in names.split()}:
        r = tiny.request("PUT", f"{path}?{name}={VALUES.get(name, '1')}", RED)
        if name not in ROUTES[path].split():
            assert r.status == 400 and f'"{name}" is not known here' in r.json["error"]
        elif path.endswith("embed"):
            assert r.status == 400 and "no embedding" in r.json["error"]
        else:
            assert r.status == 200, (name, r.body)


@pytest.mark.parametrize("query, words", [
    ("topk=3", ['query: "topk" is not known here; did you mean top_k?']),
    ("top-k=3", ["did you mean top_k?"]),
    ("Model=colour_16", ["did you mean model?"]),
    ("top_k=1&degarde=0", ["did you mean degrade?"]),
    ("xyz", ['"xyz" is not known here, but top_k, model, version, exif, lenient, degrade, min_variant']),
    ("=1", ['"" is not known here']),
    ("top%5Fk=1", ['"top%5Fk" is not known here']),
    ("top_k=1&top_k=2", ["top_k is given twice"]),
    ("a" * 3000, ['"' + "a" * 64 + '" is not known here'])])
def test_unknown_in_the_query(tiny, query, words):
    r = tiny.classify(RED, "?" + query)
    assert r.status == 400 and all(w in r.json["error"] for w in words), r.body


@pytest.mark.parametrize("query", ["", "&", "&&top_k=1&", "top_k=1&&exif=1"])
def test_nothing_between_is_nothing(tiny, query):
    assert tiny.classify(RED, "?" + query).status == 200


def test_a_bad_key_is_said_first(start, tmp_path):
    d = start("--api-keys", keys_file(tmp_path, "alice infer"))
    assert d.classify(RED, "?topk=1").status == 401
    assert d.classify(RED, "?topk=1", headers={"X-API-Key": "alice"}).status == 400


@pytest.mark.parametrize("path", ["/v2/health/ready?verbose=1", "/metrics?name[]=x", "/v1/models?_=1"])
def test_what_takes_none_passes_over_all(tiny, path):
    """Probes, scrapers and caches on the way add their own."""
    assert tiny.request("GET", path).status == 200


# ---- forms ----

def form(tiny, *fields, path="/v1/classify", images=1):
    body, kind = multipart([("image", f"{i}.png", RED) for i in range(images)] + [(n, None, v) for n, v in fields])
    return tiny.request("POST", path, body, {"Content-Type": kind})


def test_fields_are_what_the_query_is(tiny):
    assert len(form(tiny).json["predictions"]) == 3
    assert len(form(tiny, ("top_k", b"1")).json["predictions"]) == 1
    assert len(form(tiny, ("top_k", b"2"), path="/v1/classify?top_k=1").json["predictions"]) == 2
    several = form(tiny, ("top_k", b"1"), ("exif", b"0"), ("lenient", b"1"), images=3).json["results"]
    assert [len(r["predictions"]) for r in several] == [1, 1, 1]
    assert form(tiny, ("_charset_", b"utf-8")).status == 200


def test_by_curl(tiny, tmp_path):
    (tmp_path / "a.png").write_bytes(RED)
    done = subprocess.run(["curl", "-sS", "-F", "image=@a.png", "-F", "top_k=1", tiny.url + "/v1/classify"], cwd=tmp_path,
                          capture_output=True, timeout=30)
    assert done.stdout.count(b'"class":') == 1, done.stdout


def test_a_turned_picture_by_field(tiny):
    exif = Image.Exif()
    exif[0x0112] = 6
    body, kind = multipart([("image", "a.jpg", plain((255, 0, 0), kind="JPEG", exif=exif)), ("exif", None, b"0")])
    assert "orientation" not in tiny.request("POST", "/v1/classify", body, {"Content-Type": kind}).json
    body, kind = multipart([("image", "a.jpg", plain((255, 0, 0), kind="JPEG", exif=exif))])
    assert tiny.request("POST", "/v1/classify", body, {"Content-Type": kind}).json["orientation"] == 6


@pytest.mark.parametrize("fields, words", [
    ([("topk", b"1")], 'form: "topk" is not known here; did you mean top_k?'),
    ([("imge", b"1")], "did you mean image?"),
    ([("xyz", b"1")], '"xyz" is not known here, but image, top_k, exif, lenient'),
    ([("model", b"colour_16")], "form: model belongs in the query of the URL"),
    ([("top_k", b"1"), ("top_k", b"1")], "top_k is given twice"),
    ([("top_k", b"0")], "top_k must be a whole number, at least 1"),
    ([("top_k", b"")], "top_k must be a whole number"),
    ([("top_k", b"1\0")], "top_k must be a whole number"),
    ([("top_k", b"1" * 100)], "top_k must be a whole number"),
    ([("exif", b"2")], "exif must be a whole number from 0 to 1")])
def test_unknown_in_the_form(tiny, fields, words):
    r = form(tiny, *fields)
    assert r.status == 400 and words in r.json["error"], r.body


def test_a_form_for_the_tensor_has_no_top_k(tiny):
    see = "/v1/models/colour_16/preprocess"
    assert form(tiny, ("exif", b"0"), path=see).status == 200
    assert "not known here" in form(tiny, ("top_k", b"1"), path=see).json["error"]


# ---- what there is ----

def test_404_names_what_there_is(tiny):
    there = "colour, colour_16, colour_32, inverse"
    for path in ("/v1/classify?model=nobody", "/v1/models/nobody/classify", "/v1/models/nobody/preprocess"):
        r = tiny.request("PUT", path, RED)
        assert r.status == 404
        assert r.json["error"] == f'there is no model named "nobody", but {there} (GET / lists all paths)'
    r = tiny.request("GET", "/v1/nothing")
    assert r.status == 404
    assert r.json["error"] == f"there is nothing at this path (GET / lists all); the models are {there}"


def test_404_names_nothing_to_strangers(start, tmp_path):
    d = start("--api-keys", keys_file(tmp_path, "alice infer"))
    assert d.request("GET", "/nothing").json["error"] == "there is nothing at this path (GET / lists all)"


def test_many_names_are_cut(start, tmp_path):
    for i in range(40):
        tinymodel.write(str(tmp_path), f"a_rather_long_name_{i:02d}", 16)
    d = start(models=tmp_path)
    r = d.classify(RED, "?model=nobody")
    assert re.search(r"but a_rather_long_name_00, .*_0\d, … \(GET / lists", r.json["error"]), r.body


def test_415_lists_the_formats(tiny):
    r = tiny.classify(b"%PDF-1.4 not a picture")
    assert r.status == 415
    assert all(f in r.json["error"] for f in ("JPEG, PNG, WebP, GIF, BMP, PNM", "form", "JSON")), r.body
    body, kind = multipart([("image", "a.pdf", b"%PDF-1.4")])
    r = tiny.request("POST", "/v1/classify", body, {"Content-Type": kind})
    assert r.status == 415 and "JPEG, PNG, WebP, GIF, BMP, PNM" in r.json["error"]
    r = tiny.classify(RED, headers={"Content-Encoding": "br"})
    assert r.status == 415 and "gzip" in r.json["error"] and "deflate" in r.json["error"]
