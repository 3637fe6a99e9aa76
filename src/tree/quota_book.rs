//! TEMP
use super::data_tree::DataTree;
#[allow(missing_docs)]
impl DataTree {
    pub(super) fn count_quota(&mut self, _path: &str, _bytes: i64, _count: i64) {}
    pub(super) fn quota_node_created(&mut self, _path: &str) {}
    pub(super) fn quota_node_deleted(&mut self, _path: &str) {}
    pub(super) fn load_quotas(&mut self) {}
    pub(crate) fn exceeds_quota(&self, _path: &str, _b: i64, _c: i64) -> bool {
        false
    }
}
