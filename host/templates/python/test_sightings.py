import unittest

from sightings import NoLocation, parse, sentence


class Sightings(unittest.TestCase):
    def test_a_sighting_is_told_with_its_number(self):
        location = parse(b'{"patientId": "123", "lat": 38.7167, "lon": -9.1333}')
        self.assertEqual(sentence(location, 2), "Patient 123, sighting 2, at (38.7167, -9.1333)")

    def test_what_is_no_location_is_rejected(self):
        for value in (
            b"",
            b"\xff",
            b"null",
            b"[]",
            b"{}",
            b"[" * 100_000,
            b'{"patientId": 7, "lat": 1, "lon": 2}',
            b'{"patientId": "", "lat": 1, "lon": 2}',
            b'{"patientId": "\\ud800", "lat": 1, "lon": 2}',
            b'{"patientId": "%s", "lat": 1, "lon": 2}' % (b"1" * 503),
            b'{"patientId": "1", "lat": NaN, "lon": 2}',
            b'{"patientId": "1", "lat": 1, "lon": 1e999}',
            b'{"patientId": "1", "lat": 91, "lon": 2}',
        ):
            with self.assertRaises(NoLocation):
                parse(value)


if __name__ == "__main__":
    unittest.main()
