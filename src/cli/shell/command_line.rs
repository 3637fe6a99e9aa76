//! The options of a command and what a user made of them (`CommandLine` and `DefaultParser` of
//! Commons CLI 1.5, with its error messages).

use super::error::CliError;

/// An option of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opt {
    /// Its name, without the hyphen.
    pub(super) name: &'static str,
    /// Whether a value follows.
    pub(super) has_value: bool,
    /// What it does, for the help.
    pub(super) description: &'static str,
}

/// An option without a value.
pub(super) const fn flag(name: &'static str, description: &'static str) -> Opt {
    Opt { name, has_value: false, description }
}

/// An option with a value.
pub(super) const fn valued(name: &'static str, description: &'static str) -> Opt {
    Opt { name, has_value: true, description }
}

/// Which options a command takes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Any of them.
    Any,
    /// At most one of them.
    AtMostOne,
    /// One of them.
    One,
}

/// A command's words, taken apart.
#[derive(Debug)]
pub(super) struct CommandLine {
    /// Options in the order given, with their values.
    given: Vec<(&'static str, Option<String>)>,
    /// All other words, the command first.
    pub(super) args: Vec<String>,
}

impl CommandLine {
    /// Whether an option was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// The value of an option, the first if there are several.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(given, _)| *given == name)?.1.as_deref()
    }

    /// The value of an option that is a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, CliError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let bad = || CliError::new(format!("-{name} argument must be an int value: \"{value}\""));
        value.parse().map(Some).map_err(|_| bad())
    }
}

/// Takes a command's words apart.
pub(super) fn parse(
    options: &'static [Opt],
    choice: Choice,
    words: &[String],
) -> Result<CommandLine, CliError> {
    let line = CommandLine { given: Vec::new(), args: Vec::new() };
    let mut parser = Parser { options, choice, line, open: false };
    let mut only_args = false;
    for word in words {
        if only_args {
            parser.line.args.push(word.clone());
        } else if word == "--" {
            only_args = true;
        } else if parser.open && !parser.is_option(word) {
            parser.give_value(strip_quotes(word));
        } else {
            parser.take(word)?;
        }
    }
    parser.refuse_open()?;
    if choice == Choice::One && parser.line.given.is_empty() {
        let text = format!("Missing required option: {}", describe_group(options));
        return Err(failure("MissingOptionException", &text));
    }
    Ok(parser.line)
}

struct Parser {
    options: &'static [Opt],
    choice: Choice,
    line: CommandLine,
    /// The last option given still waits for its value.
    open: bool,
}

impl Parser {
    fn find(&self, name: &str) -> Option<&'static Opt> {
        self.options.iter().find(|option| option.name == name)
    }

    fn find_char(&self, name: char) -> Option<&'static Opt> {
        self.find(name.encode_utf8(&mut [0; 4]))
    }

    /// Whether a word cannot be a value: it names an option.
    fn is_option(&self, word: &str) -> bool {
        let Some(name) = word.strip_prefix('-') else { return false };
        let name = name.split('=').next().unwrap_or_default();
        let first = name.chars().next().and_then(|first| self.find_char(first));
        self.find(name).is_some() || first.is_some()
    }

    /// Takes a word that is no value.
    fn take(&mut self, word: &str) -> Result<(), CliError> {
        if word.starts_with("--") || !word.starts_with('-') || word == "-" {
            return self.take_arg(word);
        }
        let name = &word[1..];
        if let Some(option) = self.find(name) {
            return self.give(option);
        }
        match name.split_once('=') {
            None => self.take_run(word),
            Some((name, value)) => match self.find(name) {
                Some(option) if option.has_value && name.chars().count() == 1 => {
                    self.give(option)?;
                    self.give_value(value);
                    Ok(())
                }
                _ => self.take_arg(word),
            },
        }
    }

    /// Takes several options of one letter in one word, the last with its value perhaps.
    fn take_run(&mut self, word: &str) -> Result<(), CliError> {
        for (at, name) in word.char_indices().skip(1) {
            let Some(option) = self.find_char(name) else { return self.take_arg(word) };
            self.give(option)?;
            let rest = &word[at + name.len_utf8()..];
            if option.has_value && !rest.is_empty() {
                self.give_value(rest);
                break;
            }
        }
        Ok(())
    }

    fn take_arg(&mut self, word: &str) -> Result<(), CliError> {
        if word.starts_with('-') && word != "-" {
            let text = format!("Unrecognized option: {word}");
            return Err(failure("UnrecognizedOptionException", &text));
        }
        self.line.args.push(word.to_owned());
        Ok(())
    }

    fn give(&mut self, option: &'static Opt) -> Result<(), CliError> {
        self.refuse_open()?;
        let other = self.line.given.iter().find(|(given, _)| *given != option.name);
        if let (true, Some((other, _))) = (self.choice != Choice::Any, other) {
            let text = format!(
                "The option '{}' was specified but an option from this group has already been \
                 selected: '{other}'",
                option.name
            );
            return Err(failure("AlreadySelectedException", &text));
        }
        self.line.given.push((option.name, None));
        self.open = option.has_value;
        Ok(())
    }

    fn give_value(&mut self, value: &str) {
        let (_, waiting) = self.line.given.last_mut().expect("a value follows an option");
        *waiting = Some(value.to_owned());
        self.open = false;
    }

    fn refuse_open(&self) -> Result<(), CliError> {
        match self.line.given.last() {
            Some((name, _)) if self.open => {
                let text = format!("Missing argument for option: {name}");
                Err(failure("MissingArgumentException", &text))
            }
            _ => Ok(()),
        }
    }
}

/// The exception as the shell prints it.
fn failure(exception: &str, text: &str) -> CliError {
    CliError::new(format!("org.apache.commons.cli.{exception}: {text}"))
}

fn strip_quotes(word: &str) -> &str {
    let inner = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).unwrap_or(word)
}

/// `OptionGroup.toString`.
fn describe_group(options: &[Opt]) -> String {
    let shown = options.iter().map(|option| format!("-{} {}", option.name, option.description));
    format!("[{}]", shown.collect::<Vec<_>>().join(", "))
}

/// The options with their descriptions, one on each line (`HelpFormatter.printOptions`).
pub(super) fn describe(options: &[Opt]) -> String {
    let mut options: Vec<&Opt> = options.iter().collect();
    options.sort_by_key(|option| option.name.to_lowercase());
    let head = |option: &Opt| match option.has_value {
        true => format!(" -{} <arg>", option.name),
        false => format!(" -{}", option.name),
    };
    let width = options.iter().map(|option| head(option).len()).max().unwrap_or(0);
    let line = |option: &&Opt| format!("{:width$}   {}", head(option), option.description);
    options.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Opt] = &[flag("s", "stats"), valued("v", "version"), valued("file", "f")];

    fn line(text: &str) -> Result<CommandLine, String> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        parse(OPTIONS, Choice::Any, &words).map_err(|error| error.message)
    }

    #[test]
    fn options_stand_anywhere_and_values_follow_them() {
        for text in ["x -s -v 5 /a", "x /a -v 5 -s", "x -sv 5 /a", "x -sv5 /a", "x -v=5 -s /a"] {
            let line = line(text).expect(text);
            assert!(line.has("s"), "{text}");
            assert_eq!(line.number("v"), Ok(Some(5)), "{text}");
            assert_eq!(line.args, ["x", "/a"], "{text}");
        }
        assert_eq!(line("x -v -1").unwrap().value("v"), Some("-1"));
        assert_eq!(line("x -file -1 -file 2").unwrap().value("file"), Some("-1"));
        assert_eq!(line("x - -- -s").unwrap().args, ["x", "-", "-s"]);
        assert_eq!(line("x -v \"a\"").unwrap().value("v"), Some("a"));
    }

    #[test]
    fn errors_have_the_words_of_commons_cli() {
        let prefix = "org.apache.commons.cli.";
        let cases = [
            ("x -q", "UnrecognizedOptionException: Unrecognized option: -q"),
            ("x -sq", "UnrecognizedOptionException: Unrecognized option: -sq"),
            ("x --s", "UnrecognizedOptionException: Unrecognized option: --s"),
            ("x -1", "UnrecognizedOptionException: Unrecognized option: -1"),
            ("x -v", "MissingArgumentException: Missing argument for option: v"),
            ("x -v -s", "MissingArgumentException: Missing argument for option: v"),
        ];
        for (text, message) in cases {
            assert_eq!(line(text).unwrap_err(), format!("{prefix}{message}"), "{text}");
        }
    }

    #[test]
    fn a_group_allows_one() {
        const GROUP: &[Opt] = &[valued("n", "num"), valued("b", "bytes")];
        let parse = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            parse(GROUP, Choice::One, &words).map_err(|error| error.message)
        };
        assert!(parse("x -n 1 -n 2").is_ok());
        assert_eq!(
            parse("x -n 1 -b 2").unwrap_err(),
            "org.apache.commons.cli.AlreadySelectedException: The option 'b' was specified but an \
             option from this group has already been selected: 'n'"
        );
        assert_eq!(
            parse("x /a").unwrap_err(),
            "org.apache.commons.cli.MissingOptionException: Missing required option: [-n num, -b \
             bytes]"
        );
    }

    #[test]
    fn descriptions_stand_in_a_column() {
        assert_eq!(
            describe(OPTIONS),
            " -file <arg>   f\n -s            stats\n -v <arg>      version"
        );
    }
}
