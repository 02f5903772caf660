// What a Gregor plugin in TypeScript needs besides its own logic. QuickJS has
// no TextEncoder and no TextDecoder: `encode` and `decode` stand in for both.

export interface Header {
  name: string;
  value?: Uint8Array | null;
}

/** One Kafka record, whole. Without `value` a tombstone. */
export interface Input {
  topic: string;
  partition: number;
  offset: number | bigint;
  /** Milliseconds since the Unix epoch. */
  timestamp: number | bigint;
  key?: Uint8Array | null;
  value?: Uint8Array | null;
  headers: Header[];
}

/** One record to pass on or to produce. */
export interface Output {
  /** Null: the next stage, or the pipeline's sink after the last one. */
  topic: string | null;
  /** Null: chosen by key as Java's default partitioner does (murmur2). */
  partition: number | null;
  /** Null: the input's timestamp. */
  timestamp: number | bigint | null;
  key: Uint8Array | null;
  value: Uint8Array | null;
  headers: Header[];
}

export interface Failure {
  tag: 'reject' | 'retry';
  val: string;
}

/** What a plugin exports as `processor`. `process` throws a `Failure`. */
export interface Processor {
  process(record: Input): Output[];
}

/** A failure that no further attempt can mend: `throw reject(reason)`. Do not quote the record. */
export function reject(reason: string): Failure {
  return { tag: 'reject', val: reason };
}

/** A failure that may pass: the record is tried again, in order. */
export function retry(reason: string): Failure {
  return { tag: 'retry', val: reason };
}

/** A record for the next stage or the sink, under `key`; without `value` a tombstone. */
export function output(
  key: Uint8Array | null | undefined,
  value: Uint8Array | null,
  more: Partial<Output> = {},
): Output {
  return { topic: null, partition: null, timestamp: null, key: key ?? null, value, headers: [], ...more };
}

/** Arguments of one call: more would overflow the stack of the engine. */
const CHUNK = 8192;

// Of every engine, and in no newer type library.
declare function escape(text: string): string;
declare function unescape(text: string): string;
declare function atob(text: string): string;
declare function btoa(text: string): string;

/** Bytes as text; throws a URIError where they are not UTF-8. */
export function decode(bytes: Uint8Array): string {
  const latin = toLatin(bytes);
  // Percent signs and bytes past ASCII become %XX, which is then read as UTF-8.
  return /[\x80-\xff]/.test(latin) ? decodeURIComponent(escape(latin)) : latin;
}

/** Text as UTF-8; throws a URIError for half of a surrogate pair. */
export function encode(text: string): Uint8Array {
  const latin = unescape(encodeURIComponent(text));
  // By the engine where it can: QuickJS takes a tenth of a microsecond for each turn of a loop.
  const { fromBase64 } = Uint8Array as { fromBase64?: (text: string) => Uint8Array };
  return fromBase64 ? fromBase64.call(Uint8Array, btoa(latin)) : Uint8Array.from(latin, (byte) => byte.charCodeAt(0));
}

/** A character up to U+00FF for each byte. */
function toLatin(bytes: Uint8Array & { toBase64?: () => string }): string {
  if (bytes.toBase64) return atob(bytes.toBase64());
  let latin = '';
  for (let at = 0; at < bytes.length; at += CHUNK) {
    latin += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return latin;
}
