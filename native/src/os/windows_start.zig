//! What a DLL has of its own: Zig's start brings the entry point, and the directory of what is local to threads.
