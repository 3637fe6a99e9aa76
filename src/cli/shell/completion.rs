//! Completion of commands and paths (`JLineZNodeCompleter`).

use std::cell::RefCell;
use std::rc::Rc;

use rustyline::completion::{Completer, Pair};
use rustyline::{Context, Helper, Highlighter, Hinter, Validator};

use crate::client::ZooKeeper;

/// Completes the word before the cursor.
#[derive(Helper, Highlighter, Hinter, Validator)]
pub(super) struct ZNodeCompleter {
    /// Names of all commands, sorted.
    pub(super) commands: Vec<&'static str>,
    /// The session, if there is one.
    pub(super) zk: Rc<RefCell<Option<ZooKeeper>>>,
}

impl Completer for ZNodeCompleter {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..cursor];
        let start = before.rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
        let word = &before[start..];
        let candidates = match split_path(word) {
            Some((parent, prefix)) => matching(&self.children(parent), parent, prefix),
            None => {
                let matching = self.commands.iter().filter(|name| name.starts_with(word));
                matching.map(|name| (*name).to_owned()).collect()
            }
        };
        let pair = |text: String| Pair { display: text.clone(), replacement: text };
        Ok((start, candidates.into_iter().map(pair).collect()))
    }
}

impl ZNodeCompleter {
    /// Names of a node's children; none without a connection, for the user must not wait here.
    fn children(&self, parent: &str) -> Vec<String> {
        let zk = self.zk.borrow();
        let connected = zk.as_ref().filter(|zk| zk.state().is_connected());
        connected.and_then(|zk| zk.get_children(parent, false).ok()).unwrap_or_default()
    }
}

/// Takes a path apart into its parent and the start of a child's name.
fn split_path(word: &str) -> Option<(&str, &str)> {
    let slash = word.rfind('/').filter(|_| word.starts_with('/'))?;
    let parent = if slash == 0 { "/" } else { &word[..slash] };
    Some((parent, &word[slash + 1..]))
}

/// Paths of the children that start with `prefix`, sorted.
fn matching(children: &[String], parent: &str, prefix: &str) -> Vec<String> {
    let parent = if parent == "/" { "" } else { parent };
    let matching = children.iter().filter(|child| child.starts_with(prefix));
    let mut paths: Vec<String> = matching.map(|child| format!("{parent}/{child}")).collect();
    paths.sort_unstable();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_completed_from_their_parent() {
        assert_eq!(split_path("/a/b"), Some(("/a", "b")));
        assert_eq!(split_path("/a"), Some(("/", "a")));
        assert_eq!(split_path("/a/"), Some(("/a", "")));
        assert_eq!(split_path("ls"), None);
        let children = ["b2".into(), "a".into(), "b1".into()];
        assert_eq!(matching(&children, "/", "b"), ["/b1", "/b2"]);
        assert_eq!(matching(&children, "/x", "a"), ["/x/a"]);
    }
}
