//! The request processors and the chains they are wired into.
