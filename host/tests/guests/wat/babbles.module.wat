;; Gives back its record's value as if it were the memory of its result: which
;; case it is, how many outputs, where they stand and what is in them.
(module
  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 65536))
  (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
    (local $given i32)
    (local.set $given (global.get $free))
    (global.set $free
      (i32.and (i32.add (i32.add (global.get $free) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (local.get $given))
  (func (export "gregor:plugin/processor@1.0.0#process")
    (param $topic i32) (param $topic-len i32) (param $partition i32) (param $offset i64) (param $timestamp i64)
    (param $has-key i32) (param $key i32) (param $key-len i32)
    (param $has-value i32) (param $value i32) (param $value-len i32)
    (param $headers i32) (param $headers-len i32)
    (result i32)
    (memory.copy (i32.const 0) (local.get $value) (local.get $value-len))
    (global.set $free (i32.const 65536))
    (i32.const 0))
)
