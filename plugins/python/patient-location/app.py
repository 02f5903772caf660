"""Says in plain words where a patient is. The README has the fields and what happens to bad input."""

from gregor import output, reject
from location import Invalid
from sentence import sentence
from wit_world import exports
from wit_world.imports.types import Input, Output


class Processor(exports.Processor):
    def process(self, record: Input) -> list[Output]:
        try:
            return [output(record.key, sentence(record.key, record.value), headers=record.headers)]
        except Invalid as invalid:
            raise reject(str(invalid)) from None
