//! `gamekeeper 4lw host port word [secure]`: sends a four-letter word and prints the answer
//! (`FourLetterWordMain`); `zkServer.sh status` asks with it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

/// How long connecting, and each read, may take.
const TIMEOUT: Duration = Duration::from_secs(5);

const USAGE: &str = "Usage: gamekeeper 4lw <host> <port> <cmd> <secure(optional)>";

/// Sends the word and prints the answer; exits with 1 if there is none and 2 on wrong
/// arguments.
#[must_use]
pub fn run(args: &[String]) -> ExitCode {
    let (host, port, word, secure) = match args {
        [host, port, word] => (host, port, word, false),
        [host, port, word, secure] => (host, port, word, secure.eq_ignore_ascii_case("true")),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let Ok(port) = port.parse() else {
        eprintln!("{port} is not a port between 0 and 65535\n{USAGE}");
        return ExitCode::from(2);
    };
    if secure {
        eprintln!("TLS is not there yet; ask a server's plain client port");
        return ExitCode::FAILURE;
    }
    match send(host, port, word, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{word} at {host}:{port}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Sends the word and copies the answer to `output` as it comes, ended by a line end. The
/// sending side is closed before reading, as `nc` does.
fn send(host: &str, port: u16, word: &str, output: &mut impl Write) -> io::Result<()> {
    let mut socket = connect(host, port)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    socket.write_all(word.as_bytes())?;
    socket.shutdown(Shutdown::Write)?;
    let mut buffer = [0; 8192];
    let mut last = b'\n';
    loop {
        let length = socket.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        output.write_all(&buffer[..length])?;
        last = buffer[length - 1];
    }
    if last != b'\n' {
        output.write_all(b"\n")?;
    }
    output.flush()
}

/// Connects to the first address of the host that answers.
fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failure = io::Error::other("the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Asks a server that reads to the end of the stream before it answers.
    fn ask(word: &str, answer: &'static str) -> (String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut received = String::new();
            socket.read_to_string(&mut received).unwrap();
            socket.write_all(answer.as_bytes()).unwrap();
            received
        });
        let mut output = Vec::new();
        send("127.0.0.1", port, word, &mut output).unwrap();
        (server.join().unwrap(), String::from_utf8(output).unwrap())
    }

    #[test]
    fn the_answer_is_printed_and_ends_a_line() {
        assert_eq!(ask("ruok", "imok"), ("ruok".to_owned(), "imok\n".to_owned()));
        assert_eq!(ask("srvr", "a\nb\n").1, "a\nb\n");
        assert_eq!(ask("nope", "").1, "");
    }

    #[test]
    fn a_port_nobody_listens_at_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(send("127.0.0.1", port, "ruok", &mut Vec::new()).is_err());
    }
}
