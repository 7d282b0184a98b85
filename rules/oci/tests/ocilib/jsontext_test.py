"""Tests of ocilib.jsontext: what jq 1.7 prints (checked with jq itself where a comment says nothing else)."""

import unittest

from ocilib import jsontext


def _again(text: str) -> str:
    return jsontext.dumps(jsontext.parse(text.encode(), "x.json"))


class JsonTextTest(unittest.TestCase):
    def test_printing_is_pretty_like_jq(self) -> None:
        for text, expected in (
            ("{}", "{}"),
            (" [ ] ", "[]"),
            ("[[],{}]", "[\n  [],\n  {}\n]"),
            (
                '{"b":1,"a":{"c":[1,"x",null,true,false]}}',
                '{\n  "b": 1,\n  "a": {\n    "c": [\n      1,\n      "x",\n      null,\n      true,\n      false\n    ]\n  }\n}',
            ),
            ('"/<>&é€😀"', '"/<>&é€😀"'),
            (r'"\u0001\u001f\u007f\b\f\n\r\t\"\\\/"', r'"\u0001\u001f\u007f\b\f\n\r\t\"\\/"'),
            (r'"\u00e9\ud83d\ude00"', '"é😀"'),
        ):
            with self.subTest(text=text):
                self.assertEqual(_again(text), expected)

    def test_a_key_that_comes_twice_keeps_its_place_and_takes_the_last_value(self) -> None:
        self.assertEqual(_again('{"a":1,"b":2,"a":3}'), '{\n  "a": 3,\n  "b": 2\n}')

    def test_a_number_that_python_would_not_take_is_refused(self) -> None:
        self.assertEqual(_again("9" * 4000), "9" * 4000)
        with self.assertRaisesRegex(jsontext.JsonError, "x.json: a number of more than 4000 digits at character 5000"):
            _again("9" * 5000)

    def test_numbers_keep_their_text_in_canonical_form(self) -> None:
        # jq 1.7's manual, section on numbers; and the General Decimal Arithmetic specification, to-scientific-string.
        for text, expected in (
            ("0", "0"),
            ("-0", "-0"),
            ("12345678909876543212345", "12345678909876543212345"),
            ("1.000", "1.000"),
            ("100e-2", "1.00"),
            ("1e2", "1E+2"),
            ("0.0000001", "1E-7"),
        ):
            with self.subTest(text=text):
                self.assertEqual(_again(text), expected)

    def test_what_is_no_json_is_refused_with_its_place(self) -> None:
        for text in (
            "",
            "{",
            "[1,",
            '{"a"}',
            '{"a":1,}',
            "[1,]",
            "[1 2]",
            "1 2",
            "01",
            "+1",
            ".5",
            "-",
            "tru",
            "nan",
            '"\x01"',
            r'"\x"',
            r'"\u12"',
            r'"\ud800"',
            '"abc',
            "'a'",
        ):
            with self.subTest(text=text), self.assertRaisesRegex(jsontext.JsonError, "^x.json: "):
                _again(text)

    def test_nesting_has_a_limit(self) -> None:
        _again("[" * 250 + "]" * 250)
        with self.assertRaisesRegex(jsontext.JsonError, "levels"):
            _again("[" * 100_000)

    def test_a_byte_order_mark_is_skipped(self) -> None:
        self.assertEqual(jsontext.parse(b"\xef\xbb\xbf1", "x"), 1)

    def test_invalid_utf_8_becomes_replacement_characters_as_in_jq(self) -> None:
        for data, expected in (
            (b"a\xffb", "a�b"),
            (b"\xc3A", "�A"),
            (b"\xc3", "�"),
            (b"\xe2\x82A", "�A"),
            (b"\xe2\x82", "�"),
            (b"\xed\xa0\x80", "�"),
            (b"\xf4\x90\x80\x80", "�"),
            (b"\xc0\x80", "��"),
            # The end cuts off what could be a character of four bytes: all that is left is one.
            (b"\xf0AB", "�"),
        ):
            with self.subTest(data=data):
                self.assertEqual(jsontext.decode(data), expected)

    def test_an_object_is_asked_for(self) -> None:
        self.assertEqual(jsontext.parse_object(b'{"a":1}', "x"), {"a": 1})
        with self.assertRaisesRegex(jsontext.JsonError, "x: expected a JSON object"):
            jsontext.parse_object(b"[]", "x")


if __name__ == "__main__":
    unittest.main()
