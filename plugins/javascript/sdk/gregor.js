// What a Gregor plugin in JavaScript needs besides its own logic. QuickJS has
// no TextEncoder and no TextDecoder: `encode` and `decode` stand in for both.

/** A failure that no further attempt can mend: `throw reject(reason)`. Do not quote the record. */
export function reject(reason) {
  return { tag: 'reject', val: reason };
}

/** A failure that may pass: the record is tried again, in order. */
export function retry(reason) {
  return { tag: 'retry', val: reason };
}

/**
 * A record for the next stage or the sink, under `key`; `value` null is a tombstone.
 * `more` sets `topic`, `partition`, `timestamp` or `headers`.
 */
export function output(key, value, more = {}) {
  return { topic: null, partition: null, timestamp: null, key, value, headers: [], ...more };
}

/** Arguments of one call: more would overflow the stack of the engine. */
const CHUNK = 8192;

/** Bytes as text; throws a URIError where they are not UTF-8. */
export function decode(bytes) {
  const latin = toLatin(bytes);
  // Percent signs and bytes past ASCII become %XX, which is then read as UTF-8.
  return /[\x80-\xff]/.test(latin) ? decodeURIComponent(escape(latin)) : latin;
}

/** Text as UTF-8; throws a URIError for half of a surrogate pair. */
export function encode(text) {
  const latin = unescape(encodeURIComponent(text));
  // By the engine where it can: QuickJS takes a tenth of a microsecond for each turn of a loop.
  return Uint8Array.fromBase64
    ? Uint8Array.fromBase64(btoa(latin))
    : Uint8Array.from(latin, (byte) => byte.charCodeAt(0));
}

/** A character up to U+00FF for each byte. */
function toLatin(bytes) {
  if (bytes.toBase64) return atob(bytes.toBase64());
  let latin = '';
  for (let at = 0; at < bytes.length; at += CHUNK) {
    latin += String.fromCharCode.apply(null, bytes.subarray(at, at + CHUNK));
  }
  return latin;
}
