//! Patterns of node names, by kombu's two matchers.

use regex_lite::{Regex, escape};

/// How a pattern of node names is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// Of the whole name, as a shell matches files: `*`, `?`, `[ab]`, `[!ab]`.
    Glob,
    /// A regular expression that matches the beginning of the name, as Python's `re.match`.
    Pcre,
}

impl Matcher {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Glob => "glob",
            Self::Pcre => "pcre",
        }
    }

    /// The matcher of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Glob, Self::Pcre].into_iter().find(|matcher| matcher.name() == name)
    }

    /// Whether the node name matches. A pattern that cannot be read matches nothing, and is logged.
    pub fn matches(self, pattern: &str, node: &str) -> bool {
        let expression = match self {
            Self::Glob => format!(r"(?s)\A(?:{})\z", translate(pattern)),
            Self::Pcre => format!(r"\A(?:{pattern})"),
        };
        match Regex::new(&expression) {
            Ok(regex) => regex.is_match(node),
            Err(error) => {
                tracing::warn!(pattern, matcher = self.name(), %error, "a pattern of node names cannot be read");
                false
            }
        }
    }
}

/// The regular expression of a glob, as Python's `fnmatch` translates it.
fn translate(glob: &str) -> String {
    let mut expression = String::new();
    let mut rest = glob;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match next {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '[' => match set(rest) {
                Some((set, after)) => {
                    expression.push_str(&set);
                    rest = after;
                }
                // Without an end it is a bracket like any other character.
                None => expression.push_str(r"\["),
            },
            other => expression.push_str(&escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    expression
}

/// The set that begins here, and what follows its `]`. A `]` right at its beginning belongs to it.
fn set(text: &str) -> Option<(String, &str)> {
    let (negation, members) = match text.strip_prefix('!') {
        Some(members) => ("^", members),
        None => ("", text),
    };
    let end = members.char_indices().skip(1).find(|(_, c)| *c == ']')?.0;
    let mut escaped = String::new();
    for member in members[..end].chars() {
        if member != '-' && member.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(member);
    }
    Some((format!("[{negation}{escaped}]"), &members[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(matcher: Matcher, pattern: &str, node: &str, expected: bool) {
        assert_eq!(matcher.matches(pattern, node), expected, "{pattern} and {node}");
    }

    #[test]
    fn a_glob_matches_the_whole_name_as_fnmatch_does() {
        let glob = |pattern, node, expected| check(Matcher::Glob, pattern, node, expected);
        glob("w2*", "w2@host", true);
        glob("w2", "w2@host", false);
        glob("w?@*", "w2@host", true);
        glob("w[12]@host", "w2@host", true);
        glob("w[!12]@host", "w2@host", false);
        glob("w[1-3]@host", "w2@host", true);
        glob("w[]2]@host", "w]@host", true);
        glob("w.@host", "w2@host", false);
        glob("w[2@host", "w[2@host", true);
    }

    #[test]
    fn a_pcre_matches_the_beginning_of_the_name_as_re_match_does() {
        check(Matcher::Pcre, "w[12]@.*", "w2@host", true);
        check(Matcher::Pcre, "w1|w2", "w2@host", true);
        check(Matcher::Pcre, "host", "w2@host", false);
        check(Matcher::Pcre, "(", "w2@host", false);
    }
}
