// A patient's location as records carry it, with the rules of plugins/location.

import { decode, encode } from '../sdk/gregor.js';

export const MAX_PATIENT_ID = 512;
const MAX_U64 = 2n ** 64n - 1n;
const MIN_S64 = -(2n ** 63n);

/** Why a value is no location. Names the field and what was expected, never quotes the value. */
export class Invalid extends Error {}

/**
 * `{ patientId, lat, lon, ts }`: text of 1 to 512 bytes, degrees, and milliseconds
 * since the Unix epoch as a BigInt, or null where the value does not tell.
 */
export function parse(value) {
  const fields = members(value);
  return {
    patientId: patientId(fields.patientId),
    lat: degrees('lat', 90, fields.lat),
    lon: degrees('lon', 180, fields.lon),
    ts: milliseconds(fields.ts),
  };
}

/** The patient that a tombstone's key names. */
export function patientOfTombstone(key) {
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
function members(value) {
  if (value.length === 0) throw new Invalid('the value is empty: expected a JSON object');
  let text;
  try {
    text = decode(value);
  } catch {
    throw new Invalid('the value is not UTF-8: expected a JSON object');
  }
  let whole;
  try {
    whole = JSON.parse(text);
  } catch {
    throw new Invalid('the value is not JSON');
  }
  if (typeof whole !== 'object' || whole === null || Array.isArray(whole)) {
    throw new Invalid('the value is JSON but not an object');
  }
  const fields = {};
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
    if (NEXT.exec(text)[0].endsWith('}')) return fields;
    at = NEXT.lastIndex;
  }
}

/** The end of a list or an object whose bracket ends before `at`. */
function pastNested(text, at) {
  NESTED.lastIndex = at;
  for (let depth = 1; depth > 0; ) {
    const [found] = NESTED.exec(text);
    if (found === '[' || found === '{') depth++;
    else if (found === ']' || found === '}') depth--;
  }
  return NESTED.lastIndex;
}

function unquote(quoted) {
  if (!quoted.includes('\\')) return quoted.slice(1, -1);
  const text = JSON.parse(quoted);
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

function patientId(field) {
  if (!field || field.isNull) throw new Invalid('`patientId` is missing or null');
  const id = field.text ?? integer(field.number)?.toString();
  // No character takes more than three bytes for each of its units.
  const length = id === undefined ? 0 : id.length * 3 <= MAX_PATIENT_ID ? id.length : encode(id).length;
  if (length < 1 || length > MAX_PATIENT_ID) {
    throw new Invalid('`patientId` must be 1 to 512 bytes of text or a 64-bit integer');
  }
  return id;
}

/** An integer of 64 bits as a BigInt; undefined for another number. `-0` is a fraction. */
function integer(number) {
  if (number === undefined || !/^(0|-?[1-9][0-9]{0,19})$/.test(number)) return undefined;
  const integer = BigInt(number);
  return integer >= MIN_S64 && integer <= MAX_U64 ? integer : undefined;
}

function degrees(name, limit, field) {
  if (!field || field.isNull) throw new Invalid(`\`${name}\` is missing or null`);
  if (field.number === undefined) throw new Invalid(`\`${name}\` must be a number of degrees, without quotes`);
  const degrees = Number(field.number);
  if (!Number.isFinite(degrees)) throw new Invalid('the value is not JSON');
  if (Math.abs(degrees) > limit) throw new Invalid(`\`${name}\` must be from -${limit} to ${limit} degrees`);
  return degrees;
}

function milliseconds(field) {
  if (!field || field.isNull) return null;
  const ts = integer(field.number);
  if (ts === undefined || ts < 0n) {
    throw new Invalid('`ts` must be an integer: milliseconds since the Unix epoch, from 0');
  }
  return ts;
}
