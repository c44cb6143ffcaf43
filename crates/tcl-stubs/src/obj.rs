//! Tcl values.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use crate::error::{Error, from_tcl_text, to_tcl_text};
use crate::sys;

/// A counted reference to a Tcl value (`Tcl_Obj`). Belongs to the thread it was made in, so it is not `Send`.
///
/// Values must not be used after the thread's Tcl was finalised; they are meant for the time of a call.
pub struct Obj {
    raw: NonNull<sys::Obj>,
}

impl Obj {
    /// A string.
    pub fn text(text: &str) -> Self {
        let bytes = to_tcl_text(text);
        // SAFETY: Tcl copies the bytes; a fresh value is never null (Tcl panics when out of memory).
        unsafe { Self::from_raw(sys::new_string_obj(bytes.as_ptr().cast(), length(bytes.len()))) }
    }

    /// A byte array.
    pub fn bytes(bytes: &[u8]) -> Self {
        // SAFETY: as above.
        unsafe { Self::from_raw(sys::new_byte_array_obj(bytes.as_ptr(), length(bytes.len()))) }
    }

    /// A whole number.
    pub fn integer(value: i64) -> Self {
        // SAFETY: as above.
        unsafe { Self::from_raw(sys::new_wide_int_obj(value)) }
    }

    /// A list.
    pub fn list(elements: impl IntoIterator<Item = Obj>) -> Self {
        // SAFETY: a count of zero needs no elements; the list is fresh, so appending to it is allowed and cannot
        // fail, and it takes its own reference to each element.
        unsafe {
            let list = Self::from_raw(sys::new_list_obj(0, std::ptr::null()));
            for element in elements {
                sys::list_obj_append_element(std::ptr::null_mut(), list.as_ptr(), element.as_ptr());
            }
            list
        }
    }

    /// A list of strings.
    pub fn words<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Self {
        Self::list(words.into_iter().map(|word| Self::text(word.as_ref())))
    }

    /// A dictionary of strings to values, in the order given.
    pub fn dict<'a>(entries: impl IntoIterator<Item = (&'a str, Obj)>) -> Self {
        // SAFETY: the dictionary is fresh and unshared while it is filled.
        unsafe {
            let dict = Self::from_raw(sys::new_dict_obj());
            for (key, value) in entries {
                let key = Self::text(key);
                sys::dict_obj_put(std::ptr::null_mut(), dict.as_ptr(), key.as_ptr(), value.as_ptr());
            }
            dict
        }
    }

    /// The string of the value.
    pub fn to_text(&self) -> String {
        // SAFETY: Tcl_GetString gives a NUL-terminated string that lives until the value changes; NUL characters
        // within it are written as two other bytes.
        let bytes = unsafe { CStr::from_ptr(sys::get_string(self.as_ptr())) };
        from_tcl_text(bytes.to_bytes())
    }

    /// The bytes of a binary value.
    ///
    /// # Errors
    /// A character above 255 is in it (Tcl 9 only; Tcl 8.6 takes its low byte).
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        // SAFETY: the value is live; the bytes are copied before anything can change it.
        unsafe {
            let (start, count) = sys::get_bytes_from_obj(self.as_ptr());
            if start.is_null() {
                return Err(not_binary());
            }
            Ok(std::slice::from_raw_parts(start, count).to_vec())
        }
    }

    /// The bytes of a binary value, with no character lost in either Tcl. In Tcl 8.6 it makes the value's string.
    ///
    /// # Errors
    /// A character above 255 is in it.
    pub fn to_exact_bytes(&self) -> Result<Vec<u8>, Error> {
        // SAFETY: as in `to_text`. Tcl 9 tells by itself.
        let beyond = !sys::wide_sizes()
            && unsafe {
                let text = CStr::from_ptr(sys::get_string(self.as_ptr()));
                // In UTF-8 these begin the characters from 256 on, and stand nowhere else.
                text.to_bytes().iter().any(|&byte| byte >= 0xc4)
            };
        if beyond { Err(not_binary()) } else { self.to_bytes() }
    }

    /// The elements of a list.
    ///
    /// # Errors
    /// The value is no well-formed list.
    pub fn elements(&self) -> Result<Vec<Obj>, Error> {
        // SAFETY: a null interpreter suppresses messages; each index is below the length just asked.
        unsafe {
            let null = std::ptr::null_mut();
            let count = sys::list_obj_length(null, self.as_ptr())
                .ok_or_else(|| Error::new("expected a list").with_code(["TCL", "VALUE", "LIST"]))?;
            let mut elements = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
            for index in 0..count {
                let mut element = std::ptr::null_mut();
                if sys::list_obj_index(null, self.as_ptr(), index, &raw mut element) != sys::OK || element.is_null() {
                    return Err(Error::new("expected a list").with_code(["TCL", "VALUE", "LIST"]));
                }
                elements.push(Self::from_raw(element));
            }
            Ok(elements)
        }
    }

    /// The value of a key of a dictionary; nothing where the key is missing or the value is no dictionary.
    pub fn dict_get(&self, key: &str) -> Option<Obj> {
        let key = Self::text(key);
        let mut value = std::ptr::null_mut();
        // SAFETY: all values are live; a found value is owned by the dictionary and gets a reference of our own.
        unsafe {
            let code = sys::dict_obj_get(std::ptr::null_mut(), self.as_ptr(), key.as_ptr(), &raw mut value);
            (code == sys::OK && !value.is_null()).then(|| Self::from_raw(value))
        }
    }

    /// The value as a boolean, in any of Tcl's spellings.
    pub fn to_bool(&self) -> Option<bool> {
        let mut value: c_int = 0;
        // SAFETY: the value is live; a null interpreter suppresses the message.
        let code = unsafe { sys::get_boolean_from_obj(std::ptr::null_mut(), self.as_ptr(), &raw mut value) };
        (code == sys::OK).then_some(value != 0)
    }

    /// The value as a whole number of 64 bits.
    pub fn to_integer(&self) -> Option<i64> {
        let mut value = 0_i64;
        // SAFETY: as in `to_bool`.
        let code = unsafe { sys::get_wide_int_from_obj(std::ptr::null_mut(), self.as_ptr(), &raw mut value) };
        (code == sys::OK).then_some(value)
    }

    /// Counts a reference to a live value.
    ///
    /// # Safety
    /// `raw` is a live `Tcl_Obj` of this thread.
    pub(crate) unsafe fn from_raw(raw: *mut sys::Obj) -> Self {
        // SAFETY: live by contract, hence not null.
        unsafe {
            sys::db_incr_ref_count(raw, c"tcl-stubs".as_ptr(), 0);
            Self { raw: NonNull::new_unchecked(raw) }
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::Obj {
        self.raw.as_ptr()
    }
}

impl Clone for Obj {
    fn clone(&self) -> Self {
        // SAFETY: our own reference keeps it live.
        unsafe { Self::from_raw(self.as_ptr()) }
    }
}

impl Drop for Obj {
    fn drop(&mut self) {
        // SAFETY: gives back the reference counted in `from_raw`.
        unsafe { sys::db_decr_ref_count(self.as_ptr(), c"tcl-stubs".as_ptr(), 0) }
    }
}

impl std::fmt::Debug for Obj {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Obj")
    }
}

impl From<&str> for Obj {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Obj {
    fn from(text: String) -> Self {
        Self::text(&text)
    }
}

impl From<i64> for Obj {
    fn from(value: i64) -> Self {
        Self::integer(value)
    }
}

impl From<bool> for Obj {
    fn from(value: bool) -> Self {
        Self::integer(value.into())
    }
}

fn not_binary() -> Error {
    Error::new("expected a binary value, but it holds a character above 255").with_code(["TCL", "VALUE", "BYTES"])
}

/// The words of a command as C takes them, valid while `words` is.
pub(crate) fn raw_words(words: &[Obj]) -> Vec<*mut sys::Obj> {
    words.iter().map(Obj::as_ptr).collect()
}

/// A Rust length as Tcl takes it. No Rust allocation is longer than `isize::MAX`; Tcl 8.6 cannot hold more than
/// 2 GiB in a value, and neither do our callers make such.
pub(crate) fn length(count: usize) -> isize {
    let limit = if sys::wide_sizes() { isize::MAX } else { i32::MAX as isize };
    isize::try_from(count).unwrap_or(limit).min(limit)
}
