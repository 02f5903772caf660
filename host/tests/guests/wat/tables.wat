;; Grows a table for ever, and traps once that is refused.
(table $table 1 funcref)
(func $misbehave
  (loop $again
    (br_if $again
      (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1))))
  unreachable)
