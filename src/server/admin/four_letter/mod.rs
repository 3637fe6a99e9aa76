//! The four-letter words, in Apache's own text (`org.apache.zookeeper.server.command`).
//!
//! Each word has one function of its name; `connections`, `server`, `statistics` and `watches`
//! group them by what they ask about. They run on a thread of their own, as some take long.

mod connections;
mod server;
mod statistics;
mod watches;

#[cfg(test)]
mod tests;

use crate::processor::ServerMode;
use crate::server::config::FourLetterConfig;
use crate::server::net::ServerContext;
use crate::session::CnxnId;

/// What a telnet client sends when it leaves; Apache knows it as one more word.
const TELNET_CLOSE: [u8; 4] = [0xff, 0xf4, 0xff, 0xfd];

/// Words that are answered while the server looks for a leader.
const NEEDS_NO_SERVER: [&str; 5] = ["envi", "gtmk", "isro", "ruok", "stmk"];

/// The answer while the server looks for a leader, or its engine stops.
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

/// Bytes that follow a word, all of which must be there before it is answered.
pub fn argument_bytes(context: &ServerContext, word: [u8; 4]) -> usize {
    if &word == b"stmk" && context.config.four_letter.is_enabled("stmk") { 8 } else { 0 }
}

/// The answer to a word and its argument, asked on the connection `asker`; none if the connection
/// is to be closed without one.
pub fn answer(
    context: &ServerContext,
    asker: CnxnId,
    word: [u8; 4],
    argument: &[u8],
) -> Option<String> {
    let four_letter = &context.config.four_letter;
    if word == TELNET_CLOSE {
        let all_enabled = FourLetterConfig::WORDS.iter().all(|word| four_letter.is_enabled(word));
        return (!all_enabled).then(|| refusal("telnet close"));
    }
    let name = std::str::from_utf8(&word).ok()?;
    if !four_letter.is_enabled(name) {
        return Some(refusal(name));
    }
    if context.state.mode() == ServerMode::NotServing && !NEEDS_NO_SERVER.contains(&name) {
        return Some(NOT_SERVING.to_owned());
    }
    Some(match name {
        "conf" => server::conf(context),
        "cons" => connections::cons(context, asker),
        "crst" => connections::crst(context),
        "dirs" => server::dirs(context),
        "dump" => connections::dump(context),
        "envi" => server::envi(),
        "gtmk" => server::gtmk(context),
        "hash" => server::hash(context),
        "isro" => server::isro(context),
        "mntr" => statistics::mntr(context),
        "ruok" => server::ruok(),
        "srst" => statistics::srst(context),
        "srvr" => statistics::srvr(context),
        "stat" => statistics::stat(context, asker),
        "stmk" => server::stmk(context, argument.try_into().ok()?),
        "wchc" => watches::wchc(context),
        "wchp" => watches::wchp(context),
        "wchs" => watches::wchs(context),
        _ => return None,
    })
}

fn refusal(word: &str) -> String {
    format!("{word} is not executed because it is not in the whitelist.\n")
}
