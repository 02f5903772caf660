"""Counts how often each patient was seen."""

from componentize_py_types import Err
from sightings import NoLocation, parse, sentence
from wit_world import exports
from wit_world.imports import cache
from wit_world.imports.types import Failure_Reject, Input, Output


class Processor(exports.Processor):
    def process(self, record: Input) -> list[Output]:
        if record.value is None:
            return []  # a tombstone
        try:
            location = parse(record.value)
        except NoLocation as problem:
            raise Err(Failure_Reject(str(problem))) from None
        times = count(location.patient_id)
        value = sentence(location, times).encode()
        return [Output(None, None, None, record.key, value, [])]


def count(patient_id: str) -> int:
    try:
        return cache.increment(f"sightings/{patient_id}", 1)
    except Err as error:
        raise Err(Failure_Reject(f"the cache did not take the count: {type(error.value).__name__}")) from None
