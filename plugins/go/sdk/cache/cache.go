// Package cache holds the entries of this stage for the record's topic
// partition. Keys are 1 to 512 bytes of UTF-8.
package cache

import (
	"errors"
	"fmt"

	wit "go.bytecodealliance.org/pkg/wit/types"

	host "gregor-plugins/wit/gregor_plugin_cache"
)

// Get returns the entry of key, nil where there is none.
func Get(key string) []byte {
	found := host.Get(key)
	if found.Tag() == wit.OptionNone {
		return nil
	}
	if value := found.Some(); value != nil {
		return value
	}
	return []byte{}
}

// Set keeps value until it is deleted.
func Set(key string, value []byte) error { return told(host.Set(key, value, wit.None[uint64]())) }

// SetFor keeps value for so many milliseconds.
func SetFor(key string, value []byte, ms uint64) error {
	return told(host.Set(key, value, wit.Some(ms)))
}

// Delete tells whether there was such an entry.
func Delete(key string) bool { return host.Delete(key) }

// Increment adds to a decimal integer, absent as 0, and returns the sum.
func Increment(key string, delta int64) (int64, error) {
	sum := host.Increment(key, delta)
	if sum.Tag() == wit.ResultErr {
		return 0, refused(sum.Err())
	}
	return sum.Ok(), nil
}

// Entry of the cache.
type Entry struct {
	Key   string
	Value []byte
}

// Scan returns entries whose key starts with prefix, by key's bytes, after the
// key after, at most limit (and at most 1,000): page until there are none.
func Scan(prefix, after string, limit uint32) []Entry {
	from := wit.None[string]()
	if after != "" {
		from = wit.Some(after)
	}
	found := host.Scan(prefix, from, limit)
	entries := make([]Entry, 0, len(found))
	for _, entry := range found {
		entries = append(entries, Entry{entry.F0, entry.F1})
	}
	return entries
}

func told(result wit.Result[wit.Unit, host.Error]) error {
	if result.Tag() == wit.ResultErr {
		return refused(result.Err())
	}
	return nil
}

func refused(err host.Error) error {
	switch err.Tag() {
	case host.ErrorQuotaExceeded:
		return fmt.Errorf("the cache of this partition is full at %d bytes: raise the stage's cache limit", err.QuotaExceeded())
	case host.ErrorValueTooLarge:
		return fmt.Errorf("a cache value is longer than %d bytes: raise the stage's value limit", err.ValueTooLarge())
	case host.ErrorInvalidKey:
		return errors.New("a cache key is not 1 to 512 bytes long")
	default:
		return errors.New("a cache value to increment is not a decimal 64-bit integer")
	}
}
