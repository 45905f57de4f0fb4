//! Switching stacks on AArch64: Linux and macOS. x19 to x30, d8 to d15 and the control word of floats. The return address
//! is loaded to where a return takes it from, so neither branch targets nor signed addresses are in the way.

const symbols = @import("../os/assembly.zig");
const prefix = symbols.prefix;

pub const frame_words = 22;
const link_word = 11;
const control_word = 20;

pub fn prepare(memory: []align(16) u8, entry: usize) usize {
    const top: [*]usize = @ptrCast(@alignCast(memory.ptr + memory.len));
    const frame = (top - frame_words)[0..frame_words];
    frame.* = @splat(0);
    // Debuggers look at the instruction before the one to go on at: it has to be the entry's, too.
    frame[link_word] = entry + 4;
    frame[control_word] = asm volatile ("mrs %[word], fpcr"
        : [word] "=r" (-> usize),
    );
    return @intFromPtr(frame);
}

pub fn hasShadowStack() bool {
    // CHKFEAT clears the bit of a feature that is on, and does nothing on processors that don't know it.
    const guarded = asm volatile (
        \\mov x16, #1
        \\hint #40
        \\mov %[answer], x16
        : [answer] "=r" (-> usize),
        :
        : .{ .x16 = true });
    return guarded & 1 == 0;
}

comptime {
    asm (".text\n" ++ symbols.declare("belay_switch", &.{}) ++ ".p2align 4\n" ++ prefix ++ "belay_switch:\n" ++
            \\.cfi_startproc
            \\.cfi_remember_state
            \\sub sp, sp, #176
            \\.cfi_def_cfa_offset 176
            \\stp x19, x20, [sp]
            \\.cfi_offset w19, -176
            \\.cfi_offset w20, -168
            \\stp x21, x22, [sp, #16]
            \\.cfi_offset w21, -160
            \\.cfi_offset w22, -152
            \\stp x23, x24, [sp, #32]
            \\.cfi_offset w23, -144
            \\.cfi_offset w24, -136
            \\stp x25, x26, [sp, #48]
            \\.cfi_offset w25, -128
            \\.cfi_offset w26, -120
            \\stp x27, x28, [sp, #64]
            \\.cfi_offset w27, -112
            \\.cfi_offset w28, -104
            \\stp x29, x30, [sp, #80]
            \\.cfi_offset w29, -96
            \\.cfi_offset w30, -88
            \\stp d8, d9, [sp, #96]
            \\.cfi_offset b8, -80
            \\.cfi_offset b9, -72
            \\stp d10, d11, [sp, #112]
            \\.cfi_offset b10, -64
            \\.cfi_offset b11, -56
            \\stp d12, d13, [sp, #128]
            \\.cfi_offset b12, -48
            \\.cfi_offset b13, -40
            \\stp d14, d15, [sp, #144]
            \\.cfi_offset b14, -32
            \\.cfi_offset b15, -24
            \\mrs x9, fpcr
            \\str x9, [sp, #160]
            \\mov x10, sp
            \\str x10, [x0]
            // The other stack was left in the same way: the rules are its frame's, too.
            \\mov sp, x1
            \\ldp x19, x20, [sp]
            \\ldp x21, x22, [sp, #16]
            \\ldp x23, x24, [sp, #32]
            \\ldp x25, x26, [sp, #48]
            \\ldp x27, x28, [sp, #64]
            \\ldp x29, x30, [sp, #80]
            \\ldp d8, d9, [sp, #96]
            \\ldp d10, d11, [sp, #112]
            \\ldp d12, d13, [sp, #128]
            \\ldp d14, d15, [sp, #144]
            \\ldr x10, [sp, #160]
            \\cmp x9, x10
            \\b.eq 1f
            \\msr fpcr, x10
            \\1:
            \\add sp, sp, #176
            \\.cfi_restore_state
            \\mov x0, x2
            \\ret
            \\.cfi_endproc
            \\
        ++ symbols.declare("belay_stack_entry", &.{}) ++ ".p2align 4\n" ++ prefix ++ "belay_stack_entry:\n" ++
            // Here back traces end.
            \\.cfi_startproc
            \\.cfi_undefined w30
            \\brk #1
            \\mov x29, #0
            \\
        ++ "bl " ++ prefix ++ "belay_stack_body\n" ++
            \\brk #1
            \\.cfi_endproc
            \\
    );
}
