// Keeps each patient's last position, count of records and distance in the
// cache, and emits them, keyed by patient, for every location.

import * as cache from 'gregor:plugin/cache@1.0.0';
import { encode, output, reject } from '../sdk/gregor.js';
import { Invalid, parse, patientOfTombstone } from '../location/location.js';
import { Foreign, advance, decodeTrack, encodeTrack, json } from './track.js';

export const processor = {
  process(record) {
    try {
      return [record.value == null ? forgotten(record) : moved(record)];
    } catch (error) {
      throw error instanceof Invalid || error instanceof Foreign ? reject(error.message) : error;
    }
  },
};

function moved({ value, timestamp, headers }) {
  const location = parse(value);
  const { patientId } = location;
  const entry = cache.get(patientId);
  const [track, movedM] = advance(entry == null ? null : decodeTrack(entry), location, timestamp);
  try {
    cache.set(patientId, encodeTrack(track), null);
  } catch (error) {
    throw reject(refused(error));
  }
  return output(encode(patientId), encode(json(patientId, track, movedM)), { headers });
}

function forgotten({ key, headers }) {
  cache.delete(patientOfTombstone(key));
  return output(key, null, { headers });
}

/** What the cache says of a write that it does not take. */
function refused({ tag, val }) {
  if (tag === 'quota-exceeded') {
    return `the cache of this partition is full at ${val} bytes: raise the stage's cache limit`;
  }
  if (tag === 'value-too-large') {
    return `a cache value is longer than ${val} bytes: raise the stage's value limit`;
  }
  return 'a cache key is not 1 to 512 bytes long';
}
