;; Keeps a value of 60,000 bytes and asks for it 200 times in one call.
(import "gregor:plugin/cache@1.0.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))
(import "gregor:plugin/cache@1.0.0" "get-many" (func $get-many (param i32 i32 i32)))
(func $misbehave
  (local $at i32)
  (i32.store8 (i32.const 600) (i32.const 107))
  (call $set (i32.const 600) (i32.const 1) (i32.const 8192) (i32.const 60000) (i32.const 0) (i64.const 0) (i32.const 512))
  (local.set $at (i32.const 8192))
  (loop $again
    (i32.store (local.get $at) (i32.const 600))
    (i32.store offset=4 (local.get $at) (i32.const 1))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $again (i32.lt_u (local.get $at) (i32.const 9792))))
  (call $get-many (i32.const 8192) (i32.const 200) (i32.const 512)))
