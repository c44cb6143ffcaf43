//! An allocator that wipes what is freed while secrets are worked on, for libraries that do not wipe what they free
//! themselves.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{Ordering, compiler_fence};

thread_local! {
    /// How many calls of [`wiping`] this thread is in. Without a destructor, so that it may be used while memory is freed.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `work`; all memory that this thread frees meanwhile is wiped first, and so is what was used of the stack, as far
/// as it is not deeper than 64 KB.
///
/// What `work` returns is not: it has to look after its secrets itself. Has no effect on the heap unless
/// [`WipingAllocator`] is the global allocator.
pub fn wiping<R>(work: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
        }
    }
    DEPTH.with(|depth| depth.set(depth.get().saturating_add(1)));
    let leave = Leave;
    let result = apart(work);
    drop(leave);
    wipe_stack();
    result
}

/// In a frame of its own, so that it is one of those that are overwritten.
#[inline(never)]
fn apart<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Overwrites what lies below its caller's frame, and the registers with which memory is copied: the dynamic linker saves
/// those on the stack whenever it looks a function up.
#[inline(never)]
fn wipe_stack() {
    const DEPTH: usize = 64 * 1024;
    #[allow(clippy::large_stack_arrays)] // the stack is what it is about
    let mut space = [0_u8; DEPTH];
    for size in [16, 32, 64, 128, 256, 512, 1024] {
        let size = black_box(size);
        space.copy_within(..size, black_box(2 * size));
    }
    black_box(&mut space);
}

/// The system's allocator, which heeds [`wiping`]; to be declared as `#[global_allocator]`.
#[derive(Debug, Default, Clone, Copy)]
pub struct WipingAllocator;

// Out of line, or each of the thousands of places that free memory would grow.
// SAFETY: memory comes from and goes to the system's allocator, with the layouts that the caller vouches for.
unsafe impl GlobalAlloc for WipingAllocator {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is the same there.
        unsafe { System.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if is_wiping() {
            // SAFETY: the memory is the caller's, of this size, and nobody uses it any more.
            unsafe { wipe(memory, layout.size()) };
        }
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !is_wiping() {
            // SAFETY: the caller keeps the contract of `realloc`.
            return unsafe { System.realloc(memory, layout, size) };
        }
        // SAFETY: the caller vouches that the size, rounded up to the alignment, is no more than `isize::MAX`, and not 0.
        let new = unsafe { System.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both are of at least this size and do not overlap; the old memory is given up by the caller.
            unsafe {
                std::ptr::copy_nonoverlapping(memory, new, layout.size().min(size));
                self.dealloc(memory, layout);
            }
        }
        new
    }
}

fn is_wiping() -> bool {
    DEPTH.try_with(Cell::get).is_ok_and(|depth| depth > 0)
}

/// # Safety
/// `memory` is valid for writes of `size` bytes.
#[cold]
#[inline(never)]
unsafe fn wipe(memory: *mut u8, size: usize) {
    // Volatile: no other write to memory that is about to be freed would have to happen.
    for offset in 0..size {
        // SAFETY: the offset is within the memory.
        unsafe { memory.add(offset).write_volatile(0) };
    }
    compiler_fence(Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_wiped_before_it_goes() {
        let layout = Layout::array::<u8>(64).expect("a small layout");
        // SAFETY: of this layout, not null; wiping does not free.
        unsafe {
            let memory = WipingAllocator.alloc(layout);
            assert!(!memory.is_null());
            memory.write_bytes(7, 64);
            wipe(memory, 63);
            assert_eq!(std::slice::from_raw_parts(memory, 64), [vec![0; 63], vec![7]].concat());
            let grown = wiping(|| WipingAllocator.realloc(memory, layout, 128));
            assert_eq!(std::slice::from_raw_parts(grown, 64), [vec![0; 63], vec![7]].concat());
            let layout = Layout::array::<u8>(128).expect("a small layout");
            let shrunk = wiping(|| WipingAllocator.realloc(grown, layout, 64));
            assert_eq!(*shrunk.add(63), 7);
            let again = WipingAllocator.realloc(shrunk, Layout::array::<u8>(64).expect("a small layout"), 128);
            assert_eq!(*again.add(63), 7);
            WipingAllocator.dealloc(again, layout);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_stack_is_wiped() {
        use std::os::unix::fs::FileExt;
        let memory = std::fs::File::open("/proc/self/mem").expect("the memory of this process");
        let found = |address: usize| {
            let mut byte = [0];
            memory.read_exact_at(&mut byte, address as u64).expect("it is mapped");
            byte[0]
        };
        let address = wiping(|| {
            let mut deep = [0_u8; 8192];
            deep.fill(black_box(0xa5));
            let address = black_box(&deep).as_ptr() as usize;
            assert_eq!(found(address), 0xa5);
            address
        });
        // Other calls have used a little of it again.
        assert!((0..4096).all(|offset| found(address + offset) != 0xa5));
    }

    #[test]
    fn it_ends_with_the_work_also_by_a_panic() {
        assert!(!is_wiping());
        wiping(|| {
            assert!(is_wiping());
            wiping(|| assert!(is_wiping()));
            assert!(is_wiping());
            std::thread::scope(|scope| scope.spawn(|| assert!(!is_wiping())).join())
                .expect("another thread does not wipe");
        });
        assert!(!is_wiping());
        assert!(std::panic::catch_unwind(|| wiping(|| panic!("on purpose"))).is_err());
        assert!(!is_wiping());
    }
}
