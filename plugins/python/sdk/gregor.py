"""What a Gregor plugin in Python needs besides its own logic."""

from componentize_py_types import Err
from wit_world.imports.types import Failure_Reject, Failure_Retry, Output


def reject(reason: str) -> Err:
    """A failure that no further attempt can mend: `raise reject(...)`. Do not quote the record."""
    return Err(Failure_Reject(reason))


def retry(reason: str) -> Err:
    """A failure that may pass: the record is tried again, in order."""
    return Err(Failure_Retry(reason))


def output(key: bytes | None, value: bytes | None, *, topic=None, partition=None, timestamp=None, headers=()) -> Output:
    """A record for the next stage or the sink, under `key`; without `value` a tombstone."""
    return Output(topic, partition, timestamp, key, value, list(headers))
