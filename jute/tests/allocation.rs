//! A reader never allocates by a length it has not checked: what is allocated while garbage is read
//! stays within a multiple of its size.
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use jute::{Record, RecordVisitor};
use proptest::collection::vec;
use proptest::prelude::*;

static ALLOCATED_BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The largest element of a vector is some ten times larger in memory than its fewest bytes on the
/// wire, and a vector of one element takes room for four.
const FACTOR: usize = 64;

struct Measure<'a>(&'a [u8]);

impl<'a> RecordVisitor<'a> for Measure<'a> {
    fn visit<R: Record<'a>>(&mut self) {
        let before = ALLOCATED_BYTES.load(Ordering::Relaxed);
        let read = R::from_bytes(self.0).is_ok();
        let allocated = ALLOCATED_BYTES.load(Ordering::Relaxed) - before;
        let most = FACTOR * self.0.len();
        assert!(
            allocated <= most,
            "{} (read: {read}): {allocated} bytes for {}",
            R::declaration(),
            self.0.len()
        );
    }
}

// The only test of this binary: another thread would be counted too.
proptest! {
    #[test]
    fn reading_garbage_allocates_no_more_than_a_multiple_of_it(
        mut bytes in vec(prop_oneof![Just(0), 0..9_u8, any::<u8>()], 4..200),
        at in any::<prop::sample::Index>(),
        length in prop_oneof![Just(i32::MAX), Just(1 << 24), 0..200_i32, any::<i32>()],
    ) {
        let at = at.index(bytes.len() - 3);
        bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
        jute::visit_records(&mut Measure(&bytes));
    }
}
