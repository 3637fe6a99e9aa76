//! Watches: one-shot, persistent and recursive.
