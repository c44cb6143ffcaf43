//! Readable, writable: what channels wait for.

use std::ffi::c_int;
use std::ops::{BitAnd, BitOr, BitOrAssign};

use crate::sys;

/// A set of channel events, or of the directions of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Events(u8);

impl Events {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Input.
    pub const READABLE: Self = Self(1);
    /// Output.
    pub const WRITABLE: Self = Self(2);
    /// Both.
    pub const BOTH: Self = Self(3);

    /// True if any event of `other` is in this set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// True if nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set if `condition` holds, else nothing.
    #[must_use]
    pub fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }

    pub(crate) fn to_raw(self) -> c_int {
        let readable = if self.intersects(Self::READABLE) { sys::READABLE } else { 0 };
        let writable = if self.intersects(Self::WRITABLE) { sys::WRITABLE } else { 0 };
        readable | writable
    }

    pub(crate) fn from_raw(mask: c_int) -> Self {
        Self::READABLE.when(mask & sys::READABLE != 0) | Self::WRITABLE.when(mask & sys::WRITABLE != 0)
    }
}

impl BitOr for Events {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Events {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Events {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match (self.intersects(Self::READABLE), self.intersects(Self::WRITABLE)) {
            (false, false) => "none",
            (true, false) => "readable",
            (false, true) => "writable",
            (true, true) => "readable+writable",
        })
    }
}
