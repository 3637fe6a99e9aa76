//! Access control lists, each stored once and counted (`ReferenceCountedACLCache`).

use std::sync::Arc;

use foldhash::HashMap;
use jute::Acl;

use crate::auth::AclEntry;
use crate::proto::Perms;

/// A list as nodes and records of pending changes share it.
pub type AclList = Arc<[AclEntry]>;

/// Number of the list `world:anyone` with every permission, which snapshots leave out.
pub(crate) const OPEN_ACL: i32 = -1;

/// Lists by number, with the nodes that use them.
pub(crate) struct AclCache {
    open: AclList,
    /// List number n stands at n - 1; freed numbers are used again.
    lists: Vec<Option<CountedList>>,
    vacant: Vec<i32>,
    numbers: HashMap<AclList, i32>,
}

struct CountedList {
    list: AclList,
    users: u64,
}

impl AclCache {
    pub(crate) fn new() -> Self {
        let open = AclEntry { perms: Perms::ALL.0, scheme: "world".into(), id: "anyone".into() };
        Self {
            open: [open].into(),
            lists: Vec::new(),
            vacant: Vec::new(),
            numbers: HashMap::default(),
        }
    }

    /// The list with this number.
    pub(crate) fn get(&self, number: i32) -> &AclList {
        if number == OPEN_ACL {
            return &self.open;
        }
        let counted = self.lists[number as usize - 1].as_ref();
        &counted.expect("a node's list is in the cache").list
    }

    /// Number of a list, for one more node that uses it.
    pub(crate) fn add(&mut self, acl: &[Acl<'_>]) -> i32 {
        if is_open(acl) {
            return OPEN_ACL;
        }
        self.add_list(acl.iter().map(AclEntry::from).collect())
    }

    /// As [`Self::add`], for a list in its stored form.
    pub(crate) fn add_list(&mut self, list: AclList) -> i32 {
        if *list == *self.open {
            return OPEN_ACL;
        }
        if let Some(&number) = self.numbers.get(&list) {
            self.add_user(number);
            return number;
        }
        let counted = Some(CountedList { list: list.clone(), users: 1 });
        let number = match self.vacant.pop() {
            Some(number) => {
                self.lists[number as usize - 1] = counted;
                number
            }
            None => {
                self.lists.push(counted);
                self.lists.len() as i32
            }
        };
        self.numbers.insert(list, number);
        number
    }

    /// One more node uses this list.
    pub(crate) fn add_user(&mut self, number: i32) {
        if number != OPEN_ACL {
            let counted = self.lists[number as usize - 1].as_mut();
            counted.expect("the list is in the cache").users += 1;
        }
    }

    /// A node uses this list no more.
    pub(crate) fn remove_user(&mut self, number: i32) {
        if number == OPEN_ACL {
            return;
        }
        let slot = &mut self.lists[number as usize - 1];
        let counted = slot.as_mut().expect("a node's list is in the cache");
        counted.users -= 1;
        if counted.users == 0 {
            self.numbers.remove(&counted.list);
            *slot = None;
            self.vacant.push(number);
        }
    }

    /// Lists with their numbers, without the open one, as a snapshot holds them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &AclList)> {
        let numbered = self.lists.iter().zip(1..);
        numbered.filter_map(|(slot, number)| slot.as_ref().map(|counted| (number, &counted.list)))
    }
}

fn is_open(acl: &[Acl<'_>]) -> bool {
    matches!(acl, [only] if only.perms == Perms::ALL.0
        && only.id.scheme == "world" && only.id.id == "anyone")
}

#[cfg(test)]
mod tests {
    use super::*;
    use jute::Id;

    fn acl(perms: i32) -> Vec<Acl<'static>> {
        vec![Acl { perms, id: Id { scheme: "world".into(), id: "anyone".into() } }]
    }

    #[test]
    fn equal_lists_share_a_number_until_nobody_uses_it() {
        let mut cache = AclCache::new();
        assert_eq!(cache.add(&acl(31)), OPEN_ACL);
        let read = cache.add(&acl(1));
        assert_eq!((read, cache.add(&acl(1))), (1, 1));
        assert_eq!(cache.get(read)[0].perms, 1);
        cache.remove_user(read);
        assert_eq!(cache.iter().count(), 1);
        cache.remove_user(read);
        assert_eq!(cache.iter().count(), 0);
        assert_eq!(cache.add(&acl(2)), read, "the number is used again");
    }
}
