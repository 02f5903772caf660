;; Sets a value that is the whole of its memory, grown to 32 MiB.
(import "gregor:plugin/cache@1.0.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))
(func $misbehave
  (drop (memory.grow (i32.const 510)))
  (i32.store8 (i32.const 600) (i32.const 107))
  (call $set (i32.const 600) (i32.const 1) (i32.const 1024) (i32.const 33000000) (i32.const 0) (i64.const 0) (i32.const 512)))
