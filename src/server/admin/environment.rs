//! What the server runs in (`org.apache.zookeeper.Environment`): Apache's keys, with what is true
//! here where Apache's server speaks of its Java machine.

use std::env;
use std::fs;
use std::path::Path;

use rustix::process::getuid;
use rustix::system::uname;

use crate::version;

/// What Java prints for a property that is not set.
const NOT_SET: &str = "<NA>";

const MIB: u64 = 1 << 20;

/// Keys and values in Apache's order.
pub(super) fn list() -> Vec<(&'static str, String)> {
    let system = uname();
    let text = |field: &std::ffi::CStr| field.to_string_lossy().into_owned();
    let user = User::current();
    let memory = Memory::now();
    vec![
        ("zookeeper.version", version::full()),
        ("host.name", text(system.nodename())),
        ("java.version", format!("no Java, this is {}", version::GAMEKEEPER)),
        ("java.vendor", NOT_SET.into()),
        ("java.home", NOT_SET.into()),
        ("java.class.path", NOT_SET.into()),
        ("java.library.path", NOT_SET.into()),
        ("java.io.tmpdir", env::temp_dir().display().to_string()),
        ("java.compiler", NOT_SET.into()),
        ("os.name", text(system.sysname())),
        ("os.arch", java_arch(env::consts::ARCH).into()),
        ("os.version", text(system.release())),
        ("user.name", user.name),
        ("user.home", user.home),
        ("user.dir", env::current_dir().map_or(NOT_SET.into(), |dir| dir.display().to_string())),
        ("os.memory.free", format!("{}MB", memory.available / MIB)),
        ("os.memory.max", format!("{}MB", memory.machine / MIB)),
        ("os.memory.total", format!("{}MB", memory.resident / MIB)),
    ]
}

/// What Java calls a processor.
fn java_arch(arch: &str) -> &str {
    if arch == "x86_64" { "amd64" } else { arch }
}

/// Who runs the server.
struct User {
    name: String,
    home: String,
}

impl User {
    fn current() -> Self {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self::find(&users, getuid().as_raw()).unwrap_or_else(|| {
            let variable = |name| env::var(name).unwrap_or_else(|_| NOT_SET.into());
            Self { name: variable("USER"), home: variable("HOME") }
        })
    }

    /// The user of this number in the text of /etc/passwd.
    fn find(users: &str, uid: u32) -> Option<Self> {
        users.lines().find_map(|line| match line.split(':').collect::<Vec<_>>()[..] {
            [name, _, number, _, _, home, ..] if number.parse() == Ok(uid) => {
                Some(Self { name: name.into(), home: home.into() })
            }
            _ => None,
        })
    }
}

/// Memory in bytes; 0 where the system does not say.
struct Memory {
    /// What this process holds.
    resident: u64,
    /// What nobody needs.
    available: u64,
    /// All there is.
    machine: u64,
}

impl Memory {
    fn now() -> Self {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(Path::new("/proc").join(file)).unwrap_or_default();
            kib_field(&text, name).unwrap_or(0) << 10
        };
        Self {
            resident: field("self/status", "VmRSS:"),
            available: field("meminfo", "MemAvailable:"),
            machine: field("meminfo", "MemTotal:"),
        }
    }
}

/// The number in a line such as `VmRSS:  1234 kB`.
fn kib_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_apaches_in_its_order() {
        let keys: Vec<_> = list().into_iter().map(|(key, _)| key).collect();
        let apache = "zookeeper.version host.name java.version java.vendor java.home \
                      java.class.path java.library.path java.io.tmpdir java.compiler os.name \
                      os.arch os.version user.name user.home user.dir os.memory.free \
                      os.memory.max os.memory.total";
        assert_eq!(keys, apache.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn users_are_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\nzk:x:1001:1001::/var/lib/zk:/bin/false\n";
        let user = User::find(users, 1001).unwrap();
        assert_eq!((&*user.name, &*user.home), ("zk", "/var/lib/zk"));
        assert!(User::find(users, 1).is_none());
    }

    #[test]
    fn memory_is_read_from_the_kernels_tables() {
        assert_eq!(kib_field("Name: x\nVmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234));
        assert!(Memory::now().resident > 0);
    }
}
