//! The words of a Rust file, as far as finding its modules needs them: comments are left out, and what is in a string
//! is one word.

/// A word of a Rust file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// An identifier, a keyword, or a number.
    Name(&'a str),
    /// What is in a string literal, escapes as they are.
    Text(&'a str),
    /// Any other character.
    Mark(char),
}

/// The words of the text, in order.
pub(super) fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some((length, content)) = string(rest) {
            words.push(Word::Text(content));
            length
        } else if first == '\'' {
            character(rest)
        } else if rest.starts_with("r#") {
            // A raw identifier; the word after the mark is its name.
            2
        } else if is_name(first) {
            let length = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
            words.push(Word::Name(&rest[..length]));
            length
        } else {
            words.push(Word::Mark(first));
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    words
}

fn is_name(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

/// The length of a comment that may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length and content of the string literal that the text begins with, if it does.
fn string(text: &str) -> Option<(usize, &str)> {
    let unprefixed = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - unprefixed.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let opened = raw.trim_start_matches('#');
        let hashes = &raw[..raw.len() - opened.len()];
        let content = opened.strip_prefix('"')?;
        let start = text.len() - content.len();
        let end = content.find(&format!("\"{hashes}")).unwrap_or(content.len());
        return Some(((start + end + 1 + hashes.len()).min(text.len()), &content[..end]));
    }
    let content = unprefixed.strip_prefix('"')?;
    let mut escaped = false;
    let end = content.find(|letter| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    });
    let end = end.unwrap_or(content.len());
    Some(((prefix + 1 + end + 1).min(text.len()), &content[..end]))
}

/// The length of a character literal, or of the quote that begins a lifetime.
fn character(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    let first = letters.next().map(|(_, letter)| letter);
    if first == Some('\\') {
        letters.next();
        return letters.find(|(_, letter)| *letter == '\'').map_or(text.len(), |(at, _)| at + 1);
    }
    match letters.next() {
        Some((at, '\'')) => at + 1,
        _ => 1,
    }
}
