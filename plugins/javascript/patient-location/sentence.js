import { encode } from '../sdk/gregor.js';
import { parse, patientOfTombstone } from '../location/location.js';

/** The output's value; null for a tombstone, which is passed on. */
export function sentence(key, value) {
  if (value == null) {
    patientOfTombstone(key);
    return null;
  }
  const { patientId, lat, lon } = parse(value);
  return encode(`Patient ${patientId} at location (${plain(lat)}, ${plain(lon)})`);
}

/** A number in its shortest form, without an exponent. */
export function plain(number) {
  if (Object.is(number, -0)) return '-0';
  const [digits, exponent] = String(number).split('e-');
  if (exponent === undefined) return digits;
  const sign = number < 0 ? '-' : '';
  return `${sign}0.${'0'.repeat(Number(exponent) - 1)}${digits.replace('-', '').replace('.', '')}`;
}
