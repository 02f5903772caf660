;; Prints 100,000 bytes, all of them line ends, at once.
(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
(import "wasi:io/streams@0.2.0" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
(func $misbehave
  (memory.fill (i32.const 8192) (i32.const 10) (i32.const 100000))
  (call $write (call $stdout) (i32.const 8192) (i32.const 100000) (i32.const 512)))
