// Says in plain words where a patient is. The README has the fields and what
// happens to bad input.

import { output, reject } from '../sdk/gregor.js';
import { Invalid } from '../location/location.js';
import { sentence } from './sentence.js';

export const processor = {
  process({ key, value, headers }) {
    try {
      return [output(key, sentence(key, value), { headers })];
    } catch (error) {
      throw error instanceof Invalid ? reject(error.message) : error;
    }
  },
};
