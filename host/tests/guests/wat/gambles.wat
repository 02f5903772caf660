;; Asks for 2 MiB of randomness at once.
(import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
(func $misbehave
  (call $random (i64.const 2097152) (i32.const 512)))
