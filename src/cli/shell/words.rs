//! Splits a line of the shell into words (`ZooKeeperMain.MyCommandOptions.parseCommand`).
//!
//! A word is a quoted text, or what starts with anything but a quote and goes on to the next blank;
//! quotes inside it have no meaning. There is no escape character. As in Java's expression, a blank
//! that nothing better can be made of counts as the start of a word: before an unclosed quote at
//! the start of the line, or in a line of nothing but blanks.

/// The words of a line, without the quotes around them.
pub(super) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (word, after) = next(rest);
        words.extend(word.map(str::to_owned));
        rest = after.trim_start_matches(is_blank);
    }
    words
}

/// The first word and what follows it; no word is a character that is passed over.
fn next(text: &str) -> (Option<&str>, &str) {
    let start = text.trim_start_matches(is_blank);
    if let Some(quote @ ('"' | '\'')) = start.chars().next()
        && let Some((word, after)) = start[1..].split_once(quote)
    {
        return (Some(word), after);
    }
    if !start.is_empty() && !start.starts_with(['"', '\'']) {
        let end = start.find(is_blank).unwrap_or(start.len());
        return (Some(&start[..end]), &start[end..]);
    }
    match text.len() - start.len() {
        // An unclosed quote.
        0 => (None, &start[1..]),
        // Blanks are one byte each.
        blanks => {
            let word = &text[blanks - 1..];
            let end = word[1..].find(is_blank).map_or(word.len(), |end| end + 1);
            (Some(&word[..end]), &word[end..])
        }
    }
}

/// Java's `\s`.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_javas_expression_does() {
        let cases: [(&str, &[&str]); 11] = [
            ("ls /", &["ls", "/"]),
            ("  ls\t/  ", &["ls", "/"]),
            ("create /a 'x y' \"it's\"", &["create", "/a", "x y", "it's"]),
            ("set /a ''", &["set", "/a", ""]),
            ("set /a b\"c d\"", &["set", "/a", "b\"c", "d\""]),
            ("set /a \"b\"c", &["set", "/a", "b", "c"]),
            ("set /a \"b c", &["set", "/a", "b", "c"]),
            ("'ls /", &["ls", "/"]),
            ("   ", &[" "]),
            (" 'ls /", &[" 'ls", "/"]),
            ("", &[]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line), words, "{line:?}");
        }
    }
}
