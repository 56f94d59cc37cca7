//! The allocator of every component: an arena that only grows.
//!
//! An instance answers one call and is gone, so giving memory back is work for nobody. Allocating is an addition, and
//! the first memory is there from the start (`.cargo/config.toml`): growing it would cost the host a system call for each call.
//! A host that reuses instances needs another allocator.
#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;

/// A page of linear memory, in bytes.
const PAGE_BYTES: usize = 1 << 16;

/// Pages that the arena asks for at least when it grows.
const GROWTH_PAGES_MIN: usize = 16;

/// Where the arena stands.
struct Arena {
    /// The next free byte; zero before the first allocation.
    next: UnsafeCell<usize>,
    /// The end of the memory there is.
    end: UnsafeCell<usize>,
}

// SAFETY: components have one thread.
unsafe impl Sync for Arena {}

#[global_allocator]
static ARENA: Arena = Arena { next: UnsafeCell::new(0), end: UnsafeCell::new(0) };

unsafe extern "C" {
    /// The linker's mark: data and stack end here.
    static __heap_base: u8;
}

impl Arena {
    /// Moves the end of the arena so that `until` is inside it.
    fn grow(&self, until: usize) -> bool {
        // SAFETY: there is one thread, and no reference into the cell lives longer than a statement.
        unsafe {
            let missing = until.saturating_sub(*self.end.get());
            let pages = missing.div_ceil(PAGE_BYTES).max(GROWTH_PAGES_MIN);
            let grown = core::arch::wasm32::memory_grow::<0>(pages) != usize::MAX;
            *self.end.get() = core::arch::wasm32::memory_size::<0>() * PAGE_BYTES;
            grown && until <= *self.end.get()
        }
    }
}

// SAFETY: every block lies within the memory after `__heap_base`, is aligned as asked, and is handed out once.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: there is one thread, and no reference into the cells lives longer than a statement.
        unsafe {
            if *self.next.get() == 0 {
                *self.next.get() = &raw const __heap_base as usize;
                *self.end.get() = core::arch::wasm32::memory_size::<0>() * PAGE_BYTES;
            }
            let start = (*self.next.get()).next_multiple_of(layout.align());
            let Some(until) = start.checked_add(layout.size()) else { return core::ptr::null_mut() };
            if until > *self.end.get() && !self.grow(until) {
                return core::ptr::null_mut();
            }
            *self.next.get() = until;
            start as *mut u8
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // The last block is taken back, so that a loop which fills and drops one buffer stays where it is.
        // SAFETY: there is one thread.
        unsafe {
            if block as usize + layout.size() == *self.next.get() {
                *self.next.get() = block as usize;
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: there is one thread; the new block is as large as asked, and only bytes of the old one are copied.
        unsafe {
            // The last block grows where it is: this is how buffers and strings are filled.
            if block as usize + layout.size() == *self.next.get() {
                let Some(until) = (block as usize).checked_add(size) else { return core::ptr::null_mut() };
                if until > *self.end.get() && !self.grow(until) {
                    return core::ptr::null_mut();
                }
                *self.next.get() = until;
                return block;
            }
            if size <= layout.size() {
                return block;
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                core::ptr::copy_nonoverlapping(block, moved, layout.size());
            }
            moved
        }
    }
}
