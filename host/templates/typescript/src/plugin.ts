// Counts how often each patient was seen.

import * as cache from 'gregor:plugin/cache@1.0.0';
import type { Processor } from 'gregor:plugin/types@1.0.0';
import { parse, sentence } from './sightings.ts';

export const processor: Processor = {
  process({ key, value }) {
    if (value == null) return []; // a tombstone
    const location = parse(value);
    const times = cache.increment(`sightings/${location.patientId}`, 1);
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
