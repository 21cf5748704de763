from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest

from pytest_loadperf.redact import named_secrets, redact, without_cut_secret


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("http://me:geheim@host/path", "http://***@host/path"),
        ("/search?q=geheim&page=2#top", "/search?q=***&page=***"),
        ("Authorization: Bearer geheim12345", "Authorization: ***"),
        ("sent Basic Z2VoZWltOmdlaGVpbQ== there", "sent Basic *** there"),
        ("{'Cookie': 'sid=geheim'}", "{'Cookie': '***'}"),
        ('{"user": "me", "password": "geheim", "age": 7}', '{"user": "me", "password": "***", "age": 7}'),
        ("{'access_token': 'geheim'}", "{'access_token': '***'}"),
        ("user=me client_secret=geheim page=2", "user=me client_secret=*** page=2"),
        ("the token is wrong, tokens=12", "the token is wrong, tokens=12"),
        ("db_password=geheim next", "db_password=*** next"),
        ("login(user='me', password='geheim')", "login(user='me', password='***')"),
        ('{"accessToken": "geheim", "a": "b"}', '{"accessToken": "***", "a": "b"}'),
        ('{"token": 12345678, "a": 1}', '{"token": ***, "a": 1}'),
        ("{'X-Auth-Token': 'geheim', 'a': 'b'}", "{'X-Auth-Token': '***', 'a': 'b'}"),
        ("""{"password": "it's geheim", "a": 1}""", """{"password": "***", "a": 1}"""),
        (r'{"password": "a\"geheim", "a": 1}', '{"password": "***", "a": 1}'),
        (r"{\'Cookie\': \'sid=geheim\', \'Host\': \'h\'}", r"{\'Cookie\': \'***\', \'Host\': \'h\'}"),
        ('GET /\r\nCookie: a="geheim"; b=geheim\r\nHost: h', "GET /\r\nCookie: ***\r\nHost: h"),
        (r"'GET /\r\nCookie: a=geheim\r\nHost: h'", r"'GET /\r\nCookie: ***\r\nHost: h'"),
        ("no secret: 1 + 1 = 2? yes", "no secret: 1 + 1 = 2? yes"),
    ],
)
def test_secrets_are_taken_out(text: str, safe: str) -> None:
    assert redact(text) == safe


def test_given_secrets_are_taken_out_wherever_they_stand() -> None:
    assert redact("key=geheim, longer=geheimnis", ["geheim", "geheimnis"]) == "key=***, longer=***"


def test_values_too_short_for_a_secret_do_not_eat_the_text() -> None:
    assert redact("1 of 10 is on", ["1", "on"]) == "1 of 10 is on"


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (b"heim-4711 is wrong", b" is wrong"),
        (b"1 is wrong", b" is wrong"),
        (b"geheim-4711 is wrong", b"geheim-4711 is wrong"),  # whole: `redact` knows it
        (b"none is wrong", b"none is wrong"),
    ],
)
def test_what_is_left_of_a_secret_that_was_cut_in_two_is_taken_away(words: bytes, left: bytes) -> None:
    assert without_cut_secret(words, ["geheim-4711", "other"]) == left


def test_what_an_environment_calls_a_secret_is_one() -> None:
    environ = {
        "CI_TOKEN": "geheim-01",
        "DB_PASSWORD": "geheim-02",
        "AWS_SECRET_ACCESS_KEY": "geheim-03",
        "api_key": "geheim-01",
        "CREDENTIALS": "geheim-04",
        "PIN_SECRET": "0815",
        # none:
        "HOME": "/home/geheim",
        "DB_PASSWORD_FILE": "/run/geheim",
        "PROJECT_KEY": "checkout-service",
        "POSTGRES_PASSWORD": "postgres",
        "EMPTY_TOKEN": "",
        "OTHER_TOKEN": "abc",
    }
    assert named_secrets(environ) == ("0815", "geheim-01", "geheim-02", "geheim-03", "geheim-04")


@pytest.mark.parametrize("secret", ["one\nline more", 'it\'s a "secret"', "back\\slash", "a b/c?d", "ß-geheim"])
def test_a_given_secret_is_found_as_errors_json_and_urls_write_it(secret: str) -> None:
    for text in (secret, repr(secret), json.dumps(secret), quote(secret, safe=""), f"{ValueError(secret)!r}"):
        assert "***" in redact(f"is {text}", [secret])
        assert secret[:3] not in redact(f"is {text}", [secret])


def test_a_long_text_takes_no_long_time() -> None:
    for text in ("a-" * 50_000, "a_" * 50_000, '"' * 100_000, "\\" * 100_000, "cookie:" * 20_000, "token='" * 20_000):
        began = time.monotonic()
        redact(text)
        assert time.monotonic() - began < 5
