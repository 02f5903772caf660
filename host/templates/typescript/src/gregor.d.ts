// What the host offers, and what it expects.

declare module 'gregor:plugin/types@1.0.0' {
  export interface Header {
    name: string;
    /** Null is Kafka's null. */
    value: Uint8Array | null;
  }

  /** One Kafka record, whole. */
  export interface Input {
    topic: string;
    partition: number;
    offset: number;
    /** Milliseconds since the Unix epoch. */
    timestamp: number;
    key: Uint8Array | null;
    /** Null is a tombstone. */
    value: Uint8Array | null;
    headers: Header[];
  }

  /** One record to pass on or to produce. */
  export interface Output {
    /** Null: the next stage, or the pipeline's sink after the last one. */
    topic: string | null;
    /** Null: chosen by key, as Java's clients do. */
    partition: number | null;
    /** Null: the input's timestamp. */
    timestamp: number | null;
    key: Uint8Array | null;
    value: Uint8Array | null;
    headers: Header[];
  }

  /** To be thrown: `reject` can never succeed, `retry` is tried again. */
  export interface Failure {
    tag: 'reject' | 'retry';
    val: string;
  }

  export interface Processor {
    process(record: Input): Output[];
  }
}

declare module 'gregor:plugin/cache@1.0.0' {
  /** Thrown by `set` and `increment`. */
  export type CacheError =
    | { tag: 'quota-exceeded'; val: number }
    | { tag: 'value-too-large'; val: number }
    | { tag: 'invalid-key'; val: string }
    | { tag: 'not-a-number' };
  /** Keys are 1 to 512 bytes of UTF-8. */
  export function get(key: string): Uint8Array | null;
  /** `ttlMs` null keeps the entry until it is deleted. */
  export function set(key: string, value: Uint8Array, ttlMs: number | null): void;
  /** Adds to a decimal integer, absent as 0, and returns the sum. */
  export function increment(key: string, delta: number): number;
  /** Entries whose key starts with `prefix`, by key, after `after`, at most `limit`. */
  export function scan(prefix: string, after: string | null, limit: number): [string, Uint8Array][];
  /** Whether there was such an entry. */
  function remove(key: string): boolean;
  export { remove as delete };
}

declare module 'gregor:plugin/metrics@1.0.0' {
  export function count(name: string, by: number): void;
  export function observe(name: string, value: number): void;
}

declare module 'wasi:logging/logging@0.1.0-draft' {
  export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'critical';
  export function log(level: Level, context: string, message: string): void;
}

declare module 'wasi:config/store@0.2.0-draft' {
  export function get(key: string): string | null;
  export function getAll(): [string, string][];
}

// Of the Encoding Standard, for UTF-8: `gregor plugin build` brings them along.
declare class TextEncoder {
  encode(text?: string): Uint8Array;
}

declare class TextDecoder {
  constructor(label?: 'utf-8', options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes?: Uint8Array): string;
}
