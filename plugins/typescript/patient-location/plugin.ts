// Says in plain words where a patient is. The README has the fields and what
// happens to bad input.

import { type Processor, output, reject } from '../sdk/gregor.ts';
import { Invalid } from '../location/location.ts';
import { sentence } from './sentence.ts';

export const processor: Processor = {
  process({ key, value, headers }) {
    try {
      return [output(key, sentence(key, value), { headers })];
    } catch (error) {
      throw error instanceof Invalid ? reject(error.message) : error;
    }
  },
};
