// What needs no host, and so has plain tests.

import type { Failure } from 'gregor:plugin/types@1.0.0';

export interface Location {
  patientId: string;
  lat: number;
  lon: number;
}

/** With `sightings/` before it, the cache's longest key: 512 bytes. */
const MAX_PATIENT_ID = 502;

/** A failure that no further attempt can mend. Its reason never quotes the record: it may be logged. */
export function reject(reason: string): Failure {
  return { tag: 'reject', val: reason };
}

export function parse(value: Uint8Array): Location {
  const rejection = reject('not a location: patientId, lat and lon are needed');
  let location: { patientId?: unknown; lat?: unknown; lon?: unknown } | null;
  try {
    location = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value));
  } catch {
    throw rejection;
  }
  const { patientId, lat, lon } = location ?? {};
  if (!isId(patientId) || !isDegrees(lat, 90) || !isDegrees(lon, 180)) throw rejection;
  return { patientId, lat, lon };
}

/** Half of a surrogate pair, which JSON can write, is in no UTF-8. */
function isId(id: unknown): id is string {
  if (typeof id !== 'string' || !id.isWellFormed()) return false;
  const { length } = new TextEncoder().encode(id);
  return length >= 1 && length <= MAX_PATIENT_ID;
}

/** JSON's 1e999 is infinite. */
function isDegrees(degrees: unknown, limit: number): degrees is number {
  return typeof degrees === 'number' && Math.abs(degrees) <= limit;
}

export function sentence({ patientId, lat, lon }: Location, times: number): string {
  return `Patient ${patientId}, sighting ${times}, at (${lat}, ${lon})`;
}
