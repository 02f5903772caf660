;; Sets one key to a value of 60,000 bytes, 3,000 times in one call: 180 MB, of which
;; one value is left.
(import "gregor:plugin/cache@1.0.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))
(func $misbehave
  (local $left i32)
  (i32.store8 (i32.const 600) (i32.const 107))
  (local.set $left (i32.const 3000))
  (loop $again
    (call $set
      (i32.const 600) (i32.const 1) (i32.const 8192) (i32.const 60000) (i32.const 0) (i64.const 0) (i32.const 512))
    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
    (br_if $again (local.get $left))))
