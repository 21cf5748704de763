from __future__ import annotations

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
        **{
            "CI_TOKEN": "geheim-01",
            "DB_PASSWORD": "geheim-02",
            "AWS_SECRET_ACCESS_KEY": "geheim-03",
            "api_key": "geheim-01",
        },
        **{
            "HOME": "/home/geheim",
            "DB_PASSWORD_FILE": "/run/geheim",
            "PIN_TOKEN": "geheim",
            "CREDENTIALS": "geheim-04",
        },
    }
    assert named_secrets(environ) == ("geheim-01", "geheim-02", "geheim-03", "geheim-04")
