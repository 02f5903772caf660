;; Grows its memory to 32 MiB and fills what it added with the word CANARY#1.
(func $misbehave
  (local $at i32)
  (if (i32.eq (memory.grow (i32.const 510)) (i32.const -1)) (then unreachable))
  (local.set $at (i32.const 131072))
  (loop $again
    (i64.store (local.get $at) (i64.const 0x31235952414e4143))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $again (i32.lt_u (local.get $at) (i32.const 33554432)))))
