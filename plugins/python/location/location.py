"""A patient's location as records carry it, with the rules of plugins/location."""

import json
import math
import re
from typing import NamedTuple

MAX_PATIENT_ID = 512
FIELDS = frozenset(("patientId", "lat", "lon", "ts"))


class Invalid(Exception):
    """Why a value is no location. Names the field and what was expected, never quotes the value."""


class Location(NamedTuple):
    """Where a patient was: degrees, and milliseconds since the Unix epoch where the value tells."""

    patient_id: str
    lat: float
    lon: float
    ts: int | None


class Number(str):
    """A number as it stands in the text: 1, 1.0 and 1e0 are not the same patient."""


class Members(list):
    """An object's members in their order, with those that are there twice."""


def constant(name: str):
    """Python's JSON takes NaN and Infinity, which are none."""
    raise ValueError(name)


DECODER = json.JSONDecoder(
    object_pairs_hook=Members, parse_float=Number, parse_int=Number, parse_constant=constant
)


def parse(value: bytes) -> Location:
    """Reads a record's value; fields other than the four are ignored.

    Raises `Invalid` with the first rule that it breaks.
    """
    fields = members(value)
    return Location(
        patient_id(fields.get("patientId")),
        degrees("lat", 90, fields.get("lat")),
        degrees("lon", 180, fields.get("lon")),
        milliseconds(fields.get("ts")),
    )


def patient_of_tombstone(key: bytes | None) -> str:
    """The patient that a tombstone's key names."""
    try:
        if key and len(key) <= MAX_PATIENT_ID:
            return key.decode()
    except UnicodeDecodeError:
        pass
    raise Invalid("a tombstone's key must be a patient id: 1 to 512 bytes of UTF-8")


def members(value: bytes) -> dict:
    """The four fields as they stand in the text."""
    if not value:
        raise Invalid("the value is empty: expected a JSON object")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise Invalid("the value is not UTF-8: expected a JSON object") from None
    try:
        whole = DECODER.decode(text)
    except (ValueError, RecursionError):
        raise Invalid("the value is not JSON") from None
    if not isinstance(whole, Members):
        raise Invalid("the value is JSON but not an object")
    fields = {}
    for name, field in whole:
        if name in FIELDS:
            if name in fields:
                raise Invalid(f"`{name}` is there twice: expected it once")
            fields[name] = field
        # Half of a surrogate pair, which no UTF-8 can carry.
        if not name.isascii() and not encodable(name):
            raise Invalid("the value is not JSON")
    return fields


def encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def patient_id(field) -> str:
    if field is None:
        raise Invalid("`patientId` is missing or null")
    if isinstance(field, str) and not isinstance(field, Number):
        if not encodable(field):
            raise Invalid("the value is not JSON")
        identity = field
    else:
        number = integer(field)
        identity = "" if number is None else str(number)
    if not 1 <= len(identity.encode()) <= MAX_PATIENT_ID:
        raise Invalid("`patientId` must be 1 to 512 bytes of text or a 64-bit integer")
    return identity


INTEGER = re.compile(r"0|-?[1-9][0-9]{0,19}")


def integer(field) -> int | None:
    """An integer of 64 bits, none for anything else; `-0` is a fraction."""
    if not isinstance(field, Number) or not INTEGER.fullmatch(field):
        return None
    number = int(field)
    return number if -(2**63) <= number < 2**64 else None


def degrees(name: str, limit: int, field) -> float:
    if field is None:
        raise Invalid(f"`{name}` is missing or null")
    if not isinstance(field, Number):
        raise Invalid(f"`{name}` must be a number of degrees, without quotes")
    number = float(field)
    if math.isinf(number):
        raise Invalid("the value is not JSON")
    if abs(number) > limit:
        raise Invalid(f"`{name}` must be from -{limit} to {limit} degrees")
    return number


def milliseconds(field) -> int | None:
    if field is None:
        return None
    number = integer(field)
    if number is None or number < 0:
        raise Invalid("`ts` must be an integer: milliseconds since the Unix epoch, from 0")
    return number
