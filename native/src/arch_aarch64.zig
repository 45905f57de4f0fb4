//! Thunks for AArch64: AAPCS64 (Linux), Apple's variant and Windows.
//!
//! A thunk loads its own number into w16, the first intra-procedure-call register, and jumps to the common entry. That
//! spills the argument registers into `Frame` order and calls the dispatcher in `thunk.zig`. In a copy of the thunks a
//! tail stands where the entry is here: it adds the copy's first number, and jumps to the entry.

const builtin = @import("builtin");
const thunk = @import("thunk.zig");
const windows = builtin.os.tag == .windows;
const symbols = @import("symbols.zig");
const prefix = symbols.prefix;

pub const thunk_byte_length = 8;

comptime {
    asm (".text\n" ++
            symbols.declare("belay_thunks", &.{ "belay_entry", "belay_tail", "belay_tail_end" }) ++
            ".p2align 6\n" ++
            prefix ++ "belay_thunks:\n" ++
            ".set belay_index, 0\n" ++
            ".rept " ++ thunk.block_length_text ++ "\n" ++
            "movz w16, #belay_index\n" ++
            "b " ++ prefix ++ "belay_entry\n" ++
            ".set belay_index, belay_index + 1\n" ++
            ".endr\n" ++
            ".p2align 4\n" ++
            prefix ++ "belay_entry:\n" ++ (if (windows) ".seh_proc belay_entry\n" else ".cfi_startproc\n") ++
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
        ++ (if (windows) ".seh_endproc\n" else ".cfi_endproc\n") ++
            ".p2align 4\n" ++ prefix ++ "belay_tail:\n" ++
            \\ldr w17, 2f
            \\add w16, w16, w17
            \\ldr x17, 1f
            \\br x17
            \\.p2align 3
            \\1: .quad 0
            \\2: .quad 0
            \\
        ++ prefix ++ "belay_tail_end:\n");
}
