//! Our own shell loses its server and finds it again: the session, its ephemeral node, its
//! identities and its watches of every kind are still there.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use compat_tests::server::{Home, ServerUnderTest, gamekeeper_binary};

/// How long a line may take to appear.
const LINE_LIMIT: Duration = Duration::from_secs(90);

/// A shell that is fed line by line.
struct Shell {
    process: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    fn start(address: &str) -> Self {
        let mut command = Command::new(gamekeeper_binary());
        command.args(["cli", "-server", address, "-timeout", "30000"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("a shell");
        let stdin = process.stdin.take().expect("piped");
        let stdout = process.stdout.take().expect("piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            // The test may be over before the shell is.
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        Self { process, stdin, lines }
    }

    fn enter(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("the shell reads");
    }

    /// Waits for a line that contains `text`; the lines before it do not matter.
    fn expect(&mut self, text: &str) {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(LINE_LIMIT) {
                Ok(line) if line.contains(text) => return,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no {text:?} ({error}) after {seen:#?}"),
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_session_goes_on_after_a_restart() {
    let server = ServerUnderTest::from_env().start(Home::new(&[]));
    let mut shell = Shell::start(&server.address().to_string());
    shell.expect("state:SyncConnected type:None");
    for line in [
        "addauth digest user:pass",
        "create -e /ephemeral x",
        "create /mine secret auth::cdrwa",
        "create /parent",
        "get -w /mine",
        "stat -w /later",
        "ls -w /parent",
        "addWatch -m PERSISTENT_RECURSIVE /parent",
    ] {
        shell.enter(line);
    }
    shell.expect("secret");
    shell.enter("sync /");
    shell.expect("Sync is OK");

    let _server = server.restart();
    shell.expect("state:Disconnected type:None");
    shell.expect("state:SyncConnected type:None");

    shell.enter("getEphemerals");
    shell.expect("[/ephemeral]");
    shell.enter("set /mine changed");
    shell.expect("type:NodeDataChanged path:/mine");
    shell.enter("get /mine");
    shell.expect("changed");
    shell.enter("create /later x");
    shell.expect("type:NodeCreated path:/later");
    shell.enter("create /parent/child x");
    shell.expect("type:NodeCreated path:/parent/child");
    shell.expect("type:NodeChildrenChanged path:/parent");
    shell.enter("delete /parent/child");
    shell.expect("type:NodeDeleted path:/parent/child");
}
