package gregor

import (
	"runtime"
	"runtime/debug"

	types "gregor-plugins/wit/gregor_plugin_types"
)

// The garbage collector may start while the host allocates in the plugin's
// memory. It then asks for the time of day, a call out of the component, which
// is a trap at that moment ("cannot leave component instance"): rare for a short
// run, certain in a long one. So it is off but at the start of a record, where
// it may call out, and runs there after so many records or bytes.
const (
	mostRecords = 1024
	mostBytes   = 8 << 20
)

var records, taken int

func init() { debug.SetGCPercent(-1) }

func collect(record types.Input) {
	records++
	taken += len(bytes(record.Key)) + len(bytes(record.Value))
	for _, header := range record.Headers {
		taken += len(header.Name) + len(bytes(header.Value))
	}
	if records >= mostRecords || taken >= mostBytes {
		records, taken = 0, 0
		runtime.GC()
	}
}
