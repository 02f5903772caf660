// What needs no host, and so has plain tests.

/** With `sightings/` before it, the cache's longest key: 512 bytes. */
const MAX_PATIENT_ID = 502;

/** A failure that no further attempt can mend. Its reason never quotes the record: it may be logged. */
export function reject(reason) {
  return { tag: 'reject', val: reason };
}

export function parse(value) {
  const rejection = reject('not a location: patientId, lat and lon are needed');
  let location;
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
function isId(id) {
  if (typeof id !== 'string' || !id.isWellFormed()) return false;
  const { length } = new TextEncoder().encode(id);
  return length >= 1 && length <= MAX_PATIENT_ID;
}

/** JSON's 1e999 is infinite. */
function isDegrees(degrees, limit) {
  return typeof degrees === 'number' && Math.abs(degrees) <= limit;
}

export function sentence({ patientId, lat, lon }, times) {
  return `Patient ${patientId}, sighting ${times}, at (${lat}, ${lon})`;
}
