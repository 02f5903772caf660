"""What needs no host, and so has plain tests."""

import json
from typing import NamedTuple


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
    except (ValueError, TypeError, KeyError):
        raise NoLocation from None
    degrees = all(type(number) in (int, float) for number in (location.lat, location.lon))
    if not degrees or not isinstance(location.patient_id, str):
        raise NoLocation
    return location


def sentence(location: Location, times: int) -> str:
    return f"Patient {location.patient_id}, sighting {times}, at ({location.lat}, {location.lon})"
