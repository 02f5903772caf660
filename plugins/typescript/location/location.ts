// A patient's location as records carry it, with the rules of plugins/location.

import { decode, encode } from '../sdk/gregor.ts';

export const MAX_PATIENT_ID = 512;
const MAX_U64 = 2n ** 64n - 1n;
const MIN_S64 = -(2n ** 63n);

/** Where a patient was. */
export interface Location {
  /** 1 to 512 bytes. */
  patientId: string;
  /** Degrees. */
  lat: number;
  lon: number;
  /** Milliseconds since the Unix epoch; null where the value does not tell. */
  ts: bigint | null;
}

/** A field as it stands in the text: its text, or its number's digits. */
interface Field {
  text: string | undefined;
  number: string | undefined;
  isNull: boolean;
}

type Name = 'patientId' | 'lat' | 'lon' | 'ts';

/** Why a value is no location. Names the field and what was expected, never quotes the value. */
export class Invalid extends Error {}

/** Reads a record's value; fields other than the four are ignored. Throws `Invalid`. */
export function parse(value: Uint8Array): Location {
  const fields = members(value);
  return {
    patientId: patientId(fields.patientId),
    lat: degrees('lat', 90, fields.lat),
    lon: degrees('lon', 180, fields.lon),
    ts: milliseconds(fields.ts),
  };
}

/** The patient that a tombstone's key names. */
export function patientOfTombstone(key: Uint8Array | null | undefined): string {
  try {
    if (key && key.length >= 1 && key.length <= MAX_PATIENT_ID) return decode(key);
  } catch {
    // Not UTF-8.
  }
  throw new Invalid("a tombstone's key must be a patient id: 1 to 512 bytes of UTF-8");
}

// After a member's opening or a comma: its name, and its value or what opens it.
const MEMBER =
  /\s*("[^"\\]*(?:\\.[^"\\]*)*")\s*:\s*(?:("[^"\\]*(?:\\.[^"\\]*)*")|(-?[0-9][0-9.eE+-]*)|(true|false|null)|([[{]))/y;
const NESTED = /[[\]{}]|"[^"\\]*(?:\\.[^"\\]*)*"/g;
const NEXT = /\s*[,}]/y;

/**
 * The four fields as they stand in the text: `JSON.parse` says whether it is JSON,
 * but rounds integers past 2^53, and does not tell of a field that is there twice.
 */
function members(value: Uint8Array): Partial<Record<Name, Field>> {
  if (value.length === 0) throw new Invalid('the value is empty: expected a JSON object');
  let text: string;
  try {
    text = decode(value);
  } catch {
    throw new Invalid('the value is not UTF-8: expected a JSON object');
  }
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch {
    throw new Invalid('the value is not JSON');
  }
  if (typeof whole !== 'object' || whole === null || Array.isArray(whole)) {
    throw new Invalid('the value is JSON but not an object');
  }
  const fields: Partial<Record<Name, Field>> = {};
  let at = text.indexOf('{') + 1;
  for (;;) {
    MEMBER.lastIndex = at;
    const member = MEMBER.exec(text);
    // An empty object.
    if (!member) return fields;
    const [, quoted, string, number, word, open] = member;
    at = open ? pastNested(text, MEMBER.lastIndex) : MEMBER.lastIndex;
    const name = unquote(quoted);
    if (name === 'patientId' || name === 'lat' || name === 'lon' || name === 'ts') {
      if (name in fields) throw new Invalid(`\`${name}\` is there twice: expected it once`);
      fields[name] = { text: string === undefined ? undefined : unquote(string), number, isNull: word === 'null' };
    }
    NEXT.lastIndex = at;
    if (NEXT.exec(text)![0].endsWith('}')) return fields;
    at = NEXT.lastIndex;
  }
}

/** The end of a list or an object whose bracket ends before `at`. */
function pastNested(text: string, at: number): number {
  NESTED.lastIndex = at;
  for (let depth = 1; depth > 0; ) {
    const [found] = NESTED.exec(text)!;
    if (found === '[' || found === '{') depth++;
    else if (found === ']' || found === '}') depth--;
  }
  return NESTED.lastIndex;
}

function unquote(quoted: string): string {
  if (!quoted.includes('\\')) return quoted.slice(1, -1);
  const text: string = JSON.parse(quoted);
  // JSON.parse takes half of a surrogate pair, which no UTF-8 can carry.
  if (/\\u[dD]/.test(quoted)) {
    try {
      encodeURIComponent(text);
    } catch {
      throw new Invalid('the value is not JSON');
    }
  }
  return text;
}

function patientId(field: Field | undefined): string {
  if (!field || field.isNull) throw new Invalid('`patientId` is missing or null');
  const id = field.text ?? integer(field.number)?.toString();
  // No character takes more than three bytes for each of its units.
  const length = id === undefined ? 0 : id.length * 3 <= MAX_PATIENT_ID ? id.length : encode(id).length;
  if (id === undefined || length < 1 || length > MAX_PATIENT_ID) {
    throw new Invalid('`patientId` must be 1 to 512 bytes of text or a 64-bit integer');
  }
  return id;
}

/** An integer of 64 bits as a BigInt; undefined for another number. `-0` is a fraction. */
function integer(number: string | undefined): bigint | undefined {
  if (number === undefined || !/^(0|-?[1-9][0-9]{0,19})$/.test(number)) return undefined;
  const integer = BigInt(number);
  return integer >= MIN_S64 && integer <= MAX_U64 ? integer : undefined;
}

function degrees(name: Name, limit: number, field: Field | undefined): number {
  if (!field || field.isNull) throw new Invalid(`\`${name}\` is missing or null`);
  if (field.number === undefined) throw new Invalid(`\`${name}\` must be a number of degrees, without quotes`);
  const degrees = Number(field.number);
  if (!Number.isFinite(degrees)) throw new Invalid('the value is not JSON');
  if (Math.abs(degrees) > limit) throw new Invalid(`\`${name}\` must be from -${limit} to ${limit} degrees`);
  return degrees;
}

function milliseconds(field: Field | undefined): bigint | null {
  if (!field || field.isNull) return null;
  const ts = integer(field.number);
  if (ts === undefined || ts < 0n) {
    throw new Invalid('`ts` must be an integer: milliseconds since the Unix epoch, from 0');
  }
  return ts;
}
