//! The C side of Tcl: ABI types and the stub table's slots. Declarations only.
//!
//! Tcl hands every extension a table of function pointers through the interpreter. A slot number means the same
//! function in Tcl 8.6 and in Tcl 9; what differs is the type of lengths (`int` before 9, `Tcl_Size` since), and a
//! few slots that Tcl 9 dropped, none of which is used here. Numbers: `tclDecls.h` of both versions.
#![allow(clippy::too_many_arguments)]

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// `TCL_OK`.
pub(crate) const OK: c_int = 0;
/// `TCL_ERROR`.
pub(crate) const ERROR: c_int = 1;
/// `TCL_EVAL_GLOBAL`.
pub(crate) const EVAL_GLOBAL: c_int = 0x02_0000;
/// `TCL_GLOBAL_ONLY`.
pub(crate) const GLOBAL_ONLY: c_int = 1;
/// `TCL_READABLE`.
pub(crate) const READABLE: c_int = 2;
/// `TCL_WRITABLE`.
pub(crate) const WRITABLE: c_int = 4;
/// `TCL_CLOSE_READ`.
pub(crate) const CLOSE_READ: c_int = 2;
/// `TCL_CLOSE_WRITE`.
pub(crate) const CLOSE_WRITE: c_int = 4;
/// `TCL_MODE_BLOCKING`.
pub(crate) const MODE_BLOCKING: c_int = 0;
/// `TCL_CHANNEL_THREAD_INSERT`.
pub(crate) const THREAD_INSERT: c_int = 0;

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub(crate) struct $name { _private: [u8; 0] }
    )*};
}
opaque! {
    /// `Tcl_Interp`.
    Interp,
    /// `Tcl_Obj`.
    Obj,
    /// What a `Tcl_Channel` points to.
    Channel,
    /// What a `Tcl_TimerToken` points to.
    TimerToken,
    /// What a `Tcl_InterpState` points to.
    InterpState,
    /// `Tcl_Namespace`.
    Namespace,
    /// What a `Tcl_Command` points to.
    Command,
}

/// `Tcl_DString`, laid out with room for either version (Tcl 9 has wider lengths).
#[repr(C)]
pub(crate) struct DString {
    pub(crate) string: *mut c_char,
    /// Two lengths and 200 bytes in Tcl 9; Tcl 8.6 has narrower lengths.
    lengths: [isize; 2],
    space: [u8; 200],
}

impl DString {
    /// Not yet initialised in Tcl's sense; must not move once it is, for it may point into itself.
    pub(crate) const fn new() -> Self {
        Self { string: std::ptr::null_mut(), lengths: [0; 2], space: [0; 200] }
    }
}

pub(crate) type ObjCmdProc = unsafe extern "C" fn(*mut c_void, *mut Interp, c_int, *const *mut Obj) -> c_int;
pub(crate) type CmdDeleteProc = unsafe extern "C" fn(*mut c_void);
pub(crate) type ChannelProc = unsafe extern "C" fn(*mut c_void, c_int);
pub(crate) type TimerProc = unsafe extern "C" fn(*mut c_void);
pub(crate) type ExitProc = unsafe extern "C" fn(*mut c_void);
pub(crate) type InterpDeleteProc = unsafe extern "C" fn(*mut c_void, *mut Interp);
pub(crate) type WatchProc = unsafe extern "C" fn(*mut c_void, c_int);
pub(crate) type GetOptionProc = unsafe extern "C" fn(*mut c_void, *mut Interp, *const c_char, *mut DString) -> c_int;
pub(crate) type SetOptionProc = unsafe extern "C" fn(*mut c_void, *mut Interp, *const c_char, *const c_char) -> c_int;

/// `Tcl_ChannelType`, version 5, as both Tcl versions read it.
#[repr(C)]
pub(crate) struct ChannelType {
    pub(crate) type_name: *const c_char,
    pub(crate) version: *const c_void,
    pub(crate) close: *const c_void,
    pub(crate) input: unsafe extern "C" fn(*mut c_void, *mut c_char, c_int, *mut c_int) -> c_int,
    pub(crate) output: unsafe extern "C" fn(*mut c_void, *const c_char, c_int, *mut c_int) -> c_int,
    pub(crate) seek: *const c_void,
    pub(crate) set_option: SetOptionProc,
    pub(crate) get_option: GetOptionProc,
    pub(crate) watch: unsafe extern "C" fn(*mut c_void, c_int),
    pub(crate) get_handle: unsafe extern "C" fn(*mut c_void, c_int, *mut *mut c_void) -> c_int,
    pub(crate) close2: unsafe extern "C" fn(*mut c_void, *mut Interp, c_int) -> c_int,
    pub(crate) block_mode: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    pub(crate) flush: *const c_void,
    pub(crate) handler: *const c_void,
    pub(crate) wide_seek: *const c_void,
    pub(crate) thread_action: unsafe extern "C" fn(*mut c_void, c_int),
    pub(crate) truncate: *const c_void,
}

// SAFETY: the table is never written after it was made, and what it points to is static.
unsafe impl Sync for ChannelType {}
// SAFETY: as above.
unsafe impl Send for ChannelType {}

/// `TCL_CHANNEL_VERSION_5`.
pub(crate) const CHANNEL_VERSION_5: usize = 5;
/// `TCL_CLOSE2PROC`, which Tcl 8.6 expects as the close procedure and Tcl 9 ignores.
pub(crate) const CLOSE2PROC: usize = 1;

/// What every interpreter starts with, in every version since 8.1.
#[repr(C)]
struct InterpPrefix {
    legacy_result: *mut c_char,
    legacy_free: *const c_void,
    error_line: c_int,
    stub_table: *const StubHeader,
}

#[repr(C)]
struct StubHeader {
    magic: c_int,
    hooks: *const c_void,
    // The slots follow.
}

const MAGIC_8: u32 = 0xFCA3_BACF;
#[allow(clippy::cast_possible_truncation)]
const MAGIC_9: u32 = 0xFCA3_BACB_u32.wrapping_add(size_of::<*const c_void>() as u32);

static TABLE: AtomicPtr<*const c_void> = AtomicPtr::new(std::ptr::null_mut());
static WIDE_SIZES: AtomicBool = AtomicBool::new(false);

/// Why the stub table of an interpreter cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StubError {
    /// The interpreter has none, or one of an unknown kind.
    Unknown,
    /// Another Tcl library in this process loaded this extension before.
    AnotherTcl,
}

/// Reads the stub table from an interpreter, once per process.
///
/// # Safety
/// `interp` is a live interpreter.
pub(crate) unsafe fn initialise(interp: *mut Interp) -> Result<(), StubError> {
    // SAFETY: every Tcl_Interp begins with this prefix, and its stub table lives as long as the library.
    let (header, magic) = unsafe {
        let header = (*interp.cast::<InterpPrefix>()).stub_table;
        if header.is_null() {
            return Err(StubError::Unknown);
        }
        (header, (*header).magic.cast_unsigned())
    };
    let wide = match magic {
        MAGIC_8 => false,
        MAGIC_9 => true,
        _ => return Err(StubError::Unknown),
    };
    // SAFETY: the slots follow the header within the same object.
    let slots = unsafe { header.add(1) }.cast::<*const c_void>().cast_mut();
    // The flag belongs to the table that is accepted: it is set only once that is certain, and read only later.
    match TABLE.compare_exchange(std::ptr::null_mut(), slots, Ordering::AcqRel, Ordering::Acquire) {
        Err(other) if other != slots => Err(StubError::AnotherTcl),
        _ => {
            WIDE_SIZES.store(wide, Ordering::Release);
            Ok(())
        }
    }
}

/// True where lengths are `Tcl_Size`: in Tcl 9.
pub(crate) fn wide_sizes() -> bool {
    WIDE_SIZES.load(Ordering::Acquire)
}

/// # Safety
/// [`initialise`] succeeded, and the table has slot `n`.
unsafe fn slot(n: usize) -> *const c_void {
    // SAFETY: by the contract above.
    unsafe { *TABLE.load(Ordering::Acquire).add(n) }
}

/// Functions whose signature is the same in both versions.
macro_rules! slots {
    ($($n:literal $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)*) => {$(
        #[doc = concat!("Slot ", $n, ".\n\n# Safety\nAs the C function's manual page says.")]
        pub(crate) unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
            // SAFETY: the slot holds a function of this type in both versions; its contract is the caller's.
            unsafe {
                std::mem::transmute::<*const c_void, unsafe extern "C" fn($($ty),*) $(-> $ret)?>(slot($n))($($arg),*)
            }
        }
    )*};
}

slots! {
    0 pkg_provide_ex(interp: *mut Interp, name: *const c_char, version: *const c_char, data: *const c_void) -> c_int;
    19 db_decr_ref_count(obj: *mut Obj, file: *const c_char, line: c_int);
    20 db_incr_ref_count(obj: *mut Obj, file: *const c_char, line: c_int);
    32 get_boolean_from_obj(interp: *mut Interp, obj: *mut Obj, value: *mut c_int) -> c_int;
    44 list_obj_append_element(interp: *mut Interp, list: *mut Obj, element: *mut Obj) -> c_int;
    78 bad_channel_option(interp: *mut Interp, name: *const c_char, list: *const c_char) -> c_int;
    88 create_channel(kind: *const ChannelType, name: *const c_char, data: *mut c_void, mask: c_int) -> *mut Channel;
    89 create_channel_handler(chan: *mut Channel, mask: c_int, handler: ChannelProc, data: *mut c_void);
    96 create_obj_command(interp: *mut Interp, name: *const c_char, command: ObjCmdProc, data: *mut c_void, delete: CmdDeleteProc) -> *mut Command;
    98 create_timer_handler(milliseconds: c_int, handler: TimerProc, data: *mut c_void) -> *mut TimerToken;
    101 delete_channel_handler(chan: *mut Channel, handler: ChannelProc, data: *mut c_void);
    112 delete_timer_handler(token: *mut TimerToken);
    118 dstring_append_element(ds: *mut DString, element: *const c_char) -> *mut c_char;
    120 dstring_free(ds: *mut DString);
    122 dstring_init(ds: *mut DString);
    128 errno_msg(errno: c_int) -> *const c_char;
    146 flush(chan: *mut Channel) -> c_int;
    150 get_assoc_data(interp: *mut Interp, name: *const c_char, delete: *mut Option<InterpDeleteProc>) -> *mut c_void;
    151 get_channel(interp: *mut Interp, name: *const c_char, mode: *mut c_int) -> *mut Channel;
    153 get_channel_handle(chan: *mut Channel, direction: c_int, handle: *mut *mut c_void) -> c_int;
    154 get_channel_instance_data(chan: *mut Channel) -> *mut c_void;
    155 get_channel_mode(chan: *mut Channel) -> c_int;
    156 get_channel_name(chan: *mut Channel) -> *const c_char;
    157 get_channel_option(interp: *mut Interp, chan: *mut Channel, name: *const c_char, ds: *mut DString) -> c_int;
    158 get_channel_type(chan: *mut Channel) -> *const ChannelType;
    161 get_errno() -> c_int;
    166 get_obj_result(interp: *mut Interp) -> *mut Obj;
    183 input_buffered(chan: *mut Channel) -> c_int;
    184 interp_deleted(interp: *mut Interp) -> c_int;
    185 is_safe(interp: *mut Interp) -> c_int;
    194 notify_channel(chan: *mut Channel, mask: c_int);
    201 preserve(data: *mut c_void);
    204 posix_error(interp: *mut Interp) -> *const c_char;
    210 register_channel(interp: *mut Interp, chan: *mut Channel);
    216 release(data: *mut c_void);
    217 reset_result(interp: *mut Interp);
    223 set_assoc_data(interp: *mut Interp, name: *const c_char, delete: InterpDeleteProc, data: *mut c_void);
    225 set_channel_option(interp: *mut Interp, chan: *mut Channel, name: *const c_char, value: *const c_char) -> c_int;
    227 set_errno(errno: c_int);
    235 set_obj_result(interp: *mut Interp, result: *mut Obj);
    252 unregister_channel(interp: *mut Interp, chan: *mut Channel) -> c_int;
    288 create_thread_exit_handler(handler: ExitProc, data: *mut c_void);
    293 eval_obj_ex(interp: *mut Interp, script: *mut Obj, flags: c_int) -> c_int;
    306 get_var2_ex(interp: *mut Interp, name: *const c_char, index: *const c_char, flags: c_int) -> *mut Obj;
    317 set_var2_ex(interp: *mut Interp, name: *const c_char, index: *const c_char, value: *mut Obj, flags: c_int) -> *mut Obj;
    340 get_string(obj: *mut Obj) -> *const c_char;
    396 get_top_channel(chan: *mut Channel) -> *mut Channel;
    402 channel_close2_proc(kind: *const ChannelType) -> *const c_void;
    407 channel_get_option_proc(kind: *const ChannelType) -> Option<GetOptionProc>;
    408 channel_watch_proc(kind: *const ChannelType) -> Option<WatchProc>;
    415 cut_channel(chan: *mut Channel);
    416 splice_channel(chan: *mut Channel);
    413 is_channel_shared(chan: *mut Channel) -> c_int;
    417 clear_channel_handlers(chan: *mut Channel);
    418 is_channel_existing(name: *const c_char) -> c_int;
    479 output_buffered(chan: *mut Channel) -> c_int;
    487 get_wide_int_from_obj(interp: *mut Interp, obj: *mut Obj, value: *mut i64) -> c_int;
    488 new_wide_int_obj(value: i64) -> *mut Obj;
    494 dict_obj_put(interp: *mut Interp, dict: *mut Obj, key: *mut Obj, value: *mut Obj) -> c_int;
    495 dict_obj_get(interp: *mut Interp, dict: *mut Obj, key: *mut Obj, value: *mut *mut Obj) -> c_int;
    503 new_dict_obj() -> *mut Obj;
    515 find_command(interp: *mut Interp, name: *const c_char, context: *mut Namespace, flags: c_int) -> *mut Command;
    535 save_interp_state(interp: *mut Interp, status: c_int) -> *mut InterpState;
    536 restore_interp_state(interp: *mut Interp, state: *mut InterpState) -> c_int;
    538 set_return_options(interp: *mut Interp, options: *mut Obj) -> c_int;
    539 get_return_options(interp: *mut Interp, code: c_int) -> *mut Obj;
    562 set_channel_error_interp(interp: *mut Interp, message: *mut Obj);
    565 get_channel_error(chan: *mut Channel, message: *mut *mut Obj);
    564 set_channel_error(chan: *mut Channel, message: *mut Obj);
    609 background_exception(interp: *mut Interp, code: c_int);
    624 close_ex(interp: *mut Interp, chan: *mut Channel, flags: c_int) -> c_int;
}

/// Functions that take one length (marked by `;`) and return a value of a fixed type.
macro_rules! sized_slots {
    ($($n:literal $name:ident($($arg:ident: $ty:ty),*; $len:ident; $($after:ident: $aty:ty),*) -> $ret:ty;)*) => {$(
        #[doc = concat!("Slot ", $n, ".\n\n# Safety\nAs the C function's manual page says.")]
        #[allow(clippy::cast_possible_truncation)]
        pub(crate) unsafe fn $name($($arg: $ty,)* $len: isize $(, $after: $aty)*) -> $ret {
            type Narrow = unsafe extern "C" fn($($ty,)* c_int $(, $aty)*) -> $ret;
            type Wide = unsafe extern "C" fn($($ty,)* isize $(, $aty)*) -> $ret;
            // SAFETY: the slot holds a function of the type chosen; its contract is the caller's. Callers keep
            // lengths below `c_int::MAX`.
            unsafe {
                if wide_sizes() {
                    std::mem::transmute::<*const c_void, Wide>(slot($n))($($arg,)* $len $(, $after)*)
                } else {
                    std::mem::transmute::<*const c_void, Narrow>(slot($n))($($arg,)* $len as c_int $(, $after)*)
                }
            }
        }
    )*};
}

sized_slots! {
    46 list_obj_index(interp: *mut Interp, list: *mut Obj; index; value: *mut *mut Obj) -> c_int;
    50 new_byte_array_obj(bytes: *const u8; length;) -> *mut Obj;
    53 new_list_obj(; count; elements: *const *mut Obj) -> *mut Obj;
    56 new_string_obj(bytes: *const c_char; length;) -> *mut Obj;
    117 dstring_append(ds: *mut DString, bytes: *const c_char; length;) -> *mut c_char;
    292 eval_objv(interp: *mut Interp; count; words: *const *mut Obj, flags: c_int) -> c_int;
}

/// Functions that take one length last and return a length.
macro_rules! transfer_slots {
    ($($n:literal $name:ident($($arg:ident: $ty:ty),*; $len:ident);)*) => {$(
        #[doc = concat!("Slot ", $n, ".\n\n# Safety\nAs the C function's manual page says.")]
        #[allow(clippy::cast_possible_truncation)]
        pub(crate) unsafe fn $name($($arg: $ty,)* $len: isize) -> isize {
            type Narrow = unsafe extern "C" fn($($ty,)* c_int) -> c_int;
            type Wide = unsafe extern "C" fn($($ty,)* isize) -> isize;
            // SAFETY: as in `sized_slots`.
            unsafe {
                if wide_sizes() {
                    std::mem::transmute::<*const c_void, Wide>(slot($n))($($arg,)* $len)
                } else {
                    std::mem::transmute::<*const c_void, Narrow>(slot($n))($($arg,)* $len as c_int) as isize
                }
            }
        }
    )*};
}

transfer_slots! {
    206 read(chan: *mut Channel, into: *mut c_char; length);
    263 write(chan: *mut Channel, from: *const c_char; length);
    394 read_raw(chan: *mut Channel, into: *mut c_char; length);
    395 write_raw(chan: *mut Channel, from: *const c_char; length);
}

/// The bytes of a value and their count (`Tcl_GetByteArrayFromObj`, slot 33, before Tcl 9; `Tcl_GetBytesFromObj`, slot
/// 650, since); null where Tcl 9 finds a character that is no byte.
///
/// # Safety
/// `obj` is live; the result is valid until the value changes.
pub(crate) unsafe fn get_bytes_from_obj(obj: *mut Obj) -> (*const u8, usize) {
    type Narrow = unsafe extern "C" fn(*mut Obj, *mut c_int) -> *const u8;
    type Wide = unsafe extern "C" fn(*mut Interp, *mut Obj, *mut isize) -> *const u8;
    // SAFETY: the slot holds a function of the type chosen; a null interpreter suppresses the message.
    unsafe {
        if wide_sizes() {
            let mut length = 0_isize;
            let null = std::ptr::null_mut();
            let bytes = std::mem::transmute::<*const c_void, Wide>(slot(650))(null, obj, &raw mut length);
            (bytes, usize::try_from(length).unwrap_or(0))
        } else {
            let mut length: c_int = 0;
            let bytes = std::mem::transmute::<*const c_void, Narrow>(slot(33))(obj, &raw mut length);
            (bytes, usize::try_from(length).unwrap_or(0))
        }
    }
}

/// The number of elements of a list (`Tcl_ListObjLength`, slot 47 before Tcl 9, 662 since).
///
/// # Safety
/// `obj` is live; `interp` is null or live.
pub(crate) unsafe fn list_obj_length(interp: *mut Interp, obj: *mut Obj) -> Option<isize> {
    type Narrow = unsafe extern "C" fn(*mut Interp, *mut Obj, *mut c_int) -> c_int;
    type Wide = unsafe extern "C" fn(*mut Interp, *mut Obj, *mut isize) -> c_int;
    // SAFETY: the slot holds a function of the type chosen.
    unsafe {
        if wide_sizes() {
            let mut length = 0_isize;
            let code = std::mem::transmute::<*const c_void, Wide>(slot(662))(interp, obj, &raw mut length);
            (code == OK).then_some(length)
        } else {
            let mut length: c_int = 0;
            let code = std::mem::transmute::<*const c_void, Narrow>(slot(47))(interp, obj, &raw mut length);
            (code == OK).then_some(length as isize)
        }
    }
}
