import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parse, sentence } from '../src/sightings.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

test('a sighting is told with its number', () => {
  const location = parse(bytes('{"patientId": "123", "lat": 38.7167, "lon": -9.1333}'));
  assert.equal(sentence(location, 2), 'Patient 123, sighting 2, at (38.7167, -9.1333)');
});

test('what is no location is rejected', () => {
  const values = [
    '',
    'null',
    '{}',
    '{"patientId": 7, "lat": 1, "lon": 2}',
    '{"patientId": "", "lat": 1, "lon": 2}',
    '{"patientId": "\\ud800", "lat": 1, "lon": 2}',
    `{"patientId": "${'é'.repeat(300)}", "lat": 1, "lon": 2}`,
    '{"patientId": "1", "lat": NaN, "lon": 2}',
    '{"patientId": "1", "lat": 1, "lon": 1e999}',
    '{"patientId": "1", "lat": 91, "lon": 2}',
  ];
  for (const value of values) {
    assert.throws(() => parse(bytes(value)), { tag: 'reject' });
  }
});
