"""Keeps each patient's last position, count of records and distance in the cache,
and emits them, keyed by patient, for every location."""

from componentize_py_types import Err
from gregor import output, reject
from location import Invalid, parse, patient_of_tombstone
from track import Foreign, advance, decode, json
from wit_world import exports
from wit_world.imports import cache
from wit_world.imports.types import Input, Output


class Processor(exports.Processor):
    def process(self, record: Input) -> list[Output]:
        try:
            return [forgotten(record) if record.value is None else moved(record)]
        except (Invalid, Foreign) as problem:
            raise reject(str(problem)) from None


def moved(record: Input) -> Output:
    location = parse(record.value)
    patient = location.patient_id
    entry = cache.get(patient)
    track, moved_m = advance(None if entry is None else decode(entry), location, record.timestamp)
    try:
        cache.set(patient, track.encode(), None)
    except Err as error:
        raise reject(refused(error.value)) from None
    return output(patient.encode(), json(patient, track, moved_m), headers=record.headers)


def forgotten(record: Input) -> Output:
    cache.delete(patient_of_tombstone(record.key))
    return output(record.key, None, headers=record.headers)


def refused(error) -> str:
    """What the cache says of a write that it does not take."""
    match error:
        case cache.Error_QuotaExceeded(limit):
            return f"the cache of this partition is full at {limit} bytes: raise the stage's cache limit"
        case cache.Error_ValueTooLarge(limit):
            return f"a cache value is longer than {limit} bytes: raise the stage's value limit"
        case _:
            return "a cache key is not 1 to 512 bytes long"
