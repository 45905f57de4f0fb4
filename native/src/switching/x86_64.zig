//! What both ways of switching on x86-64 ask of the processor.

/// This thread's control words. Flags of what has happened are nobody's.
pub fn controlWords() u64 {
    var sse: u32 = undefined;
    var x87: u16 = undefined;
    asm volatile (
        \\stmxcsr (%[sse])
        \\fnstcw (%[x87])
        :
        : [sse] "r" (&sse),
          [x87] "r" (&x87),
        : .{ .memory = true });
    return (sse & 0xffc0) | @as(usize, x87) << 32;
}

pub fn hasShadowStack() bool {
    // rdsspq %rax, which does nothing where there is none.
    return asm volatile (".byte 0xf3, 0x48, 0x0f, 0x1e, 0xc8"
        : [pointer] "={rax}" (-> usize),
        : [zero] "{rax}" (@as(usize, 0)),
    ) != 0;
}
