;; Asks for one pollable after the other and drops none.
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $subscribe (param i64) (result i32)))
(func $misbehave
  (loop $again
    (drop (call $subscribe (i64.const 1)))
    (br $again)))
