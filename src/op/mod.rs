//! One file per client operation: a write has `prep` and `reply`, a read has `read`.
