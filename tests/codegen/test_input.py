"""The document is input: whatever its strings hold, none of it becomes code."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment

from codegen.canonical import canonical
from codegen.document import Json, Refused, load, visible
from codegen.generate import GENERATED, ROOT, generate
from codegen.rendering.render import code, docstring, only_code
from codegen.rendering.types import literal
from codegen.revisions import update as updating
from codegen.revisions.checked import parse
from codegen.revisions.diff import Change, Impact
from codegen.revisions.report import markdown
from docs.builder import pages, sources

from .small import STRING, array, content, document, enum, object_, operation, ref, refused

pytestmark = pytest.mark.parallel

PAYLOADS = (
    'q"+boom(1)+"',
    "q'+boom(2)+'",
    'q"""\nboom(3)\n"""',
    "q'''\n    boom(4)\n'''",
    'q\\"+boom(5)#',
    "q\\",
    "q\r\nboom(6)\n",
    "q\u2028boom(7)\u2029\x85\x0cboom(7)",
    "{{ boom(8) }}{% set q = boom(9) %}{#",
    "q: boom(10) = boom(11), **boom(12)) # ]}",
    'q" f"{boom(13)}" if boom(14) else "',
    "q`\n\n.. include:: hostname\n\n.. raw:: html\n\n   <b>",
)


def example() -> Json:
    """A document in which every place for a string of its author's holds a word of its own."""
    schemas: Json = {
        "Wschema": {
            **object_("wproperty", wproperty={**STRING, "description": "wdescription", "title": "wtitle"}),
            "title": "Wobjecttitle",
        },
        "Wenumeration": enum(*(f"wvalue{letter}" for letter in "abcdefghij")),
        "Wcat": object_(
            "wtag",
            wtag=enum("wmeow"),
            wpurr={**STRING, "default": "wdefault"},
            wclaw={**STRING, "format": "wformat", "pattern": "wpattern"},
        ),
        "Wdog": object_("wtag", wtag=enum("wbark"), **{"from": enum("wshort"), "x-y": array(ref("Wenumeration"))}),
        "Wowl": object_("wkey", wkey=STRING),
        "Wjay": object_("wother", wother={**STRING, "example": "wexample"}),
        "Wtagged": {"oneOf": [ref("Wcat"), ref("Wdog")], "discriminator": {"propertyName": "wtag"}},
        "Wkeyed": {"oneOf": [ref("Wowl"), ref("Wjay")]},
    }
    answer = object_(one=ref("Wtagged"), two=ref("Wkeyed"), three=ref("Wschema"), four=ref("Wenumeration"), five=enum("wanswer"))
    body = {
        **object_(wfield=enum("wchoice"), wmap={"type": "object", "default": {"wdefaultkey": "wdefaultvalue"}}, wpet=ref("Wtagged")),
        "not": {"required": ["wfield", "wmap"]},
    }
    form = object_(wfile={"type": "string", "format": "binary"}, wparts=array(STRING))
    parameters = [
        {"name": "wplace", "in": "path", "required": True, "schema": STRING},
        {"name": "wquery", "in": "query", "description": "wqueryprose", "schema": {**STRING, "default": "wquerydefault"}},
    ]
    said = {
        "tags": ["wtags"],
        "summary": "wsummary",
        "description": "woperationprose",
        "x-wextension": "wextensionvalue",
        "deprecated": True,
    }
    hints: Json = {"x-retell-sdk-resource": "wresource", "x-retell-sdk-method": "wmethod"}
    made = document(
        {
            "/get-wpath/{wplace}": {"get": operation("wgetoperation", answer, parameters=parameters, **said)},
            "/create-wthing": {"post": operation("wpostoperation", requestBody=content(body), **hints)},
            "/upload-wform": {"post": operation("wformoperation", requestBody=content(form, "multipart/form-data"))},
        },
        schemas,
        securitySchemes={"wscheme": {"type": "http", "scheme": "bearer", "description": "wsecurityprose"}},
    )
    made["paths"]["/upload-wform"]["post"]["requestBody"]["content"]["multipart/form-data"]["x-json-texts"] = True
    made["paths"]["/create-wthing"]["post"]["responses"]["418"] = {"description": "wteapot", **content(STRING, "text/wmedia")}
    made["info"] = {"title": "wname", "version": "wversion", "description": "winfo", "x-retell-spec-revision": "wrevision"}
    return {**made, "servers": [{"url": "https://wserver.test", "description": "wprose"}], "security": [{"wscheme": []}]}


def words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.lower().startswith("w"):
            yield value
        elif value.startswith(("/", "https://w", "text/w", "x-w")):
            yield "w" + value.partition("w")[2].partition("/")[0].removesuffix(".test")
    elif isinstance(value, dict | list):
        for item in value if isinstance(value, list) else [*value, *value.values()]:
            yield from words(item)


WORDS = sorted(set(words(example())))


def planted(value: Any, payloads: Mapping[str, str]) -> Any:
    """A document with a payload behind each of these words, in keys and values."""
    if isinstance(value, str):
        return re.sub("|".join(sorted(payloads, key=len, reverse=True)), lambda word: word[0] + payloads[word[0]], value)
    if isinstance(value, list):
        return [planted(item, payloads) for item in value]
    if isinstance(value, dict):
        return {planted(key, payloads): planted(item, payloads) for key, item in value.items()}
    return value


def _reads_hints(node: ast.Expr) -> bool:
    """Whether it is ``readable(name)``, which every generated module of functions and of dicts ends with."""
    call = node.value
    return isinstance(call, ast.Call) and ast.unparse(call.func) == "readable" and all(isinstance(name, ast.Name) for name in call.args)


def assert_harmless(package: Path) -> None:
    for path in (path for folder in GENERATED for path in (package / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert "&#" not in text, "escaped for HTML"
        tree = ast.parse(text, filename=path.name)
        assert not {"boom"} & {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}, path
        for node in tree.body:
            assert not isinstance(node, ast.Expr) or isinstance(node.value, ast.Constant) or _reads_hints(node), path


def generated(given: Json, package: Path) -> None:
    given = parse(json.dumps(given).encode(), "the document")
    generate(canonical(given), {}, {}, package)


PATHS = ("wpath", "wform", "wthing", "wplace")
"""What stands in a path."""
SERVER = "wserver"
"""What stands in the server's address, to which keys are sent: nothing but a host is taken there."""
OTHERS = [word for word in WORDS if word not in (*PATHS, SERVER, "wpattern")]


def with_payloads(turn: int) -> Json:
    """The example with a payload in all that is in no path, another one in each at another turn."""
    given: Json = planted(example(), {word: PAYLOADS[(index + turn) % len(PAYLOADS)] for index, word in enumerate(OTHERS)})
    return given


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_in_the_address_of_the_server_is_refused(payload: str, tmp_path: Path) -> None:
    where, _ = refused(lambda given: generated(given, tmp_path), planted(example(), {SERVER: payload}))
    assert (where, list(tmp_path.iterdir())) == ("/servers/0/url", [])


@pytest.mark.parametrize("turn", [pytest.param(turn, marks=[] if turn % 4 == 0 else [pytest.mark.soak]) for turn in range(len(PAYLOADS))])
def test_no_string_of_a_document_becomes_code(turn: int, tmp_path: Path) -> None:
    generated(with_payloads(turn), tmp_path)
    assert_harmless(tmp_path)
    texts = {
        node.value
        for path in tmp_path.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
    }
    for word in ("wproperty", "wmeow", "wtag", "wkey", "wquery", "wgetoperation", "wfield", "wvaluea", "wchoice"):
        assert word + PAYLOADS[(OTHERS.index(word) + turn) % len(PAYLOADS)] in texts, "the name on the wire stays"


@pytest.mark.soak
@pytest.mark.parametrize("payload", PAYLOADS[::6])  # a minute each
def test_a_payload_alone_becomes_no_code_either(payload: str, tmp_path: Path) -> None:
    for word in OTHERS:
        generated(planted(example(), {word: payload}), tmp_path / word)
        assert_harmless(tmp_path / word)


def test_what_is_generated_does_nothing_when_it_is_imported_or_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "retell_async"
    shutil.copytree(ROOT / "retell_async", package, ignore=shutil.ignore_patterns("__pycache__", *GENERATED))
    generated(with_payloads(1), package)
    watched = f"import builtins, sys\nbuiltins.boom = lambda *given: sys.exit(f'boom {{given}}')\n{updating._TRY}"
    done = subprocess.run([sys.executable, "-B", "-c", watched], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for module in (pages, sources):
        monkeypatch.setattr(module, "PACKAGE", package)
    (tmp_path / "reference").mkdir()
    pages.write(tmp_path / "reference")
    written = [*tmp_path.glob("reference/**/*.rst"), *package.glob("r*/**/*.py")]
    assert len(written) > 30
    for path in written:
        assert not [line for line in path.read_text(encoding="utf-8").splitlines() if line.lstrip().startswith((".. raw", ".. include"))]


@pytest.mark.parametrize("word", PATHS)
def test_a_path_is_one_of_a_url_or_refused(word: str, tmp_path: Path) -> None:
    in_a_url = () if word == "wplace" else (PAYLOADS[1],)
    for payload in PAYLOADS:
        given = planted(example(), {word: payload})
        if payload in in_a_url:
            generated(given, tmp_path)
            assert_harmless(tmp_path)
            continue
        with pytest.raises(Refused, match=r"^/paths/.*: is no path") as caught:
            generated(given, tmp_path)
        assert "\n" not in str(caught.value)


def test_a_refusal_that_quotes_the_document_is_one_line() -> None:
    with pytest.raises(Refused) as caught:
        parse(json.dumps(planted(example(), {"wpattern": "\n(\x1b[31m"})).encode(), "the document")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", ["!!binary aGk=", "!!set {a, b}", ".inf", ".nan", '"\\ud800"'])
def test_what_json_has_no_word_for_is_refused_with_its_place(value: str) -> None:
    text = f"openapi: 3.0.3\ninfo: {{title: a, version: b}}\npaths: {{}}\nx-a: [1, {value}]\n"
    with pytest.raises(Refused) as caught:
        parse(text.encode(), "the document")
    assert (caught.value.pointer, "JSON" in caught.value.reason) == ("/x-a/1", True)


@pytest.mark.parametrize(("text", "where"), [("{200: a, '200': b}", "/x-a"), (f"[0x{'f' * 5000}]", "/x-a/0")])
def test_what_is_another_thing_in_json_is_refused_with_its_place(text: str, where: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(f"openapi: 3.0.3\ninfo: {{title: a, version: b}}\npaths: {{}}\nx-a: {text}\n".encode(), "the document")
    assert caught.value.pointer == where


@pytest.mark.parametrize("levels", [200, 900, 50_000])
def test_what_is_nested_without_an_end_is_refused(levels: int) -> None:
    text = f'{{"openapi": "3.0.3", "info": {{"title": "a", "version": "b"}}, "paths": {{}}, "x-a": {"[" * levels}{"]" * levels}}}'
    with pytest.raises(Refused, match="is nested too deep"):
        parse(text.encode(), "the document")


def test_a_character_in_two_escapes_is_that_character() -> None:
    assert load(json.dumps({"a": "\U0001f600"}), "a document") == {"a": "\U0001f600"}


@pytest.mark.parametrize("word", ["wgetoperation", "wmethod", "wresource"])
def test_what_cannot_be_made_a_name_is_refused_with_its_place(word: str) -> None:
    for text in ("", "!!!", "2fa"):
        given = json.loads(json.dumps(example()).replace(word, text))
        place = "/paths/~1get-wpath~1{wplace}/get/operationId" if word == "wgetoperation" else "/paths/~1create-wthing"
        where, reason = refused(lambda document: generated(document, Path()), given)
        assert (where, "cannot be made" in reason) == (place, True)


def test_a_template_can_write_names_and_what_a_filter_has_made_and_nothing_else() -> None:
    environment = Environment(autoescape=True, finalize=only_code)
    environment.filters.update(code=code)
    shown = environment.from_string("{{ name }}: {{ type | code }} = {{ default }}")
    assert shown.render(name="a.b_c", type='Literal["<&>"] | None', default="") == 'a.b_c: Literal["<&>"] | None = '
    for name in ("a b", "a()", "class", "a\n", '"', "ﬁeld", 3, None):
        with pytest.raises(Refused):
            shown.render(name=name, type="str", default="")
    for kind in ("boom()", "a.b", "str, boom()", "[boom() for _ in ()]", "str = 1", "lambda: 0", "str #\n", "One(boom())", "", 'f"{a}"'):
        with pytest.raises(Refused):
            shown.render(name="a", type=kind, default="")
    with pytest.raises(Refused):
        shown.render(name="a", type="str")


@pytest.mark.parametrize("text", [*PAYLOADS, '"', '"""', "\\", 'ends with "', "a\\N{DIGIT ONE}\\x", '\\"""', "\ud800"])
def test_a_docstring_says_its_text_and_a_literal_is_its_value(text: str) -> None:
    for indent in (0, 4):
        (node,) = ast.parse(f"class A:\n{docstring(text, 4)}" if indent else docstring(text)).body
        said = ast.get_docstring(node) if isinstance(node, ast.ClassDef) else ast.literal_eval(node.value)  # type: ignore[attr-defined]
        assert " ".join(str(said).split()) == " ".join("\n".join(visible(line) for line in text.split("\n")).split())
    assert ast.literal_eval(literal(text)) == text
    assert literal(text).isprintable()


def test_what_is_no_value_is_not_written() -> None:
    for value in (float("inf"), float("nan"), {"a": 1}, b"a", object()):
        with pytest.raises(Refused):
            literal(value)


def test_the_account_of_changes_keeps_a_change_on_its_line() -> None:
    for payload in PAYLOADS:
        text = markdown([Change(Impact.ADDITIVE, "field", "added", payload, (f'A["{payload}"]',))])
        head, _, line = text.splitlines()
        assert (head, line.count("`")) == ("- New (1):", 2)
