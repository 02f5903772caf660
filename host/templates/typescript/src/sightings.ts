// What needs no host, and so has plain tests.

import type { Failure } from 'gregor:plugin/types@1.0.0';

export interface Location {
  patientId: string;
  lat: number;
  lon: number;
}

/** Throws a rejection that never quotes the record: a reason may be logged. */
export function parse(value: Uint8Array): Location {
  const rejection: Failure = { tag: 'reject', val: 'not a location: patientId, lat and lon are needed' };
  let location: Partial<Location> | null;
  try {
    location = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value));
  } catch {
    throw rejection;
  }
  const { patientId, lat, lon } = location ?? {};
  if (typeof patientId !== 'string' || typeof lat !== 'number' || typeof lon !== 'number') throw rejection;
  return { patientId, lat, lon };
}

export function sentence({ patientId, lat, lon }: Location, times: number): string {
  return `Patient ${patientId}, sighting ${times}, at (${lat}, ${lon})`;
}
