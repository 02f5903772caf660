// What the cache keeps of a patient, and how a location changes it: the same 40
// bytes that the Rust plugin writes, so that either may follow the other.

/** Mean radius of the Earth, in metres, taken as a sphere. */
const EARTH_RADIUS_M = 6_371_000;
const LEN = 40;
const MAX_U64 = 2n ** 64n - 1n;

/** An entry that this plugin did not write. */
export class Foreign extends Error {}

/** `lat`, `lon`, `ts`, `count`, `totalM`, each of eight bytes, little-endian. */
export function encodeTrack({ lat, lon, ts, count, totalM }) {
  const view = new DataView(new ArrayBuffer(LEN));
  view.setFloat64(0, lat, true);
  view.setFloat64(8, lon, true);
  view.setBigUint64(16, ts, true);
  view.setBigUint64(24, count, true);
  view.setFloat64(32, totalM, true);
  return new Uint8Array(view.buffer);
}

export function decodeTrack(entry) {
  if (entry.length !== LEN) {
    throw new Foreign(`the patient's cache entry has ${entry.length} bytes, not ${LEN}: another plugin wrote it`);
  }
  const view = new DataView(entry.buffer, entry.byteOffset, LEN);
  const track = {
    lat: view.getFloat64(0, true),
    lon: view.getFloat64(8, true),
    ts: view.getBigUint64(16, true),
    count: view.getBigUint64(24, true),
    totalM: view.getFloat64(32, true),
  };
  if (![track.lat, track.lon, track.totalM].every(Number.isFinite)) {
    throw new Foreign("the patient's cache entry holds no position: another plugin wrote it");
  }
  return track;
}

/** `[track, movedM]`: the entry once the patient is at `location`, and the metres that adds. */
export function advance(before, { lat, lon, ts }, recordTs) {
  const movedM = before ? haversine(before.lat, before.lon, lat, lon) : 0;
  const count = before ? (before.count < MAX_U64 ? before.count + 1n : MAX_U64) : 1n;
  return [{ lat, lon, ts: ts ?? BigInt(recordTs), count, totalM: (before ? before.totalM : 0) + movedM }, movedM];
}

/** Metres along the sphere between two positions in degrees. */
export function haversine(lat1, lon1, lat2, lon2) {
  const radians = (degrees) => degrees * (Math.PI / 180);
  const north = Math.sin(radians(lat2 - lat1) / 2);
  const east = Math.sin(radians(lon2 - lon1) / 2);
  const a = north * north + Math.cos(radians(lat1)) * Math.cos(radians(lat2)) * east * east;
  // Rounding may take the root of opposite points beyond 1.
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(Math.sqrt(a), 1));
}

/** The output's value. Written by hand: JSON.stringify takes no BigInt. */
export function json(patientId, { lat, lon, ts, count, totalM }, movedM) {
  return (
    `{"patientId":${JSON.stringify(patientId)},"lat":${lat},"lon":${lon},"ts":${ts},` +
    `"count":${count},"movedM":${movedM},"totalM":${totalM}}`
  );
}
