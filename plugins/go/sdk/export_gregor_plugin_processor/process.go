// Package export_gregor_plugin_processor has the name by which the generated
// bindings call the plugin.
package export_gregor_plugin_processor

import (
	types "gregor-plugins/wit/gregor_plugin_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// Plugin is set by gregor.Export.
var Plugin func(types.Input) wit.Result[[]types.Output, types.Failure]

// Process is called by the bindings.
func Process(record types.Input) wit.Result[[]types.Output, types.Failure] {
	return Plugin(record)
}
