import unittest

from location import Invalid, parse
from sentence import plain, sentence


class Sentence(unittest.TestCase):
    def test_a_location_becomes_a_sentence(self):
        value = b'{"patientId": "123", "lat": 38.7167, "lon": -9.0}'
        self.assertEqual(sentence(b"123", value), b"Patient 123 at location (38.7167, -9)")

    def test_a_tombstone_is_passed_on_under_the_key_of_a_patient(self):
        self.assertIsNone(sentence(b"123", None))
        for key in (None, b"", b"\xff", b"7" * 513):
            with self.assertRaisesRegex(Invalid, "a tombstone's key"):
                sentence(key, None)

    def test_a_number_has_no_exponent(self):
        numbers = {1.5e-7: "0.00000015", -1e-5: "-0.00001", 100.0: "100", -0.0: "-0", 5e-324: f"0.{'0' * 323}5"}
        for number, text in numbers.items():
            self.assertEqual(plain(number), text)


class Location(unittest.TestCase):
    def test_integers_are_exact(self):
        location = parse(b'{"patientId":18446744073709551615,"lat":1,"lon":2,"ts":18446744073709551615}')
        self.assertEqual((location.patient_id, location.ts), ("18446744073709551615", 2**64 - 1))

    def test_a_bad_value_is_refused_for_its_own_reason_and_never_quoted(self):
        for value, reason in (
            (b"", "the value is empty"),
            (b"\xff", "not UTF-8"),
            (b'{"patientId":"SECRET"', "not JSON"),
            (b'{"patientId":"1","lat":NaN,"lon":2}', "not JSON"),
            (b'{"patientId":"\\ud800","lat":1,"lon":2}', "not JSON"),
            (b'"SECRET"', "not an object"),
            (b'{"patientId":"1","lat":1,"l\\u0061t":1,"lon":2}', "`lat` is there twice"),
            (b'{"patientId":1.0,"lat":1,"lon":2}', "`patientId` must be"),
            (b'{"patientId":"1","lat":"SECRET","lon":2}', "`lat` must be a number"),
            (b'{"patientId":"1","lat":1,"lon":2,"ts":1e3}', "`ts` must be"),
        ):
            with self.assertRaisesRegex(Invalid, reason) as caught:
                parse(value)
            self.assertNotIn("SECRET", str(caught.exception))
