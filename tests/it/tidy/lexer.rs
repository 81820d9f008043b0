//! Rust text as a flat row of tokens. What stands in comments and string literals is not among them.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    Sign(char),
    Open(Delimiter),
    Close(Delimiter),
    Literal,
}

impl Token {
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Sign(_) | Self::Open(_) | Self::Close(_) | Self::Literal => None,
        }
    }

    fn is(&self, text: &str) -> bool {
        match self {
            Self::Word(word) => word == text,
            Self::Sign(sign) => text.len() == 1 && text.starts_with(*sign),
            Self::Open(delimiter) => opening(*delimiter) == text,
            Self::Close(_) | Self::Literal => false,
        }
    }
}

fn opening(delimiter: Delimiter) -> &'static str {
    match delimiter {
        Delimiter::Parenthesis => "(",
        Delimiter::Brace => "{",
        Delimiter::Bracket => "[",
        Delimiter::None => "",
    }
}

/// The tokens of `text`, or `None` where it is not Rust.
pub(super) fn lex(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    flatten(text.parse().ok()?, &mut tokens);
    Some(tokens)
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        match tree {
            TokenTree::Ident(word) => tokens.push(Token::Word(word.to_string())),
            TokenTree::Punct(sign) => tokens.push(Token::Sign(sign.as_char())),
            TokenTree::Literal(_) => tokens.push(Token::Literal),
            TokenTree::Group(group) => {
                tokens.push(Token::Open(group.delimiter()));
                flatten(group.stream(), tokens);
                tokens.push(Token::Close(group.delimiter()));
            }
        }
    }
}

/// Whether `tokens` begin with the words, signs and opening brackets of `pattern`, which blanks separate.
pub(super) fn begins(tokens: &[Token], pattern: &str) -> bool {
    let mut tokens = tokens.iter();
    pattern.split(' ').all(|text| tokens.next().is_some_and(|token| token.is(text)))
}

/// What stands in the brackets that `tokens` begin with.
pub(super) fn inside(tokens: &[Token]) -> &[Token] {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open(_) => depth += 1,
            Token::Close(_) => depth = depth.saturating_sub(1),
            Token::Word(_) | Token::Sign(_) | Token::Literal => {}
        }
        if depth == 0 {
            return tokens.get(1..at).unwrap_or_default();
        }
    }
    &[]
}

#[test]
fn comments_and_strings_are_not_tokens() {
    let tokens = lex("//! crate::a\n/* crate::b */ let x = \"crate::c\"; // crate::d").unwrap();
    assert!(!tokens.contains(&Token::Word("crate".to_owned())));
}

#[test]
fn a_pattern_matches_from_the_start() {
    let tokens = lex("#[ignore] fn f() {}").unwrap();
    assert!(begins(&tokens, "# [ ignore"));
    assert!(!begins(&tokens[1..], "# ["));
    assert!(!begins(&tokens, "# [ ignore ["));
}

#[test]
fn the_inside_of_brackets_ends_at_their_own_end() {
    let tokens = lex("{ a { b } c } d").unwrap();
    let words: Vec<_> = inside(&tokens).iter().filter_map(Token::word).collect();
    assert_eq!(words, ["a", "b", "c"]);
}
