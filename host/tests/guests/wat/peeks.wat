;; Grows its memory to 32 MiB and looks for the word CANARY#1 in all of it, at
;; every byte; traps when it finds one. The word itself stands in its code only.
(func $misbehave
  (local $at i32)
  (if (i32.eq (memory.grow (i32.const 510)) (i32.const -1)) (then unreachable))
  (loop $again
    (if (i64.eq (i64.load (local.get $at)) (i64.const 0x31235952414e4143)) (then unreachable))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $at) (i32.const 33554424)))))
