// Counts how often each patient was seen.

import * as cache from 'gregor:plugin/cache@1.0.0';
import type { Processor } from 'gregor:plugin/types@1.0.0';
import { parse, reject, sentence } from './sightings.ts';

export const processor: Processor = {
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

function count(patientId: string): number {
  try {
    return cache.increment(`sightings/${patientId}`, 1);
  } catch (error) {
    // What is not the cache's own word is a mistake of this plugin.
    const { tag } = error as Partial<cache.CacheError>;
    throw tag ? reject(`the cache did not take the count: ${tag}`) : error;
  }
}
