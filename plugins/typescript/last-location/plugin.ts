// Keeps each patient's last position, count of records and distance in the
// cache, and emits them, keyed by patient, for every location.

import * as cache from 'gregor:plugin/cache@1.0.0';
import type { CacheError } from 'gregor:plugin/cache@1.0.0';
import { type Input, type Output, type Processor, encode, output, reject } from '../sdk/gregor.ts';
import { Invalid, parse, patientOfTombstone } from '../location/location.ts';
import { Foreign, advance, decodeTrack, encodeTrack, json } from './track.ts';

export const processor: Processor = {
  process(record) {
    try {
      return [record.value == null ? forgotten(record) : moved(record)];
    } catch (error) {
      throw error instanceof Invalid || error instanceof Foreign ? reject(error.message) : error;
    }
  },
};

function moved({ value, timestamp, headers }: Input): Output {
  const location = parse(value!);
  const { patientId } = location;
  const entry = cache.get(patientId);
  const [track, movedM] = advance(entry == null ? null : decodeTrack(entry), location, timestamp);
  try {
    cache.set(patientId, encodeTrack(track), null);
  } catch (error) {
    throw reject(refused(error as CacheError));
  }
  return output(encode(patientId), encode(json(patientId, track, movedM)), { headers });
}

function forgotten({ key, headers }: Input): Output {
  cache.delete(patientOfTombstone(key));
  return output(key, null, { headers });
}

/** What the cache says of a write that it does not take. */
function refused(error: CacheError): string {
  if (error.tag === 'quota-exceeded') {
    return `the cache of this partition is full at ${error.val} bytes: raise the stage's cache limit`;
  }
  if (error.tag === 'value-too-large') {
    return `a cache value is longer than ${error.val} bytes: raise the stage's value limit`;
  }
  return 'a cache key is not 1 to 512 bytes long';
}
