;; Sets one key and deletes it, 200,000 times in one call.
(import "gregor:plugin/cache@1.0.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))
(import "gregor:plugin/cache@1.0.0" "delete" (func $delete (param i32 i32) (result i32)))
(func $misbehave
  (local $left i32)
  (i32.store8 (i32.const 600) (i32.const 107))
  (local.set $left (i32.const 200000))
  (loop $again
    (call $set
      (i32.const 600) (i32.const 1) (i32.const 8192) (i32.const 1000) (i32.const 0) (i64.const 0) (i32.const 512))
    (drop (call $delete (i32.const 600) (i32.const 1)))
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (br_if $again (local.get $left))))
