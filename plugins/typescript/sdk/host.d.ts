// The interfaces of wit/v1 that a plugin imports.

declare module 'gregor:plugin/cache@1.0.0' {
  /** What the cache says of a write that it does not take; limits in bytes. */
  export type CacheError =
    | { tag: 'quota-exceeded'; val: number | bigint }
    | { tag: 'value-too-large'; val: number | bigint }
    | { tag: 'invalid-key'; val: string }
    | { tag: 'not-a-number' };

  /** Keys are 1 to 512 bytes of UTF-8. */
  export function get(key: string): Uint8Array | null | undefined;
  /** In the order of `keys`; the plugin traps where the values come to more than 8 MiB. */
  export function getMany(keys: string[]): (Uint8Array | null | undefined)[];
  /** `ttlMs` null keeps the entry until it is deleted. Throws a `CacheError`. */
  export function set(key: string, value: Uint8Array, ttlMs: number | null): void;
  /** Whether there was such an entry. */
  export function delete_(key: string): boolean;
  export { delete_ as delete };
  /** Adds to a decimal integer, absent as 0, and returns the sum. Throws a `CacheError`. */
  export function increment(key: string, delta: number): number | bigint;
  /** Entries whose key starts with `prefix`, by key's bytes, after `after`, at most `limit` (and at most 1,000). */
  export function scan(prefix: string, after: string | null, limit: number): [string, Uint8Array][];
}

declare module 'gregor:plugin/metrics@1.0.0' {
  /** Names: lower case letters, digits and `_`. Never put a key in a name. */
  export function count(name: string, by: number): void;
  export function observe(name: string, value: number): void;
}

declare module 'wasi:logging/logging@0.1.0-draft' {
  export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'critical';
  export function log(level: Level, context: string, message: string): void;
}

declare module 'wasi:config/store@0.2.0-draft' {
  export function get(key: string): string | null | undefined;
  export function getAll(): [string, string][];
}
