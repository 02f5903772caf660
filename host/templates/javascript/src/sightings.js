// What needs no host, and so has plain tests.

/** Throws a rejection that never quotes the record: a reason may be logged. */
export function parse(value) {
  const rejection = { tag: 'reject', val: 'not a location: patientId, lat and lon are needed' };
  let location;
  try {
    location = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value));
  } catch {
    throw rejection;
  }
  const { patientId, lat, lon } = location ?? {};
  if (typeof patientId !== 'string' || typeof lat !== 'number' || typeof lon !== 'number') throw rejection;
  return { patientId, lat, lon };
}

export function sentence({ patientId, lat, lon }, times) {
  return `Patient ${patientId}, sighting ${times}, at (${lat}, ${lon})`;
}
