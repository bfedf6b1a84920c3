"""Files: what stands in them is what is meant, and writing leaves the rest as people wrote it."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from retell_async._core.errors import ConfigurationError
from retell_async.config.difference import Change, told
from retell_async.config.folder import Folder, read_folder
from retell_async.config.state import read_state
from retell_async.config.values import Token, Vault, concealed, escape, expand, pieces, rewritten, secrets_in, unescape

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LONG = st.builds(lambda text, times: text * times, TEXT, st.sampled_from([1, 1, 20]))
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | LONG,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    return root


def write(root: Path, files: dict[str, str]) -> Path:
    return tree(root, **{name.replace("/", "__"): text for name, text in files.items()})


def checked(root: Path, environment: str = "default") -> Folder:
    folder = read_folder(root, environment)
    folder.check()
    return folder


def shown(value: Any) -> Any:
    """A value of an account as a file holds it."""
    return concealed(value, None, Vault({}), ("llms/x",))


def written_and_read(*values: Any) -> None:
    with TemporaryDirectory() as name:
        root = Path(name)
        for value in values:
            wanted = {"general_prompt": [shown(value)]}
            read_folder(root, "default", writing=True).write("llms/x", wanted)
            folder = read_folder(root, "default")
            assert folder.problems == []
            assert folder.wanted["llms/x"] == wanted
            stamp = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
            assert not read_folder(root, "default", writing=True).write("llms/x", wanted).changed
            assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == stamp


@pytest.mark.parametrize(
    "values",
    [
        ("\ufeff" + "a\n" * 9, "\ufeff" + "b\n" * 9, "c\n" * 9, "\ufeffa", "\ufeff"),
        ("a\nb", "a\r\nb", "x\x85y\u2028z\ufeff", " a\n b\n", "\n", "a\nb\n\n"),
        (
            ["- a", "#", "", " ", "\n", "\t", "null", "0x1", "1e3", "~", "2026-01-01", "012", "yes", ": "],
            {"": 1e-7, "a b": -0.0, "k": 1e300},
        ),
        ("line \n" * 9, ["${{ env.X }}", "$${{ x }}", "${{", "US$${{ vars.a }}"], "other \n" * 9),
        ([{"name": "a", "text": "\n\n\n\n\n\n\n"}], [{"name": "b"}, {"name": "a", "text": "other"}], [], None),
        (["a", "b", "c"], ["c", "a"], ["a", "b", "c"]),
    ],
)
def test_what_is_written_is_read_again(values: tuple[Any, ...]) -> None:
    written_and_read(*values)


@pytest.mark.soak
@pytest.mark.parallel
@settings(max_examples=20)
@given(VALUE, VALUE)
def test_whatever_is_written_is_read_again(first: Any, second: Any) -> None:
    written_and_read(first, second, first)


@settings(max_examples=20)
@given(TEXT)
@example("$${{ $$${{")
def test_a_text_of_the_account_means_itself(text: str) -> None:
    assert unescape(escape(text)) == text


HAND = """\
# Who answers.
agent_name: Front desk   # as callers know it
voice_id: retell-Cimo

response_engine: {type: retell-llm, llm_id: llms/front}
# how it speaks
voice_speed: 1.0
pronunciation_dictionary:
  # ours
  - word: actually
    alphabet: ipa
    phoneme: x
  - {word: data, alphabet: ipa, phoneme: "y"}
"""


def test_comments_order_and_styles_stay(tmp_path: Path) -> None:
    write(tmp_path, {"agents/front.yaml": HAND, "llms/front.yaml": "general_prompt: Hi\n"})
    folder = read_folder(tmp_path, "default", writing=True)
    fields = dict(folder.wanted["agents/front"])
    words = [dict(word) for word in fields["pronunciation_dictionary"]]
    words[1]["phoneme"] = "z"
    folder.write("agents/front", {**fields, "pronunciation_dictionary": words, "volume": 0.5})
    text = (tmp_path / "agents/front.yaml").read_text()
    assert text == HAND.replace('phoneme: "y"', 'phoneme: "z"') + "volume: 0.5\n"


LOOSE = """\
%YAML 1.2
---
begin_message: "f\\u00fcr"   # callers
default_dynamic_variables: {a: "1",   # CRM ticket 4711
   c: "x"}
general_tools:
# the first
- type: end_call
  name: end
  description: d

- {type: end_call, name: other,
   description: e}
model_temperature: 0.50
...
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_with_nothing_to_write_is_left_as_it_is(tmp_path: Path, end: str) -> None:
    path = write(tmp_path, {"llms/a.yaml": ""}) / "llms/a.yaml"
    path.write_bytes(content := LOOSE.replace("\n", end).encode())
    folder = read_folder(tmp_path, "default", writing=True)
    assert not folder.write("llms/a", dict(folder.wanted["llms/a"])).changed
    assert path.read_bytes() == content
    folder = read_folder(tmp_path, "default", writing=True)
    path.write_text("begin_message: saved since\n")
    folder.write("llms/a", dict(folder.wanted["llms/a"]))
    assert path.read_text() == "begin_message: saved since\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_other_lines_stay_as_people_wrote_them(tmp_path: Path, end: str) -> None:
    path = write(tmp_path, {"llms/a.yaml": ""}) / "llms/a.yaml"
    path.write_bytes(LOOSE.replace("\n", end).encode())
    folder = read_folder(tmp_path, "default", writing=True)
    fields = dict(folder.wanted["llms/a"])
    first, second = fields["general_tools"]
    fields |= {"model_temperature": 0.25, "general_tools": [first | {"description": "new"}, second]}
    assert folder.write("llms/a", fields).changed
    wanted = LOOSE.replace("0.50", "0.25").replace("description: d", "description: new")
    assert path.read_bytes().decode() == wanted.replace("\n", end)
    assert read_folder(tmp_path, "default").wanted["llms/a"] == fields


def test_where_lines_cannot_stay_the_file_means_what_it_should(tmp_path: Path) -> None:
    write(
        tmp_path, {"llms/a.yaml": "general_tools:\n  - type: end_call\nstates:\n      - name: a\n        tools: [{type: x,\n  name: y}]\n"}
    )
    folder = read_folder(tmp_path, "default", writing=True)
    fields = dict(folder.wanted["llms/a"]) | {"states": [{"name": "b"}, {"name": "a", "tools": []}], "begin_message": "Hi"}
    assert folder.write("llms/a", fields).changed
    assert read_folder(tmp_path, "default").wanted["llms/a"] == fields


@pytest.mark.parametrize("saved", ["llms/a.yaml", "llms/p.md", "environments/default.yaml"])
def test_what_was_saved_since_it_was_read_is_not_written_over(tmp_path: Path, saved: str) -> None:
    write(
        tmp_path,
        {
            "llms/a.yaml": "begin_message: Hi\ngeneral_prompt: ${{ file p.md }}\n",
            "llms/p.md": "Be brief.\n",
            "environments/default.yaml": "values:\n  llms/a:\n    model_temperature: 1\n",
        },
    )
    folder = read_folder(tmp_path, "default", writing=True)
    with (tmp_path / saved).open("a") as file:
        file.write("# mine\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigurationError, match=f"{saved} was saved by somebody else"):
        folder.write("llms/a", {"begin_message": "Ho", "general_prompt": "Be long.", "model_temperature": 0})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("files", "error"),
    [
        (
            {"agents/a.yaml": "voice_id: x\nresponse_engine:\n  type: custom-llm\n  llm_websocket_url: u\nvoice_sped: 1\n"},
            "agents/a.yaml:5: voice_sped",
        ),
        ({"agents/a.yaml": "voice_id: x\n"}, "agents/a.yaml:1: lacks response_engine"),
        (
            {"llms/a.yaml": "\nstates:\n  - name: one\n    tools:\n      - type: end_call\n"},
            "llms/a.yaml:5: states[0].tools[0]: lacks name",
        ),
        (
            {"llms/a.yaml": "states:\n- name: one\n  edgs: []\n"},
            "llms/a.yaml:3: states[0].edgs: the API has no such field here: near it are edges",
        ),
        ({"llms/a.yaml": "model_temperature: warm\n"}, "llms/a.yaml:1: model_temperature"),
        ({"llms/a.yaml": "a: 1\na: 2\n"}, "llms/a.yaml:2: found duplicate key"),
        ({"llms/a.yaml": "- a\n"}, "llms/a.yaml:1: holds no settings"),
        ({"llms/a.yaml": "a: [\n"}, "llms/a.yaml:2: "),
        (
            {"llms/a.yaml": "general_prompt: ${{ vars.who }}\n"},
            "llms/a.yaml:1: general_prompt: the environment default has no variable who",
        ),
        ({"llms/a.yaml": "general_prompt: ${{ who }}\n"}, "write $${{"),
        ({"llms/a.yaml": "general_prompt: ${{ file a.md }}\n"}, "a.md cannot be read: No such file"),
        ({"llms/a.yaml": "general_prompt: ${{ file ../../../../etc/passwd }}\n"}, "is outside the folder"),
        (
            {"llms/a.yaml": "knowledge_base_ids: [knowledge_bases/b]\n"},
            "llms/a.yaml:1: knowledge_base_ids[0]: there is no file for knowledge_bases/b",
        ),
        (
            {"llms/a.yaml": "mcps:\n  - name: m\n    url: https://m.example\n    headers:\n      X-Api-Key: 0a1b2c\n"},
            "llms/a.yaml:5: mcps[0].headers.X-Api-Key: holds a key",
        ),
        (
            {"environments/default.yaml": "variables: {key: sk-0123456789abcdefghij01}\n"},
            "environments/default.yaml:1: variables.key: holds a key",
        ),
        ({"environments/default.yaml": "varables: {}\n"}, "environments/default.yaml:1: varables"),
        (
            {"environments/default.yaml": "values:\n  agents/b: {volume: 1}\n"},
            "environments/default.yaml:2: values.agents/b: there is no such file",
        ),
        (
            {"environments/default.yaml": "values:\n  llms/a:\n    model_temperature: hot\n", "llms/a.yaml": "general_prompt: x\n"},
            "environments/default.yaml:3: model_temperature",
        ),
        ({"agents/a.yaml": "extends: _b\n"}, "agents/a.yaml:1: extends: there is no file for agents/_b"),
        ({"agents/a.yaml": "extends: _b\n", "agents/_b.yaml": "extends: a\n"}, "goes in a circle"),
        ({"agents/a.yaml": "agent_name: A\nwebhook_url: !secret x\n"}, "agents/a.yaml:2: webhook_url: a tag (!secret) is no value"),
        ({"agents/a.yaml": "agent_name: A\nvoice_speed: !!binary aGVsbG8=\n"}, "agents/a.yaml:2: voice_speed: is no value of JSON"),
        ({"agents/a.yaml": "agent_name: A\nboosted_keywords: !!set {a, b}\n"}, "agents/a.yaml:2: boosted_keywords: is no value of JSON"),
        ({"llms/a.yaml": "general_tools:\n  - name: t\n    ? [1, 2]\n    : x\n"}, "llms/a.yaml:2: general_tools[0]: is no value of JSON"),
        ({"environments/default.yaml": "variables:\n  host: !Ref x\n"}, "environments/default.yaml:2: variables.host: a tag (!Ref)"),
        *(
            (
                {"environments/default.yaml": f"variables:\n  host: {said}\n", "llms/a.yaml": "\ngeneral_prompt: At ${{ vars.host }}.\n"},
                "llms/a.yaml:2: general_prompt: ${{ vars.host }} is no text",
            )
            for said in ("true", "1.50", "[a]", "007", "{a: b}")
        ),
        *(
            (
                {"environments/default.yaml": "variables:\n  host:\n", "llms/a.yaml": f"begin_message: {text}\n"},
                "llms/a.yaml:1: begin_message: the variable host is empty in environments/default.yaml",
            )
            for text in ("${{ vars.host }}", "at ${{ vars.host }}")
        ),
        *(
            ({"environments/default.yaml": f"variables: {{}}\nprofile: {said}\n"}, "environments/default.yaml:2: profile: is no text")
            for said in ("3", "true", "[a]", "{a: b}", '""', "")
        ),
        ({"llms/a.yaml": "general_prompt: a\nbegin_message: \udce9\n"}, "llms/a.yaml:2: cannot be read: 'utf-8' codec"),
        ({"llms/a.yaml": BOMB}, "llms/a.yaml:1: says more than 500,000 values"),
        ({"agents/a.YAML": "agent_name: A\n"}, "agents/a.YAML:1: is not read: write its ending .yaml"),
    ],
)
def test_an_error_names_file_line_and_field(files: dict[str, str], error: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        checked(write(tmp_path, files))
    assert error in str(refused.value)
    assert "sk-01" not in str(refused.value)


@pytest.mark.needs("fifo")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, {"llms/a.yaml": "general_prompt: ${{ file p.md }}\n"})
    for name in ("llms/p.md", "llms/b.yaml"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigurationError) as refused:
        checked(tmp_path)
    assert "llms/b.yaml:1: cannot be read: it is no file" in str(refused.value)
    assert "llms/a.yaml:1: general_prompt: p.md cannot be read: it is no file" in str(refused.value)


@pytest.mark.needs("symlink")
def test_a_link_to_nothing_is_no_file_that_was_taken_away(tmp_path: Path) -> None:
    write(tmp_path, {"llms/b.yaml": "general_prompt: b\n"})
    (tmp_path / "llms/a.yaml").symlink_to("gone.yaml")
    with pytest.raises(ConfigurationError, match=r"^llms/a\.yaml:1: is a link to what is not there$"):
        checked(tmp_path)


def test_the_mark_of_an_editor_is_no_part_of_a_prompt(tmp_path: Path) -> None:
    write(tmp_path, {"llms/a.yaml": "general_prompt: ${{ file a.md }}\n", "llms/a.md": "\ufeffA prompt.\n"})
    folder = read_folder(tmp_path, "default", writing=True)
    assert folder.wanted["llms/a"] == {"general_prompt": "A prompt."}
    assert folder.write("llms/a", {"general_prompt": "Another prompt."}).changed
    assert (tmp_path / "llms/a.md").read_text() == "Another prompt.\n"


def test_what_is_not_read_is_known(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys(("new.yaml", "bots/x.YML", ".github/x.yaml", "notes.md"), "a: b\n"))
    assert checked(tmp_path).unread == ["bots/x.YML", "new.yaml"]


FAMILY = {
    "agents/_family.yaml": "voice_id: retell-Cimo\nlanguage: de-DE\n"
    "response_engine: {type: custom-llm, llm_websocket_url: 'wss://${{ vars.host }}/ws'}\n",
    "agents/one.yaml": "extends: _family\nagent_name: One\n",
    "agents/two.yaml": "extends: one\nlanguage: en-US\n",
    "environments/default.yaml": "variables: {host: a.example}\nvalues:\n  agents/two: {volume: 2}\n",
    "environments/prod.yaml": "profile: prod\nvariables: {host: b.example}\n",
}


def test_families_and_environments(tmp_path: Path) -> None:
    write(tmp_path, FAMILY)
    here, prod = checked(tmp_path).wanted, checked(tmp_path, "prod")
    assert {*here} == {"agents/one", "agents/two"}
    assert here["agents/two"] == {
        "voice_id": "retell-Cimo",
        "language": "en-US",
        "response_engine": {"type": "custom-llm", "llm_websocket_url": "wss://a.example/ws"},
        "agent_name": "One",
        "volume": 2,
    }
    assert prod.environment.profile == "prod"
    assert prod.wanted["agents/one"]["response_engine"]["llm_websocket_url"] == "wss://b.example/ws"
    assert "volume" not in prod.wanted["agents/two"]


def test_writing_touches_the_file_in_which_a_setting_stands(tmp_path: Path) -> None:
    write(tmp_path, FAMILY)
    folder = read_folder(tmp_path, "default", writing=True)
    fields = {name: value for name, value in folder.wanted["agents/two"].items() if name != "agent_name"}
    folder.write("agents/two", {**fields, "volume": 1, "voice_id": "openai-Echo"})
    assert {name: (tmp_path / name).read_text() for name in FAMILY} == {
        **FAMILY,
        "agents/two.yaml": "extends: one\nlanguage: en-US\nvoice_id: openai-Echo\nagent_name:\n",
        "environments/default.yaml": "variables: {host: a.example}\nvalues:\n  agents/two: {volume: 1}\n",
    }
    again = read_folder(tmp_path, "default", writing=True)
    assert not again.write("agents/two", {**fields, "volume": 1, "voice_id": "openai-Echo"}).changed


@pytest.mark.parametrize(
    ("place", "text", "found"),
    [
        (("headers", "Authorization"), "Bearer abc", ["abc"]),
        (("headers", "Authorization"), "Bearer {{token}}", []),
        (("headers", "Authorization"), "${{ env.A }}", []),
        (("headers", "Authorization"), "Bearer ${{ env.A }}", []),
        (("headers", "x-api-key"), "abc", ["abc"]),
        (("headers", "X-Team"), "north", []),
        (("query_params", "access_token"), "a1b2c3", ["a1b2c3"]),
        (("tools", 0, "cal_api_key"), "cal_live_1", ["cal_live_1"]),
        (("url",), "https://a.example/x?api_key=9f8e7d6c&y=1", ["9f8e7d6c"]),
        (("url",), "https://user:pass@a.example/", ["user:pass"]),
        (("url",), "https://a.example/x?page=2", []),
        (("general_prompt",), "Say the token={{x}} twice. Authorization is needed.", []),
        (("code",), 'fetch(u, {headers: {a: "Bearer abcdefghijklmnop1"}})', ["abcdefghijklmnop1"]),
        (("general_prompt",), "key sk-ant-0123456789abcdefghij", ["sk-ant-0123456789abcdefghij"]),
        (("headers", "Ocp-Apim-Subscription-Key"), "0123456789abcdef", ["0123456789abcdef"]),
        (("headers", "X-Keyboard"), "qwerty", []),
        (("url",), "https://maps.example/geo?key=AIzaSyA1234567890abcdefghijk", ["AIzaSyA1234567890abcdefghijk"]),
        (("url",), "https://a.example/x?monkey=1&sort_key=name", []),
        (("url",), "https://hooks.slack.com/services/T00000000/B00000000/XXXX", ["T00000000/B00000000/XXXX"]),
        (("default_dynamic_variables", "api_key"), "plainsecret123", ["plainsecret123"]),
        (("dynamic_variables", "crm_password"), "hunter2", ["hunter2"]),
        (("default_dynamic_variables", "author"), "Ann", []),
        (("general_prompt",), "Charge sk_live_51Habcdefghijk, please", ["sk_live_51Habcdefghijk"]),
        (("general_prompt",), "SG.abcdefghijklmnop.qrstuvwxyz0123456789", ["SG.abcdefghijklmnop.qrstuvwxyz0123456789"]),
        (("code",), '"Bearer abcdefghijklmnop="', ["abcdefghijklmnop="]),
        (("headers", "X-Api-Key"), "sec_abcdef123456-{{call_id}}", ["sec_abcdef123456-"]),
        (("headers", "Authorization"), "Bearer {{tenant}}.a1b2c3d4e5", [".a1b2c3d4e5"]),
        (("headers", "Authorization"), "{{user}}:{{password}}", []),
        (("headers", "Authorization"), "Basic dXNlcjpwYXNz", ["dXNlcjpwYXNz"]),
        (("headers", "Authorization"), "Bearer", []),
        (("headers", "X-Author"), "reception", []),
        (("headers", "X-Authority-Id"), "reception", []),
        (("general_prompt",), "We take bearer certificates and bearer instruments.", []),
        (("headers", "X-Functions-Key"), "a1b2c3", ["a1b2c3"]),
        (("headers", "appKey"), "a1b2c3", ["a1b2c3"]),
        (("headers", "X-Turkey"), "abc", []),
        (("query_params", "code"), "aB3dE6gH9jK2mN5pQ8sT==", ["aB3dE6gH9jK2mN5pQ8sT=="]),
        (("query_params", "code"), "DE", []),
        (("url",), "https://f.example/api?code=aB3dE6gH9jK2mN5pQ8sT%3D%3D&x=1", ["aB3dE6gH9jK2mN5pQ8sT%3D%3D"]),
        (("url",), "https://f.example/api?code=DE&accessToken=a1b2c3", ["a1b2c3"]),
        (("variables", "crm_api_key"), "plain", ["plain"]),
        (("variables", "crmToken"), "a1b2c3", ["a1b2c3"]),
        (("variables", "host"), "a.example", []),
        (("code",), "const apiKey = 'zz11yy22xx33ww44vv55'; return apiKey", ["zz11yy22xx33ww44vv55"]),
        (("code",), 'headers: {"x-api-key": "9f8e7d6c5b4a"}', ["9f8e7d6c5b4a"]),
        (("code",), r'"{\"client_secret\": \"9f8e7d6c5b4a\"}"', ["9f8e7d6c5b4a"]),
        (("code",), "const password = `hunter2hunter2`", ["hunter2hunter2"]),
        (("code",), "const token = await getAccessTokenOfV2Api10(); if (token == 'expired_token_1') return", []),
        (("code",), "const token = process.env.ACCESS_TOKEN_0123456789", []),
        (("code",), "const token = response2.data[0]; const apiKey = '{{api_key}}'; token = '${{ env.A }}'", []),
        (("general_prompt",), "curl -H 'x-api-key: 9f8e7d6c5b4a39281706f5e4d3c2b1a0'", ["9f8e7d6c5b4a39281706f5e4d3c2b1a0"]),
        (("general_prompt",), "API key: 9f8e7d6c5b4a39281706f5e4d3c2b1a0.", ["9f8e7d6c5b4a39281706f5e4d3c2b1a0"]),
        (("general_prompt",), "-H 'Authorization: Basic dXNlcjpwYXNzd29yZDEyMw=='", ["dXNlcjpwYXNzd29yZDEyMw=="]),
        (("general_prompt",), "Basic understanding helps. Basic conversations, Basic information about plans 24/7.", []),
        (("general_prompt",), "Ask for the password: at least eight characters. Token: internationalization.", []),
        (("general_prompt",), "The secret: be kind. Say 'your token: A1B2C3', then ask for the credentials: name and date of birth.", []),
        (("headers", "X-Max-Tokens"), "200", []),
        (("headers", "X-Token-Type"), "jwt", []),
        (("headers", "X-Idempotency-Key"), "call-{{call_id}}-booking", []),
        (("headers", "Partition-Key"), "clinic-berlin-2", []),
        (("headers", "X-Auth-Token"), "550e8400-e29b-41d4-a716-446655440000", ["550e8400-e29b-41d4-a716-446655440000"]),
        (("headers", "X-Auth-Token"), "qwhdjslakdjfhgnvbcmx", ["qwhdjslakdjfhgnvbcmx"]),
        (("headers", "X-Pass"), "hunter22", ["hunter22"]),
        (("headers", "X-Passenger"), "hunter22", []),
        (("headers", "Authorization"), "disabled", ["disabled"]),
        (("headers", "X-Api-Key"), "Herbst-2024", ["Herbst-2024"]),
        (("default_dynamic_variables", "password"), "to be asked", []),
        (("default_dynamic_variables", "max_token"), "5", []),
        (("default_dynamic_variables", "key"), "zz11yy22xx33ww44", ["zz11yy22xx33ww44"]),
        (("default_dynamic_variables", "crm_auth"), "zz11yy22xx33ww44", ["zz11yy22xx33ww44"]),
        (("default_dynamic_variables", "bearer"), "zz11yy22xx33ww44", ["zz11yy22xx33ww44"]),
        (("default_dynamic_variables", "key"), "C-10293", []),
        (("url",), "https://a.example/reset?token=abc&key=home-page-hero-banner-2024", []),
        (("general_prompt",), "password: at-least-12-characters-and-2-digits", []),
        (("general_prompt",), "Prior authorization: PA-20240311-0042-renewal. Use get_token: fetch_token_v2_from_2024_crm", []),
        *[
            (place, f"Use {key}.", [key])
            for place in (("general_prompt",), ("headers", "X-GH"))
            for key in (
                "github_pat_11ABCDEFG0aBcDeFgHiJkL_MnOpQrStUvWxYz0123456789aBcDeFgHiJkLmNoPqRsTuVwXyZ01",
                "ghs_1234567_eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxMjMifQ.c2lnbmF0dXJl",
                "xapp-1-A0123456-1234567890-dd311ca871902316d9841aab4ccec38d79d89a0d",
                "xoxe-1-My0xLTEyMzQ1Njc4OTA",
                "ASIAULRVFWI0S7R3W0S0",
                "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",
                "ya29.c.b0AaekmKADbpnIrSLeZBoBi4b7ux5JY3qhD",
                "1//0gFU7hXqWkT2RCgYIARAAGBASNwF",
                "whsec_KAc6AjmaE814NGBJ87TocVD1WQVH9sIv",
            )
        ],
        (("url",), "https://hooks.slack.com/triggers/T00000000/1234567890/abcdef", ["T00000000/1234567890/abcdef"]),
        (("url",), "redis://:hunter2@cache.example", [":hunter2"]),
        (("url",), "https://user:p@ss1@a.example/", ["user:p@ss1"]),
        (("code",), '{"url":"https://user:pass@a.example","mail":"me@a.example"}', ["user:pass"]),
        (("code",), "headers['x-api-key'] = 'a1b2c3d4e5f6'", ["a1b2c3d4e5f6"]),
        (("code",), "const apiKey: string = 'a1b2c3d4e5f6'", ["a1b2c3d4e5f6"]),
        (("code",), "PASSWORD=Sup3rS3cret!2024xyz9\n", ["Sup3rS3cret!2024xyz9"]),
        (("code",), "PASSWORD=aB3$dE6@gH9*kL2#mN5%pQ8^!", ["aB3$dE6@gH9*kL2#mN5%pQ8^!"]),
        (("general_prompt",), "token: abcd1234.efgh5678.ijkl9012mn.", ["abcd1234.efgh5678.ijkl9012mn"]),
        (("code",), "token: request2.body.accessTokenV2024", []),
        (("code",), "let token=client.v2Api10.accessToken; if (token=sessionToken12!==null) api_key=$MY_API_KEY_V2_2024", []),
        (("code",), "`token: booking_0123456789_ab${x}` + `secret: $${{ env.A }}`", []),
        (
            ("general_prompt",),
            "The password: Willkommen-im-Haus-2024! Credentials: demo2024@example.com, at-least-12-characters!and-2-digits",
            [],
        ),
        (("general_prompt",), "**API key: 9f8e7d6c5b4a39281706f5e4d3c2b1a0**", ["9f8e7d6c5b4a39281706f5e4d3c2b1a0"]),
        (
            ("general_prompt",),
            "Your token: abcd1234...wxyz5678, or abcd1234****5678. Asianrestaurantsinberlin, github_pat_your_token_goes_here",
            [],
        ),
        (("general_prompt",), "whsec_your_webhook_secret, xapp-your-app-level-token-2024, https://a.example:80, or me@a.example", []),
        (("general_prompt",), "A Bearer instrument-of-payment, or sk-learn-based-scoring-model-v2-final", []),
        (("headers", "Cookie"), "session={{sid}}", []),
        (("headers", "Cookie"), "v=2024; auth=LiveKey_77aa88bb99cc; session={{sid}}", ["v=2024; auth=LiveKey_77aa88bb99cc; session="]),
        (("headers", "Authorization"), "GenieKey {{k}}", []),
        (("headers", "Authorization"), "GenieKey ${{ env.A }}", []),
        (("headers", "X-Api-Key"), "AB12-CD34-EF56-{{n}}", ["AB12-CD34-EF56-"]),
        (("general_prompt",), "Authorization: Bearer  9f8e7d6c5b4a39281706dd", ["9f8e7d6c5b4a39281706dd"]),
        (("general_prompt",), "Send Bearer\t9f8e7d6c5b4a. Then wait.", ["9f8e7d6c5b4a"]),
        (("general_prompt",), "-H 'Authorization: Basic  dXNlcjpwYXNzd29yZDEyMw=='", ["dXNlcjpwYXNzd29yZDEyMw=="]),
        (("code",), r'"Authorization: Bearer\nsk-abcdefghij1234567890ee"', ["sk-abcdefghij1234567890ee"]),
        (
            ("url",),
            "https://a.example/?a=Bearer%20sk-abcdefghij1234567890ff&b=%20key_0123456789abcdef0123",
            ["sk-abcdefghij1234567890ff", "key_0123456789abcdef0123"],
        ),
        (("general_prompt",), "x_ghp_abcdefghijklmnop1234567890gg", ["ghp_abcdefghijklmnop1234567890gg"]),
        (("general_prompt",), "See task-management-for-teams-2024, Asksk-abcdefghij1234567890ee", []),
        *[
            (("general_prompt",), text, ["9f8e7d6c5b4a39281706aa"])
            for text in (
                "**API key:** 9f8e7d6c5b4a39281706aa",
                "- **Password**: 9f8e7d6c5b4a39281706aa",
                "**`api_key`**: `9f8e7d6c5b4a39281706aa`",
                "API key: **9f8e7d6c5b4a39281706aa**",
            )
        ],
        (("general_prompt",), "**Password:** at-least-12-characters-and-2-digits\n\n**Token:**\n* booking_0123456789_ab", []),
        (("code",), "const u='https://'+user+':'+pass+'@host'", []),
        (("code",), "if(a&&key===b) return (a&&key==b); x?token=resp.data:null; a?key=>b:c", []),
        (("url",), "https://a.example/?token=123456:AAbb1122&key=a1b2c3;x=1", ["123456:AAbb1122", "a1b2c3"]),
        (("general_prompt",), "Website:https://acme.example,Tel:030-1234,Mail:info@acme.example", []),
        (("general_prompt",), "Post to https://crm.acme.example:8443?notify=ops@acme.example please", []),
    ],
)
def test_keys_are_seen(place: tuple[str | int, ...], text: str, found: list[str]) -> None:
    assert secrets_in(place, text) == found


@pytest.mark.parametrize("text", ["session=12", "HMAC-SHA256", "Herbst-2024", "GenieKey", "disabled"])
def test_what_is_a_key_by_its_place_alone_is_kept_out_of_no_other_text(text: str) -> None:
    vault = Vault({"KEY": text}, {"KEY"})
    said = f"Say {text}, or https://a.example/x?{text}"
    assert concealed(said, None, vault, ("llms/a", "general_prompt")) == said
    assert concealed(text, None, vault, ("llms/a", "headers", "X-Api-Key")) == "${{ env.A_X_API_KEY }}"


@pytest.mark.parametrize("key", ["a1b2c3d4", "AB12-CD34-EF56", "550e8400-e29b-41d4-a716-446655440000", "aB3$dE6@gH9*kL2", "crm_9f8e7d6c"])
def test_a_key_by_its_looks_is_kept_out_wherever_it_stands(key: str) -> None:
    vault = Vault({"KEY": key}, {"KEY"})
    assert concealed(f"Say {key}.", None, vault, ("llms/a", "general_prompt")) == "Say ${{ env.KEY }}."
    assert concealed(key, None, vault, ("llms/a", "headers", "X-Api-Key")) == "${{ env.KEY }}"


def test_no_key_is_named_as_what_this_package_reads() -> None:
    vault = Vault({})
    for name in ("api_key", "webhook_key"):
        concealed("a1b2c3d4" + name, None, vault, ("llms/retell", "default_dynamic_variables", name))
    assert [*vault.found] == ["_RETELL_API_KEY", "_RETELL_WEBHOOK_KEY"]


@pytest.mark.parametrize("name", ["RETELL_API_KEY", "RETELL_API_KEY_PROD", "RETELL_WEBHOOK_KEY"])
@pytest.mark.parametrize("environment", ["", "variables: {key: '${{ env.NAME }}'}\n"])
def test_the_key_of_a_profile_is_given_to_no_agent(tmp_path: Path, name: str, environment: str) -> None:
    said = "${{ vars.key }}" if environment else "${{ env.NAME }}"
    files = {"llms/a.yaml": f"default_dynamic_variables:\n  api_key: {said}\n", "environments/default.yaml": environment}
    write(tmp_path, {path: text.replace("NAME", name) for path, text in files.items()})
    with pytest.raises(ConfigurationError) as refused:
        checked(tmp_path)
    where = "environments/default.yaml:1: variables.key" if environment else "llms/a.yaml:2: default_dynamic_variables.api_key"
    assert str(refused.value).startswith(f"{where}: {name} is the key of a profile")
    assert "under another name" in str(refused.value)
    assert str(refused.value).count("\n") == 0


@pytest.mark.parametrize("name", ["RETELL_API_KEY_2", "RETELL_DESK_AUTHORIZATION", "_RETELL_API_KEY", "MY_RETELL_API_KEY"])
def test_what_is_no_key_of_a_profile_may_be_referred_to(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"llms/a.yaml": f"default_dynamic_variables:\n  api_key: ${{{{ env.{name} }}}}\n"})
    checked(tmp_path)


def test_mere_words_are_kept_out_of_no_other_text() -> None:
    vault = Vault({"WORD": "disabled", "KEY": "b7e151628aed2a6a"}, {"WORD", "KEY"})
    text = concealed("If the line is disabled, say b7e151628aed2a6a.", None, vault, ("llms/a", "general_prompt"))
    assert text == "If the line is disabled, say ${{ env.KEY }}."
    for tool in ("a", "b"):
        concealed("unavailable", None, vault, ("llms/a", "general_tools", tool, "headers", "Authorization"))
    assert len(vault.found) == 2


@pytest.mark.parametrize("more", ["!", "=", "-rotated-2025-01", ".v2", "x"])
def test_a_key_that_grew_is_another_one(more: str) -> None:
    vault = Vault({"KEY": "Sommer2024"}, {"KEY"})
    place = ("llms/a", "general_tools", "a", "headers", "X-Api-Key")
    assert more not in concealed(f"Sommer2024{more}", "${{ env.KEY }}", vault, place)
    assert [*vault.others] == ["KEY"]


def test_a_key_with_another_one_in_it_is_one_key() -> None:
    vault = Vault({"KEY": "Sommer2024"}, {"KEY"})
    for key, found in (("Sommer2024", "${{ env.KEY }}"), ("Sommer2024!", "${{ env.A_X_API_KEY }}")):
        assert concealed(key, None, vault, ("llms/a", "headers", "X-Api-Key")) == found


def test_white_space_beside_a_reference_is_sent() -> None:
    for text in (" ${{ env.A }} ", "${{ env.A }} and", "\t${{ env.A }}"):
        assert expand(text, lambda _: "b") == text.replace("${{ env.A }}", "b")
    assert expand("${{ env.A }}\n", lambda _: "b") == "b"
    assert expand(" ${{ env.A }} ", lambda _: 3) == 3


@settings(max_examples=40)
@given(TEXT, TEXT, TEXT, TEXT)
@example("Hi ", "!", "Ho ", "!")
@example("", "$", "${{", "$${{")
def test_a_text_that_is_rewritten_keeps_its_references_and_means_the_other_text(first: str, last: str, other: str, end: str) -> None:
    def value(_: Token) -> str:
        return "Staging Inc"

    raw = f"{escape(first)}${{{{ vars.company }}}}{escape(last)}"
    for text in (f"{escape(other)}Staging Inc{escape(last)}", f"{escape(first)}Staging Inc{escape(end)}", escape(other)):
        found = rewritten(raw, value, text)
        if found is not None:
            assert "${{ vars.company }}" in found
            assert "".join(shown for _, shown, _ in pieces(found, value)) == text


def test_what_a_reference_stands_for_is_not_rewritten() -> None:
    values = {"a": "Staging Inc", "b": "Berlin"}
    raw = "We are ${{ vars.a }} of ${{ vars.b }}."

    def changed(text: str) -> str | None:
        return rewritten(raw, lambda token: values[token.name], text)

    assert changed("We are Staging Inc of Berlin. Yes.") == f"{raw} Yes."
    assert changed("We are Staging Inc from Berlin.") == "We are ${{ vars.a }} from ${{ vars.b }}."
    assert changed("They are Staging Inc of Berlin.") == "They are ${{ vars.a }} of ${{ vars.b }}."
    assert changed("We are Prod Inc of Berlin.") is None
    assert changed("They are Staging Inc of Berlin. Yes.") is None


def test_a_key_of_the_account_becomes_a_reference() -> None:
    vault = Vault({})
    tools = [
        {"name": name, "headers": {"Authorization": f"Bearer {key}"}, "url": f"https://a.example?token={key}"}
        for name, key in (("a", "a1b2c3d4"), ("b", "a1b2c3d4"), ("c", "e5f6g7h8"))
    ]
    said = concealed(tools, None, vault, ("llms/sales", "general_tools"))
    assert [tool["headers"]["Authorization"] for tool in said] == [
        "Bearer ${{ env.SALES_A_AUTHORIZATION }}",
        "Bearer ${{ env.SALES_A_AUTHORIZATION }}",
        "Bearer ${{ env.SALES_C_AUTHORIZATION }}",
    ]
    assert vault.found == {"SALES_A_AUTHORIZATION": "a1b2c3d4", "SALES_C_AUTHORIZATION": "e5f6g7h8"}
    assert concealed(tools, said, Vault(vault.found), ("llms/sales", "general_tools")) == said
    lacking, other = Vault({}), Vault({**vault.found, "SALES_C_AUTHORIZATION": "i9j0k1l2"})
    assert concealed(tools, said, lacking, ("llms/sales", "general_tools")) == said
    assert lacking.unknown == {*vault.found}
    assert concealed(tools, said, other, ("llms/sales", "general_tools")) != said
    assert other.others == {"SALES_C_AUTHORIZATION": "e5f6g7h8"}
    assert "e5f6g7h8" not in f"{said}{vault}{other}"


def test_a_state_with_both_sides_of_a_merge_is_told_once(tmp_path: Path) -> None:
    write(tmp_path, {"retell.state.json": "<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n"})
    with pytest.raises(ConfigurationError) as refused:
        read_state(tmp_path, "default")
    assert str(refused.value).count("cannot be read") == str(refused.value).count("put back the version that git has") == 1


def test_what_has_no_width_is_seen_in_a_plan() -> None:
    assert list(told(Change("~", ("a",), "A", "\ufeffA"))) == ['~ a: "A" -> "\\ufeffA"']
