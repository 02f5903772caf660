// Counts how often each patient was seen.

import * as cache from 'gregor:plugin/cache@1.0.0';
import { parse, reject, sentence } from './sightings.js';

export const processor = {
  process({ key, value }) {
    if (value == null) return []; // a tombstone
    const location = parse(value);
    const times = count(location.patientId);
    return [
      {
        topic: null,
        partition: null,
        timestamp: null,
        key,
        value: new TextEncoder().encode(sentence(location, times)),
        headers: [],
      },
    ];
  },
};

function count(patientId) {
  try {
    return cache.increment(`sightings/${patientId}`, 1);
  } catch (error) {
    // What is not the cache's own word is a mistake of this plugin.
    throw error?.tag ? reject(`the cache did not take the count: ${error.tag}`) : error;
  }
}
