import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Invalid, parse } from '../location/location.ts';
import { decode, encode } from '../sdk/gregor.ts';
import { plain, sentence } from './sentence.ts';

test('a location becomes a sentence', () => {
  const value = encode('{"patientId": "é😀", "lat": 38.7167, "lon": -9.0}');
  assert.equal(decode(sentence(null, value)!), 'Patient é😀 at location (38.7167, -9)');
});

test('a tombstone is passed on under the key of a patient', () => {
  assert.equal(sentence(encode('123'), null), null);
  for (const key of [null, encode(''), new Uint8Array([0xff]), encode('7'.repeat(513))]) {
    assert.throws(() => sentence(key, null), /a tombstone's key/);
  }
});

test('a number has no exponent', () => {
  const numbers: Record<string, string> = { 1.5e-7: '0.00000015', [-1e-5]: '-0.00001', 100: '100', 5e-324: `0.${'0'.repeat(323)}5` };
  for (const [number, text] of Object.entries(numbers)) assert.equal(plain(Number(number)), text);
  assert.equal(plain(-0), '-0');
});

test('integers are exact', () => {
  const { patientId, ts } = parse(
    encode('{"patientId":18446744073709551615,"lat":1,"lon":2,"ts":18446744073709551615}'),
  );
  assert.deepEqual([patientId, ts], ['18446744073709551615', 2n ** 64n - 1n]);
});

test('a bad value is refused for its own reason and never quoted', () => {
  for (const [value, reason] of <[string, string][]>[
    ['', 'the value is empty'],
    ['{"patientId":"SECRET"', 'not JSON'],
    ['{"patientId":"1","lat":1e999,"lon":2}', 'not JSON'],
    ['{"patientId":"\\ud800","lat":1,"lon":2}', 'not JSON'],
    ['"SECRET"', 'not an object'],
    ['{"a":["}",{"lat":1}],"patientId":"1","lat":1,"l\\u0061t":1,"lon":2}', '`lat` is there twice'],
    ['{"patientId":1.0,"lat":1,"lon":2}', '`patientId` must be'],
    ['{"patientId":"1","lat":"SECRET","lon":2}', '`lat` must be a number'],
    ['{"patientId":"1","lat":1,"lon":2,"ts":1e3}', '`ts` must be'],
  ]) {
    assert.throws(
      () => parse(encode(value)),
      (error: unknown) => error instanceof Invalid && error.message.includes(reason) && !error.message.includes('SECRET'),
      value,
    );
  }
});
