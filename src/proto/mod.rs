//! Words of the wire: opcodes, error codes, zxids, frames, headers.
