"""What the cache keeps of a patient, and how a location changes it: the same 40 bytes
that the Rust plugin writes, so that either may follow the other."""

import json as text
import math
import struct
from typing import NamedTuple

from location import Location

# Mean radius of the Earth, in metres, taken as a sphere.
EARTH_RADIUS_M = 6_371_000.0
ENTRY = struct.Struct("<ddQQd")
MAX_U64 = 2**64 - 1


class Foreign(Exception):
    """An entry that this plugin did not write."""


class Track(NamedTuple):
    """One patient's entry in the cache: degrees, milliseconds, records and metres so far."""

    lat: float
    lon: float
    ts: int
    count: int
    total_m: float

    def encode(self) -> bytes:
        return ENTRY.pack(*self)


def decode(entry: bytes) -> Track:
    if len(entry) != ENTRY.size:
        raise Foreign(f"the patient's cache entry has {len(entry)} bytes, not {ENTRY.size}: another plugin wrote it")
    track = Track(*ENTRY.unpack(entry))
    if not (math.isfinite(track.lat) and math.isfinite(track.lon) and math.isfinite(track.total_m)):
        raise Foreign("the patient's cache entry holds no position: another plugin wrote it")
    return track


def advance(before: Track | None, location: Location, record_ts: int) -> tuple[Track, float]:
    """The entry once the patient is at `location`, and the metres that adds."""
    ts = record_ts if location.ts is None else location.ts
    if before is None:
        return Track(location.lat, location.lon, ts, 1, 0.0), 0.0
    moved_m = haversine(before.lat, before.lon, location.lat, location.lon)
    count = min(before.count + 1, MAX_U64)
    return Track(location.lat, location.lon, ts, count, before.total_m + moved_m), moved_m


def haversine(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Metres along the sphere between two positions in degrees."""
    north = math.sin(math.radians(lat2 - lat1) / 2)
    east = math.sin(math.radians(lon2 - lon1) / 2)
    a = north * north + math.cos(math.radians(lat1)) * math.cos(math.radians(lat2)) * east * east
    # Rounding may take the root of opposite points beyond 1.
    return 2 * EARTH_RADIUS_M * math.asin(min(math.sqrt(a), 1.0))


def json(patient_id: str, track: Track, moved_m: float) -> bytes:
    """The output's value."""
    fields = {
        "patientId": patient_id,
        "lat": track.lat,
        "lon": track.lon,
        "ts": track.ts,
        "count": track.count,
        "movedM": moved_m,
        "totalM": track.total_m,
    }
    return text.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
