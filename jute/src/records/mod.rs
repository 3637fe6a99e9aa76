//! Every record of `zookeeper.jute`, in one module for each of its modules.

use crate::{Record, RecordVisitor};

mod data;
mod persistence;
mod proto;
mod quorum;
mod txn;

pub use data::*;
pub use persistence::*;
pub use proto::*;
pub use quorum::*;
pub use txn::*;

/// Shows the visitor every type of record.
pub fn visit_records<'a>(visitor: &mut impl RecordVisitor<'a>) {
    data::visit(visitor);
    proto::visit(visitor);
    quorum::visit(visitor);
    persistence::visit(visitor);
    txn::visit(visitor);
}

/// The declaration of every record, for the test that holds them against the documented formats.
pub fn declarations() -> Vec<String> {
    struct Declarations(Vec<String>);
    impl<'a> RecordVisitor<'a> for Declarations {
        fn visit<R: Record<'a>>(&mut self) {
            self.0.push(R::declaration());
        }
    }
    let mut declarations = Declarations(Vec::new());
    visit_records(&mut declarations);
    declarations.0
}
