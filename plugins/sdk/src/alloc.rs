//! A plugin's allocator: a free list for each small size, in front of the
//! standard one.
//!
//! A record costs a plugin some ten small blocks, most of them made by the
//! host for what it hands over. The standard allocator (dlmalloc, below two
//! more calls) takes a seventh of all instructions of `last-location`, this
//! one a twentieth. Blocks stay with their size for as long as the instance
//! lives: what a plugin holds of each size at its peak adds up.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;

/// Sizes are multiples of this, and so are addresses.
const STEP: usize = 16;
/// Larger blocks come from the standard allocator.
const LARGEST: usize = 1024;
/// Taken from the standard allocator at once, to be cut into blocks.
const CHUNK: usize = 16 << 10;

struct Allocator {
    lists: UnsafeCell<Lists>,
}

struct Lists {
    /// For each size, the first free block; its first word is the next one.
    free: [*mut u8; LARGEST / STEP + 1],
    /// What is left of the last chunk.
    rest: *mut u8,
    left: usize,
}

// SAFETY: an instance has one thread: the crate's root leaves this module out
// where WebAssembly has threads.
unsafe impl Sync for Allocator {}

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new();

impl Allocator {
    const fn new() -> Self {
        let free = [ptr::null_mut(); LARGEST / STEP + 1];
        Self { lists: UnsafeCell::new(Lists { free, rest: ptr::null_mut(), left: 0 }) }
    }
}

#[inline(always)]
fn class(layout: &Layout) -> Option<usize> {
    (layout.size() <= LARGEST && layout.align() <= STEP).then(|| layout.size().div_ceil(STEP))
}

// SAFETY: a block is on one free list or in use, never both; its list is that
// of its size rounded up, which `dealloc` is given again; chunks are aligned to
// `STEP` and cut at multiples of it.
unsafe impl GlobalAlloc for Allocator {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(&layout) else { return unsafe { System.alloc(layout) } };
        unsafe {
            let lists = self.lists.get();
            let first = (*lists).free[class];
            if first.is_null() {
                return cut(lists, class * STEP);
            }
            (*lists).free[class] = *first.cast();
            first
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class(&layout) else { return unsafe { System.dealloc(block, layout) } };
        unsafe {
            let lists = self.lists.get();
            *block.cast() = (*lists).free[class];
            (*lists).free[class] = block;
        }
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            let wanted = Layout::from_size_align_unchecked(size, layout.align());
            match (class(&layout), class(&wanted)) {
                (None, None) => return System.realloc(block, layout, size),
                (before, after) if before == after => return block,
                _ => {}
            }
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// A block of `size` bytes, a multiple of `STEP`, when its list is empty.
#[cold]
unsafe fn cut(lists: *mut Lists, size: usize) -> *mut u8 {
    unsafe {
        if (*lists).left < size {
            let chunk = System.alloc(Layout::from_size_align_unchecked(CHUNK, STEP));
            if chunk.is_null() {
                return chunk;
            }
            // What is left of the chunk before is too small for this block, and one of its own size.
            let left = (*lists).left;
            if left >= STEP {
                let class = left / STEP;
                *(*lists).rest.cast() = (*lists).free[class];
                (*lists).free[class] = (*lists).rest;
            }
            (*lists).rest = chunk;
            (*lists).left = CHUNK;
        }
        let block = (*lists).rest;
        (*lists).rest = block.add(size);
        (*lists).left -= size;
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// A block whose bytes are all `mark`.
    struct Block {
        start: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Block {
        fn new(allocator: &Allocator, layout: Layout, mark: u8) -> Block {
            // SAFETY: no layout of these tests is empty; the block is as long as it says.
            unsafe {
                let start = allocator.alloc(layout);
                assert!(!start.is_null() && start.addr().is_multiple_of(layout.align()));
                start.write_bytes(mark, layout.size());
                Block { start, layout, mark }
            }
        }

        fn free(self, allocator: &Allocator) {
            // SAFETY: allocated with this layout and given back once.
            unsafe {
                let bytes = std::slice::from_raw_parts(self.start, self.layout.size());
                assert!(bytes.iter().all(|byte| *byte == self.mark), "another block was written into this one");
                allocator.dealloc(self.start, self.layout);
            }
        }
    }

    #[test]
    fn blocks_of_all_sizes_keep_what_is_written_into_them() {
        let allocator = Allocator::new();
        let mut held: Vec<Block> = Vec::new();
        let mut random = 7_u64;
        for round in 0..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let size = 1 + (random >> 40) as usize % (if random.is_multiple_of(5) { 3 * LARGEST } else { 100 });
            held.push(Block::new(&allocator, layout(size, 1 << ((random >> 20) % 7)), round as u8));
            if held.len() > 200 {
                let at = (random >> 33) as usize % held.len();
                held.swap_remove(at).free(&allocator);
            }
        }
        held.into_iter().for_each(|block| block.free(&allocator));
    }

    #[test]
    fn a_block_that_was_given_back_serves_the_next_of_its_size() {
        let allocator = Allocator::new();
        let first = Block::new(&allocator, layout(40, 8), 1);
        let start = first.start;
        first.free(&allocator);
        let other = Block::new(&allocator, layout(200, 8), 2);
        let again = Block::new(&allocator, layout(33, 1), 3);
        assert_eq!(again.start, start);
        other.free(&allocator);
        again.free(&allocator);
    }

    #[test]
    fn a_block_grows_with_its_contents() {
        let allocator = Allocator::new();
        // SAFETY: each block is as long as was asked for, and is given back with its last layout.
        unsafe {
            let mut start = allocator.alloc(layout(10, 1));
            start.write_bytes(9, 10);
            for (from, to) in [(10, 16), (16, 17), (17, LARGEST), (LARGEST, LARGEST + 1), (LARGEST + 1, 10)] {
                start = allocator.realloc(start, layout(from, 1), to);
                assert_eq!(std::slice::from_raw_parts(start, 10), [9; 10]);
            }
            allocator.dealloc(start, layout(10, 1));
        }
    }
}
