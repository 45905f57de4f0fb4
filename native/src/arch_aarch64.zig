//! Thunks for AArch64: AAPCS64 (Linux), Apple's variant and Windows.
//!
//! A thunk loads its own number into w16, the first intra-procedure-call register, and jumps to the common entry. That
//! spills the argument registers into `Frame` order and calls the dispatcher in `thunk.zig`.

const builtin = @import("builtin");
const thunk = @import("thunk.zig");
const darwin = builtin.os.tag.isDarwin();
const windows = builtin.os.tag == .windows;
const prefix = if (darwin) "_" else "";
const hidden = if (darwin)
    ".private_extern _belay_thunks\n"
else if (windows)
    ""
else
    ".hidden belay_thunks\n";

pub const thunk_byte_length = 8;

comptime {
    asm (".text\n" ++
            ".globl " ++ prefix ++ "belay_thunks\n" ++
            hidden ++
            ".p2align 6\n" ++
            prefix ++ "belay_thunks:\n" ++
            ".set belay_index, 0\n" ++
            ".rept " ++ thunk.capacity_text ++ "\n" ++
            "movz w16, #belay_index\n" ++
            "b belay_entry\n" ++
            ".set belay_index, belay_index + 1\n" ++
            ".endr\n" ++
            ".p2align 4\n" ++
            \\belay_entry:
            \\
        ++ (if (windows) ".seh_proc belay_entry\n" else ".cfi_startproc\n") ++
            \\stp x29, x30, [sp, #-144]!
            \\
        ++ (if (windows) ".seh_save_fplr_x 144\n" else "") ++
            \\mov x29, sp
            \\
        ++ (if (windows)
            ".seh_set_fp\n.seh_endprologue\n"
        else
            ".cfi_def_cfa w29, 144\n.cfi_offset w30, -136\n.cfi_offset w29, -144\n") ++
            \\stp x0, x1, [sp, #16]
            \\stp x2, x3, [sp, #32]
            \\stp x4, x5, [sp, #48]
            \\stp x6, x7, [sp, #64]
            \\stp d0, d1, [sp, #80]
            \\stp d2, d3, [sp, #96]
            \\stp d4, d5, [sp, #112]
            \\stp d6, d7, [sp, #128]
            \\mov w0, w16
            \\add x1, sp, #16
            \\add x2, x29, #144
            \\
        ++ "bl " ++ prefix ++ "belay_dispatch\n" ++
            \\fmov d0, x0
            \\
        ++ (if (windows) ".seh_startepilogue\n" else "") ++
            \\ldp x29, x30, [sp], #144
            \\
        ++ (if (windows) ".seh_save_fplr_x 144\n.seh_endepilogue\n" else "") ++
            \\ret
            \\
        ++ (if (windows) ".seh_endproc\n" else ".cfi_endproc\n"));
}
