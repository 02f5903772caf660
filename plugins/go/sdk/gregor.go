// Package gregor is what a Gregor plugin in Go is written with.
//
//	func main() {}
//
//	func init() { gregor.Export(process) }
//
//	func process(record gregor.Input) ([]gregor.Output, error) { ... }
//
// It runs the garbage collector itself, see collector.go.
package gregor

import (
	"errors"

	processor "gregor-plugins/sdk/export_gregor_plugin_processor"
	types "gregor-plugins/wit/gregor_plugin_types"
	_ "gregor-plugins/wit/wit_exports"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// Header of a record; a nil Value is Kafka's null.
type Header struct {
	Name  string
	Value []byte
}

// Input is one Kafka record, whole. A nil Key is a null key, a nil Value a tombstone.
type Input struct {
	Topic     string
	Partition uint32
	Offset    uint64
	// Milliseconds since the Unix epoch.
	Timestamp  uint64
	Key, Value []byte
	Headers    []Header
}

// Output is one record to pass on or to produce. A nil Key is a null key, a nil
// Value a tombstone.
type Output struct {
	// Empty: the next stage, or the pipeline's sink after the last one.
	Topic string
	// Nil: chosen by key as Java's default partitioner does (murmur2).
	Partition *uint32
	// Nil: the input's timestamp.
	Timestamp  *uint64
	Key, Value []byte
	Headers    []Header
}

type retry struct{ error }

// Retry makes err a failure that may pass: the record is tried again, in order.
// Any other error of a plugin rejects the record for good.
func Retry(err error) error { return retry{err} }

// Export makes process the plugin. Its error's text must not quote the record.
func Export(process func(Input) ([]Output, error)) {
	processor.Plugin = func(record types.Input) wit.Result[[]types.Output, types.Failure] {
		collect(record)
		outputs, err := process(lift(record))
		var again retry
		if errors.As(err, &again) {
			return wit.Err[[]types.Output](types.MakeFailureRetry(err.Error()))
		}
		if err != nil {
			return wit.Err[[]types.Output](types.MakeFailureReject(err.Error()))
		}
		lowered := make([]types.Output, 0, len(outputs))
		for _, output := range outputs {
			lowered = append(lowered, lower(output))
		}
		return wit.Ok[[]types.Output, types.Failure](lowered)
	}
}

func lift(record types.Input) Input {
	headers := make([]Header, 0, len(record.Headers))
	for _, header := range record.Headers {
		headers = append(headers, Header{header.Name, bytes(header.Value)})
	}
	return Input{
		Topic:     record.Topic,
		Partition: record.Partition,
		Offset:    record.Offset,
		Timestamp: record.Timestamp,
		Key:       bytes(record.Key),
		Value:     bytes(record.Value),
		Headers:   headers,
	}
}

func lower(output Output) types.Output {
	headers := make([]types.Header, 0, len(output.Headers))
	for _, header := range output.Headers {
		headers = append(headers, types.Header{Name: header.Name, Value: option(header.Value)})
	}
	lowered := types.Output{
		Topic:     wit.None[string](),
		Partition: wit.None[uint32](),
		Timestamp: wit.None[uint64](),
		Key:       option(output.Key),
		Value:     option(output.Value),
		Headers:   headers,
	}
	if output.Topic != "" {
		lowered.Topic = wit.Some(output.Topic)
	}
	if output.Partition != nil {
		lowered.Partition = wit.Some(*output.Partition)
	}
	if output.Timestamp != nil {
		lowered.Timestamp = wit.Some(*output.Timestamp)
	}
	return lowered
}

func bytes(value wit.Option[[]uint8]) []byte {
	if value.Tag() == wit.OptionNone {
		return nil
	}
	if some := value.Some(); some != nil {
		return some
	}
	return []byte{}
}

func option(value []byte) wit.Option[[]uint8] {
	if value == nil {
		return wit.None[[]uint8]()
	}
	return wit.Some(value)
}
