import { encode } from '../sdk/gregor.ts';
import { parse, patientOfTombstone } from '../location/location.ts';

/** The output's value; null for a tombstone, which is passed on. */
export function sentence(
  key: Uint8Array | null | undefined,
  value: Uint8Array | null | undefined,
): Uint8Array | null {
  if (value == null) {
    patientOfTombstone(key);
    return null;
  }
  const { patientId, lat, lon } = parse(value);
  return encode(`Patient ${patientId} at location (${plain(lat)}, ${plain(lon)})`);
}

/** A number in its shortest form, without an exponent. */
export function plain(number: number): string {
  if (Object.is(number, -0)) return '-0';
  const [digits, exponent] = String(number).split('e-');
  if (exponent === undefined) return digits;
  const sign = number < 0 ? '-' : '';
  return `${sign}0.${'0'.repeat(Number(exponent) - 1)}${digits.replace('-', '').replace('.', '')}`;
}
