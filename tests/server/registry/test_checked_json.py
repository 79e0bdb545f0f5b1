"""JSON that was written elsewhere: what no reader of ours can carry is refused with a reason."""

from __future__ import annotations

import pytest

from penstock.server.files.checked_json import ContentError, decode_object


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": ' + "[" * 200_000, "nested too deeply"),
        ('{"a": ' + "9" * 5_000 + "}", "5000 digits, expected one of 64 bits"),
        ('{"a": 1' + "0" * 400 + "}", "401 digits, expected one of 64 bits"),
        ('{"a": 1e999}', "too large for a number of 64 bits"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"\\uDFFF": 1}', "half of a surrogate pair"),
        ("[]", "not an object"),
        ("\xff", "not valid JSON"),
        ("", "not valid JSON"),
    ],
)
def test_what_cannot_be_carried_is_refused(text, reason):
    with pytest.raises(ContentError, match=reason) as caught:
        decode_object(text.encode("latin-1"), "a.json")
    assert str(caught.value).startswith("a.json: ")
    assert len(str(caught.value)) < 500


def test_what_is_valid_is_read_as_it_is():
    keys = decode_object(b'{"a": 18446744073709551615, "b": -1.5e3, "c": "\\u00e4"}', "x")
    assert (keys.get("a", int), keys.get("b", float), keys.get("c", str)) == (2**64 - 1, -1500, "ä")


def test_what_we_wrote_ourselves_is_read_whatever_it_holds():
    keys = decode_object(b'{"a": "\\ud800", "b": 1' + b"0" * 400 + b"}", "x", own=True)
    assert (keys.get("a", str), keys.get("b", int)) == ("\ud800", 10**400)
