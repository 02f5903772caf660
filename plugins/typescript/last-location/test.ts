import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Foreign, advance, decodeTrack, encodeTrack, haversine, json } from './track.ts';

const LISBON = { patientId: '123', lat: 38.7167, lon: -9.1333, ts: null };
const PORTO = { patientId: '123', lat: 41.1496, lon: -8.611, ts: null };

test('an entry has five little-endian words', () => {
  const track = { lat: 1, lon: -2, ts: 0x0102n, count: 3n, totalM: 0.5 };
  const hex = [...encodeTrack(track)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  assert.equal(hex, '000000000000f03f00000000000000c002010000000000000300000000000000000000000000e03f');
  assert.deepEqual(decodeTrack(encodeTrack(track)), track);
});

test('an entry of another plugin is refused', () => {
  for (const entry of [new Uint8Array(0), new Uint8Array(39), new Uint8Array(41), new Uint8Array(40).fill(0xff)]) {
    assert.throws(() => decodeTrack(entry), Foreign);
  }
});

test('each further location counts and adds its distance', () => {
  const [first, moved] = advance(null, LISBON, 5);
  assert.deepEqual([first, moved], [{ lat: 38.7167, lon: -9.1333, ts: 5n, count: 1n, totalM: 0 }, 0]);
  const [second, there] = advance(first, PORTO, 6);
  const [third, back] = advance(second, { ...LISBON, ts: 9n }, 7);
  assert.ok(Math.abs(there - 274_165.4) < 0.1);
  assert.deepEqual([third.count, third.ts, third.totalM], [3n, 9n, there + back]);
});

test('opposite points are half a circumference apart', () => {
  assert.ok(Math.abs(haversine(90, 0, -90, 0) - Math.PI * 6_371_000) < 1e-6);
});

test('the output is JSON with whole integers', () => {
  const track = { lat: 1, lon: 2, ts: 2n ** 64n - 1n, count: 4n, totalM: 5 };
  const text = json('é"', track, 0);
  assert.equal(JSON.parse(text).patientId, 'é"');
  assert.ok(text.includes('"ts":18446744073709551615,"count":4,'));
});
