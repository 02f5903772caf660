;; What the guests in this folder share: each is this text with its own in the
;; place of the mark, and `$misbehave` is its own. A record whose value begins
;; with `!` makes a guest misbehave; any other comes back as it came.
;;
;; What is lowered into the memory stands above $base until the next call.
(module
  (; MARK ;)

  (memory (export "memory") 2)
  (global $base i32 (i32.const 4096))
  (global $free (mut i32) (i32.const 4096))

  ;; A bump allocator: what it gives is aligned to 8 and never given back.
  (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
    (local $given i32)
    (local.set $given (global.get $free))
    (global.set $free
      (i32.and (i32.add (i32.add (global.get $free) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (local.get $given))

  ;; The record comes as the fields of `input`; `result<list<output>, failure>`
  ;; goes back at address 0, its one output at 64.
  (func (export "gregor:plugin/processor@1.0.0#process")
    (param $topic i32) (param $topic-len i32) (param $partition i32) (param $offset i64) (param $timestamp i64)
    (param $has-key i32) (param $key i32) (param $key-len i32)
    (param $has-value i32) (param $value i32) (param $value-len i32)
    (param $headers i32) (param $headers-len i32)
    (result i32)
    (if (i32.and (i32.ne (local.get $value-len) (i32.const 0)) (i32.eq (i32.load8_u (local.get $value)) (i32.const 33)))
      (then (call $misbehave)))
    (i32.store (i32.const 64) (i32.const 0))            ;; topic: none
    (i32.store (i32.const 76) (i32.const 0))            ;; partition: none
    (i32.store (i32.const 88) (i32.const 0))            ;; timestamp: none
    (i32.store (i32.const 104) (local.get $has-key))
    (i32.store (i32.const 108) (local.get $key))
    (i32.store (i32.const 112) (local.get $key-len))
    (i32.store (i32.const 116) (local.get $has-value))
    (i32.store (i32.const 120) (local.get $value))
    (i32.store (i32.const 124) (local.get $value-len))
    (i32.store (i32.const 128) (local.get $headers))
    (i32.store (i32.const 132) (local.get $headers-len))
    (i32.store (i32.const 0) (i32.const 0))             ;; ok
    (i32.store (i32.const 4) (i32.const 64))
    (i32.store (i32.const 8) (i32.const 1))
    (global.set $free (global.get $base))
    (i32.const 0))
)
