;; Sets 1,000 keys to values of 60,000 bytes each in one call.
(import "gregor:plugin/cache@1.0.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))
(func $misbehave
  (local $nth i32)
  (loop $again
    ;; Two letters, a to z or what follows in ASCII.
    (i32.store8 (i32.const 600) (i32.add (i32.const 65) (i32.div_u (local.get $nth) (i32.const 50))))
    (i32.store8 (i32.const 601) (i32.add (i32.const 65) (i32.rem_u (local.get $nth) (i32.const 50))))
    (call $set
      (i32.const 600) (i32.const 2) (i32.const 8192) (i32.const 60000) (i32.const 0) (i64.const 0) (i32.const 512))
    (local.set $nth (i32.add (local.get $nth) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $nth) (i32.const 1000)))))
