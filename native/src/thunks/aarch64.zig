//! Thunks for AArch64: AAPCS64 (Linux), Apple's variant and Windows.
//!
//! A thunk loads its own number into w16, the first intra-procedure-call register, and jumps to the common entry. That
//! spills the argument registers into `Registers` order, calls the dispatcher in `dispatch.zig`, and loads the result
//! registers. In a copy of the thunks a tail stands where the entry is here: it adds the copy's first number, and jumps
//! to the entry.

const builtin = @import("builtin");
const windows = builtin.os.tag == .windows;
const symbols = @import("symbols.zig");
const prefix = symbols.prefix;

/// Where the tail of a copy of the thunks goes.
pub const entry_of_copies = "belay_entry";
pub const thunk_byte_length = 8;
pub const group_byte_length = symbols.group_length * thunk_byte_length + 8;
/// From the registers that a thunk has spilled to what C put on the stack.
pub const stack_byte_offset = 144;

comptime {
    asm (".text\n" ++
            symbols.declare("belay_thunks", &.{ "belay_entry", "belay_tail", "belay_tail_end" }) ++
            symbols.block(
                \\movz w16, #belay_in_group
                \\b 1f
                \\
            ,
                \\add w16, w16, #belay_group
                \\
            ++ "b " ++ prefix ++ "belay_entry\n") ++
            ".p2align 4\n" ++
            prefix ++ "belay_entry:\n" ++ (if (windows) ".seh_proc belay_entry\n" else ".cfi_startproc\n") ++
            \\stp x29, x30, [sp, #-160]!
            \\
        ++ (if (windows) ".seh_save_fplr_x 160\n" else ".cfi_def_cfa_offset 160\n.cfi_offset w30, -152\n.cfi_offset w29, -160\n") ++
            \\mov x29, sp
            \\
        ++ (if (windows) ".seh_set_fp\n.seh_endprologue\n" else ".cfi_def_cfa_register w29\n") ++
            \\stp x0, x1, [sp, #16]
            \\stp x2, x3, [sp, #32]
            \\stp x4, x5, [sp, #48]
            \\stp x6, x7, [sp, #64]
            \\stp d0, d1, [sp, #80]
            \\stp d2, d3, [sp, #96]
            \\stp d4, d5, [sp, #112]
            \\stp d6, d7, [sp, #128]
            \\str xzr, [sp, #144]
            \\mov w0, w16
            \\add x1, sp, #16
            \\add x2, x29, #160
            \\mov x3, x8
            \\
        ++ "bl " ++ prefix ++ "belay_dispatch\n" ++
            \\ldr x9, [sp, #144]
            \\cbz x9, 3f
            \\mov x0, x9
            \\
        ++ "bl " ++ prefix ++ "belay_stack_give_way\n" ++
            \\3:
            \\ldr x1, [sp, #24]
            \\ldp d0, d1, [sp, #80]
            \\ldp d2, d3, [sp, #96]
            \\
        ++ (if (windows) ".seh_startepilogue\n" else "") ++
            \\ldp x29, x30, [sp], #160
            \\
        ++ (if (windows) ".seh_save_fplr_x 160\n.seh_endepilogue\n" else ".cfi_def_cfa wsp, 0\n.cfi_restore w30\n.cfi_restore w29\n") ++
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

// The generic caller: `fn (frame: *abi.Frame) void`. Copies the stack words, loads the registers, x8 among them for a
// result in memory, calls, and stores the result registers.
comptime {
    asm (".text\n" ++ symbols.declare("belay_make_call", &.{}) ++ ".p2align 4\n" ++ prefix ++ "belay_make_call:\n" ++
            (if (windows) ".seh_proc belay_make_call\n" else ".cfi_startproc\n") ++
            \\stp x29, x30, [sp, #-32]!
            \\
        ++ (if (windows) ".seh_save_fplr_x 32\n" else ".cfi_def_cfa_offset 32\n.cfi_offset w30, -24\n.cfi_offset w29, -32\n") ++
            \\str x19, [sp, #16]
            \\
        ++ (if (windows) ".seh_save_reg x19, 16\n" else ".cfi_offset w19, -16\n") ++
            \\mov x29, sp
            \\
        ++ (if (windows) ".seh_set_fp\n.seh_endprologue\n" else ".cfi_def_cfa_register w29\n") ++
            \\mov x19, x0
            \\ldr x9, [x19, #1160]
            \\cbz x9, 2f
            \\add x10, x9, #1
            \\and x10, x10, #0xfffffffffffffffe
            \\sub sp, sp, x10, lsl #3
            \\add x11, x19, #128
            \\1:
            \\sub x9, x9, #1
            \\ldr x10, [x11, x9, lsl #3]
            \\str x10, [sp, x9, lsl #3]
            \\cbnz x9, 1b
            \\2:
            \\ldp d0, d1, [x19, #64]
            \\ldp d2, d3, [x19, #80]
            \\ldp d4, d5, [x19, #96]
            \\ldp d6, d7, [x19, #112]
            \\ldp x0, x1, [x19, #0]
            \\ldp x2, x3, [x19, #16]
            \\ldp x4, x5, [x19, #32]
            \\ldp x6, x7, [x19, #48]
            \\ldr x8, [x19, #1168]
            \\ldr x16, [x19, #1152]
            \\blr x16
            \\add x9, x19, #1176
            \\stp x0, x1, [x9, #0]
            \\stp d0, d1, [x9, #16]
            \\stp d2, d3, [x9, #32]
            \\
        ++ (if (windows) ".seh_startepilogue\n" else "") ++
            \\mov sp, x29
            \\
        ++ (if (windows) ".seh_set_fp\n" else "") ++
            \\ldr x19, [sp, #16]
            \\
        ++ (if (windows) ".seh_save_reg x19, 16\n" else "") ++
            \\ldp x29, x30, [sp], #32
            \\
        ++ (if (windows)
            ".seh_save_fplr_x 32\n.seh_endepilogue\n"
        else
            ".cfi_def_cfa wsp, 0\n.cfi_restore w30\n.cfi_restore w29\n.cfi_restore w19\n") ++
            \\ret
            \\
        ++ (if (windows) ".seh_endproc\n" else ".cfi_endproc\n"));
}
