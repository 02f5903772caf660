import math
import unittest
from json import loads

from location import Location
from track import Foreign, Track, advance, decode, haversine, json

LISBON = Location("123", 38.7167, -9.1333, None)
PORTO = Location("123", 41.1496, -8.611, None)


class TrackTest(unittest.TestCase):
    def test_an_entry_has_five_little_endian_words(self):
        track = Track(1.0, -2.0, 0x0102, 3, 0.5)
        self.assertEqual(track.encode().hex(), "000000000000f03f00000000000000c002010000000000000300000000000000000000000000e03f")
        self.assertEqual(decode(track.encode()), track)

    def test_an_entry_of_another_plugin_is_refused(self):
        for entry in (b"", bytes(39), bytes(41), b"\xff" * 40):
            with self.assertRaises(Foreign):
                decode(entry)

    def test_each_further_location_counts_and_adds_its_distance(self):
        first, moved = advance(None, LISBON, 5)
        self.assertEqual((first, moved), (Track(38.7167, -9.1333, 5, 1, 0.0), 0.0))
        second, there = advance(first, PORTO, 6)
        third, back = advance(second, LISBON._replace(ts=9), 7)
        self.assertAlmostEqual(there, 274_165.4, delta=0.1)
        self.assertEqual((third.count, third.ts, third.total_m), (3, 9, there + back))

    def test_opposite_points_are_half_a_circumference_apart(self):
        self.assertAlmostEqual(haversine(90, 0, -90, 0), math.pi * 6_371_000, delta=1e-6)

    def test_the_output_is_json_with_whole_integers(self):
        value = loads(json('é"', Track(1.0, 2.0, 2**64 - 1, 4, 5.0), 0.0))
        self.assertEqual((value["patientId"], value["ts"], value["count"]), ('é"', 2**64 - 1, 4))
