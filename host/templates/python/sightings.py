"""What needs no host, and so has plain tests."""

import json
from typing import NamedTuple


# With `sightings/` before it, the cache's longest key: 512 bytes.
MAX_PATIENT_ID = 502


class NoLocation(Exception):
    """Never quotes the record: a reason may be logged."""

    def __init__(self):
        super().__init__("not a location: patientId, lat and lon are needed")


class Location(NamedTuple):
    patient_id: str
    lat: float
    lon: float


def parse(value: bytes) -> Location:
    try:
        fields = json.loads(value.decode())
        location = Location(fields["patientId"], fields["lat"], fields["lon"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise NoLocation from None
    if not is_id(location.patient_id) or not is_degrees(location.lat, 90) or not is_degrees(location.lon, 180):
        raise NoLocation
    return location


def is_id(patient_id) -> bool:
    """Half of a surrogate pair, which JSON can write, is in no UTF-8."""
    try:
        return isinstance(patient_id, str) and 1 <= len(patient_id.encode()) <= MAX_PATIENT_ID
    except UnicodeEncodeError:
        return False


def is_degrees(number, limit: int) -> bool:
    """Python's JSON takes NaN and Infinity, too."""
    return type(number) in (int, float) and -limit <= number <= limit


def sentence(location: Location, times: int) -> str:
    return f"Patient {location.patient_id}, sighting {times}, at ({location.lat}, {location.lon})"
