import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parse, sentence } from './sightings.js';

const bytes = (text) => new TextEncoder().encode(text);

test('a sighting is told with its number', () => {
  const location = parse(bytes('{"patientId": "123", "lat": 38.7167, "lon": -9.1333}'));
  assert.equal(sentence(location, 2), 'Patient 123, sighting 2, at (38.7167, -9.1333)');
});

test('what is no location is rejected', () => {
  for (const value of ['', 'null', '{}', '{"patientId": 7}']) {
    assert.throws(() => parse(bytes(value)), { tag: 'reject' });
  }
});
